"""What a GPU computes is what the CPU computes. Without one these tests skip: run them where there is one."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from torch import Generator
from torch_geometric.data import Batch

from benchmark.planning.config import Entry
from benchmark.planning.reading import build as build_registered
from benchmark.training.batches import FrameStore, load
from benchmark.training.steps.compiled import compile_step
from benchmark.training.steps.prepare import prepare_step
from tasks.models.graph import EDGES, POINTERS, SHIFTS, Graph, GraphPotential
from tasks.registry import PRETEXTS
from tests.benchmark.runs import command, records
from tests.tasks.conftest import make_water
from tests.tasks.models.conftest import CASES, build, users_package  # noqa: F401  (a fixture of one of the cases)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use"),
]

PRETEXT_CASES = {
    "masking": {"ratio": 0.5},
    "denoising": {"sd_A": 0.1},
}


def batch_of(*sizes: int, dtype=torch.float64) -> Batch:
    """Boxes of water of so many molecules each."""
    return Batch.from_data_list([make_water(size, seed, 7.0, dtype) for seed, size in enumerate(sizes)])


def trained_results(potential, batch):
    """Energies, forces and the gradients of all weights of a loss of both."""
    potential.train()
    energy, force = potential(batch.z, batch.pos.clone(), batch.batch, batch.box)
    (energy.square().sum() + force.square().sum()).backward()
    gradients = [weight.grad for weight in potential.parameters() if weight.grad is not None]
    return [value.detach().cpu() for value in (energy, force, *gradients)]


@pytest.mark.parametrize("case", CASES)
def test_energies_forces_and_gradients_are_those_of_the_cpu(case):
    batch = batch_of(8, 5)
    expected = trained_results(build(case), batch)
    found = trained_results(build(case).cuda(), batch.to("cuda"))
    assert len(found) == len(expected) > 2
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


def test_neighbours_found_on_the_gpu_are_those_found_on_the_cpu():
    def edges(potential, batch):
        graph = potential.graph(batch.pos, batch.batch, batch.box, {})
        rows = torch.cat([graph.edges.T.double(), graph.shifts], dim=1).cpu()
        return rows[torch.argsort(rows[:, 0] * batch.num_nodes + rows[:, 1])]

    batch = batch_of(32, 16)
    expected = edges(build("egnn"), batch)
    found = edges(build("egnn").cuda(), batch.to("cuda"))
    assert len(found) > 100
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_a_batch_with_kept_neighbours_arrives_whole():
    potential = build("egnn")

    def search(pos, batch, box) -> Graph:
        return potential.graph(pos, batch, box, {})

    samples = [make_water(8, seed, 7.0, torch.float64) for seed in range(4)]
    for batch in load(FrameStore(samples, search), 2):
        there = batch.clone().to("cuda")
        for name in (EDGES, SHIFTS, POINTERS, "z", "pos", "batch", "box"):
            assert torch.equal(there[name].cpu(), batch[name]), name


@pytest.mark.parametrize("kind", PRETEXT_CASES)
def test_a_pretext_corrupts_on_the_gpu(kind):
    pretext = build_registered(PRETEXTS, Entry(kind=kind, options=PRETEXT_CASES[kind]))
    batch = batch_of(8, 5, dtype=torch.float32).to("cuda")
    draw = Generator("cuda").manual_seed(3)
    first, second = pretext.corrupt(batch, draw), pretext.corrupt(batch, draw)
    assert first.pos.is_cuda
    assert first.pos.shape != second.pos.shape or not torch.equal(first.pos, second.pos)
    again = pretext.corrupt(batch, Generator("cuda").manual_seed(3))
    assert torch.equal(again.pos, first.pos)
    loss = pretext.loss(torch.zeros_like(first.pos), first)
    assert bool(torch.isfinite(loss))
    assert loss > 0


def in_float32(*sizes: int):
    """z, pos, batch, box and extra_args of boxes of water on the GPU."""
    batch = batch_of(*sizes, dtype=torch.float32).to("cuda")
    return batch.z, batch.pos, batch.batch, batch.box, {POINTERS: batch.ptr}


OLD_TORCH = tuple(map(int, torch.__version__.split(".")[:2])) < (2, 13)
TRACES_GRADIENTS = pytest.mark.skipif(OLD_TORCH, reason="this torch cannot trace the gradient of a gather")


@pytest.mark.parametrize("case", [pytest.param("egnn", marks=TRACES_GRADIENTS), "gns", "forcenet"])
def test_a_compiled_step_passes_its_check(case, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch._dynamo.reset()
    potential = build(case).float().cuda().train()
    assert isinstance(potential, GraphPotential)
    step, computed = compile_step(potential, "predict", lambda: in_float32(8, 5))
    assert step is not None, computed.why
    other = in_float32(5, 8, 3)
    for one, expected in zip(step(*other), potential(*other[:4], extra_args=other[4]), strict=True):
        torch.testing.assert_close(one, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("case", ["egnn", "egnn-basis", "gns"])
@pytest.mark.parametrize("name", ["predict", "represent"])
def test_a_captured_step_trains_as_an_eager_one(case, name, tmp_path, monkeypatch):
    """Batches of several sizes, one of them larger than the graph has room for, with an optimizer in between."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    losses = {}
    for way in ("eager", "captured"):
        potential = build(case).float().cuda().train()
        step = getattr(potential, name)
        if way == "captured":
            step, computed = prepare_step(potential, name, "test", lambda: in_float32(8, 5))
            assert computed.way == "captured", computed.why
        update = torch.optim.AdamW(potential.parameters(), lr=1e-3, fused=True)
        losses[way] = []
        for sizes in [(8, 5), (5, 8), (3, 4), (6,), (16, 16), (8, 5)]:
            given = in_float32(*sizes)
            outputs = step(*given) if way == "captured" else step(*eager_inputs(potential, given))
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            update.zero_grad()
            loss = sum(output.square().mean() for output in outputs)
            loss.backward()
            update.step()
            losses[way].append(float(loss.detach()))
    assert losses["captured"] == pytest.approx(losses["eager"], rel=1e-3)
    assert len(set(losses["eager"])) == 6


def eager_inputs(potential, given):
    """What a function of the potential takes."""
    z, pos, batch, box, extra = given
    return z, pos, batch, len(extra[POINTERS]) - 1, potential.graph(pos, batch, box, extra), box, {}


def test_a_run_on_the_cpu_where_there_is_a_gpu(tmp_path):
    """Workers are forked from a server that has loaded what would take hold of the GPU."""
    arguments = ("--suite", "water", "--scale", "smoke", "--select", "model=egnn,strategy=scratch", "--device", "cpu")
    done = command("run", *arguments, "--data-dir", tmp_path / "data", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("compiled", ["never", "always"])
def test_a_run_of_several_jobs_on_one_gpu(tmp_path, compiled):
    """All networks of water at scale smoke, three at a time; scratch errors are those of the CPU but for rounding."""
    common = ("run", "--suite", "water", "--scale", "smoke", "--data-dir", tmp_path / "data", "--jobs", 3)
    ways = {"cuda": ("--compile", compiled), "cpu": ("--compile", "never", "--select", "strategy=scratch")}
    tables = {}
    for device, options in ways.items():
        done = command(*common, "--device", device, *options, "--out", tmp_path / device)
        assert done.returncode == 0, done.stdout + done.stderr
        tables[device] = records(tmp_path / device).set_index(["model", "strategy", "seed", "split", "checkpoint"])
    assert set(tables["cuda"]["status"]) == {"ok"}
    if compiled == "always":
        ways = tables["cuda"]["computed"].groupby("model").unique().map(list).to_dict()
        assert ways == {"egnn": ["captured"], "gns": ["captured"], "forcenet": ["compiled"]}
    assert (tables["cuda"]["peak_memory_mb"] > 1).all()
    for name in ("force_rmse_mev_per_A", "energy_rmse_mev"):
        pair = pd.concat({device: table[name] for device, table in tables.items()}, axis=1, join="inner").dropna()
        assert len(pair) >= 3
        assert ((pair["cuda"] / pair["cpu"]).sub(1).abs() < 0.02).all(), pair
