"""A batch whose network is computed in parts by two processes has the loss and the gradients of one."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch_geometric.data import Batch

from benchmark.executors.local import process_context
from benchmark.training.steps.parts import Part, Place, in_parts, share_statistics, take_place
from tasks.options.pretexts import MaskingConfig
from tasks.pretexts.masking import Masking
from tests.benchmark.conftest import frame
from tests.tasks.models.conftest import build

KINDS = ("egnn", "gns-absolute", "forcenet")
WAIT_S = 120


def batch_of(frames: int, molecules: int = 1) -> Batch:
    """Frames of one, two or three molecules, in float64."""
    made = Batch.from_data_list([frame(seed, molecules + seed % 3) for seed in range(frames)])
    return made.apply(lambda value: value.double() if value.is_floating_point() else value)


def outcomes() -> dict[str, dict[str, torch.Tensor]]:
    """Losses, gradients and buffers of a few kinds of networks and batches, of one process or of a part of them."""
    found = {}
    for kind in KINDS:
        for frames in (5, 1):
            potential = build(kind).train()
            share_statistics(potential)
            batch = batch_of(frames)
            energy, forces = in_parts(potential, batch.z, batch.pos, batch.batch, batch.box, {"ptr": batch.ptr})
            # Of products of frames no loss of a part knows.
            loss = energy.prod() + (forces - batch.neg_dy).square().mean() + forces.norm()
            found[f"{kind} {frames}"] = differentiated(potential, loss)
    # A pretext that passes the graph on, without the atoms that it removes, and a loss of the whole batch.
    pretext, potential = Masking(MaskingConfig(loss="pooled")), build("egnn").train()
    batch = batch_of(4, molecules=2)
    batch["edge_index"], batch["edge_shift"] = potential.graph(batch.pos, batch.batch, batch.box, None)
    corrupted = pretext.corrupt(batch, torch.Generator().manual_seed(1))
    seen = {k: v for k, v in corrupted.to_dict().items() if k not in ("z", "pos", "batch", "box", "target")}

    def vectors(*inputs):
        return potential.vectors("force", *inputs)

    predicted = in_parts(vectors, corrupted.z, corrupted.pos, corrupted.batch, corrupted.box, seen)
    found["masking"] = differentiated(potential, pretext.loss(predicted, corrupted))
    return found


def differentiated(potential, loss):
    loss.backward()
    named = {name: p.grad for name, p in potential.named_parameters() if p.grad is not None}
    for gradient in named.values():
        if dist.is_initialized():
            dist.all_reduce(gradient)  # as DDP does
            gradient /= dist.get_world_size()
    return {"loss": loss.detach(), **named, **{name: b for name, b in potential.named_buffers() if b.dim() > 0}}


def take_part(rank: int, meeting: str, connection) -> None:
    torch.set_num_threads(1)
    take_place(Place(rank, 2))
    dist.init_process_group("gloo", store=dist.FileStore(f"{meeting}/store", 2), rank=rank, world_size=2)
    found = outcomes()
    connection.send({name: {k: v.tolist() for k, v in values.items()} for name, values in found.items()})
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_find_the_losses_gradients_and_statistics_of_one(tmp_path):
    context, expected = process_context("cpu"), outcomes()
    pipes = [context.Pipe(duplex=False) for _ in range(2)]
    processes = [
        context.Process(target=take_part, args=(rank, str(tmp_path), theirs)) for rank, (_, theirs) in enumerate(pipes)
    ]
    for process, (_, theirs) in zip(processes, pipes, strict=True):
        process.start()
        theirs.close()  # the end of a process that fails is the end of its pipe
    try:
        assert all(ours.poll(WAIT_S) for ours, _ in pipes)
        for found in [ours.recv() for ours, _ in pipes]:
            assert found.keys() == expected.keys()
            for name, values in expected.items():
                assert found[name].keys() == values.keys(), name
                for what, value in values.items():
                    torch.testing.assert_close(
                        torch.tensor(found[name][what], dtype=value.dtype), value, rtol=1e-9, atol=1e-9,
                        msg=lambda text, name=name, what=what: f"{name}: {what}: {text}",
                    )  # fmt: skip
    finally:
        for process in processes:
            process.kill()
            process.join()


@pytest.mark.parametrize(("frames", "processes"), [(5, 2), (7, 3), (4, 4), (6, 2)])
def test_parts_cover_a_batch_without_overlap(frames, processes, monkeypatch):
    batch = batch_of(frames)
    parts = []
    for rank in range(processes):
        monkeypatch.setattr("benchmark.training.steps.parts._place", Place(rank, processes))
        parts.append(Part.own(batch.batch, frames))
    for name in ("z", "pos", "y", "neg_dy", "box", "molecule"):
        assert torch.equal(torch.cat([part.of(batch[name]) for part in parts]), batch[name]), name
    assert all(part.frames.stop > part.frames.start for part in parts)
    assert parts[0].of(torch.tensor(3.0)) == 3.0
    assert parts[0].of("text") == "text"
