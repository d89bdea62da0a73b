"""One fit over several processes: each computes the network for its part of a batch; all else is the whole batch's.

Every process has the whole batch, corrupts it whole and gets the predictions of all others, so that losses, errors and
all that follows from them are those of one process, whatever a loss does with its batch. Only the network, which is
what costs, is divided; of the gradients of its weights DDP takes the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from tasks.models.graph import EDGES, POINTERS, SHIFTS, samples_of


class Place(NamedTuple):
    """A process's number among those of a job, from 0, how many these are, and on how many nodes, as many on each."""

    rank: int = 0
    processes: int = 1
    nodes: int = 1

    @property
    def devices(self) -> int:
        """Processes on a node."""
        return self.processes // self.nodes

    @property
    def node(self) -> int:
        """The number of its node."""
        return self.rank // self.devices

    @property
    def local(self) -> int:
        """Its number on its node."""
        return self.rank % self.devices


_place = Place()


def take_place(place: Place) -> None:
    """Say where this process is; torch's process group has to be the same."""
    global _place
    _place = place


def own_place() -> Place:
    """Where this process is; alone, if nobody said."""
    return _place


class Part(NamedTuple):
    """Which frames of a batch, and so which atoms, a process computes, and how many the batch has."""

    frames: slice
    atoms: slice
    all_frames: int
    all_atoms: int

    @classmethod
    def own(cls, batch: Tensor, frames: int) -> Part:
        """This process's part of a batch; samples of the atoms (N,), ascending, and number of frames."""
        first, last = (number * frames // _place.processes for number in (_place.rank, _place.rank + 1))
        start, stop = torch.searchsorted(batch, batch.new_tensor([first, last])).tolist()
        return cls(slice(first, last), slice(start, stop), frames, len(batch))

    def of(self, value: Any) -> Any:
        """The part's rows of a tensor with a row for each atom or frame; anything else as it is."""
        if not isinstance(value, Tensor) or value.dim() == 0:
            return value
        # Where there are as many atoms as frames each frame is an atom, and both slices are the same.
        rows = {self.all_frames: self.frames, self.all_atoms: self.atoms}.get(len(value))
        return value if rows is None else value[rows]

    def of_extra(self, extra_args: dict[str, Tensor]) -> dict[str, Tensor]:
        """The part's of what a network sees beside atoms, positions and box; a graph is numbered anew."""
        seen = {name: value for name, value in extra_args.items() if name not in (EDGES, SHIFTS, POINTERS)}
        seen = {name: self.of(value) for name, value in seen.items()}
        if POINTERS in extra_args:
            pointers = extra_args[POINTERS][self.frames.start : self.frames.stop + 1]
            seen[POINTERS] = pointers - pointers[0]
        if EDGES in extra_args:
            receiver = extra_args[EDGES][0]
            own = ((receiver >= self.atoms.start) & (receiver < self.atoms.stop)).nonzero().squeeze(1)
            seen[EDGES] = extra_args[EDGES].index_select(1, own) - self.atoms.start
            seen[SHIFTS] = extra_args[SHIFTS].index_select(0, own)
        return seen


def in_parts(
    compute: Callable[[Tensor, Tensor, Tensor, Tensor | None, dict[str, Tensor]], Any],
    z: Tensor,
    pos: Tensor,
    batch: Tensor,
    box: Tensor | None,
    extra_args: dict[str, Tensor],
) -> Any:
    """What a network predicts for a whole batch, each process computing a part of its frames.

    A batch of fewer frames than there are processes is computed whole by each of them.

    Args:
        compute: gives energies (B, 1) and forces (N, 3), or vectors (N, 3), of z, pos, batch, box and ``extra_args``;
            those of a frame depend on no other frame, but for batch norms (see `share_statistics`).
        z: (N,).
        pos: (N, 3).
        batch: (N,), ascending.
        box: (B, 3, 3) or None.
        extra_args: of them, the graph and what has a row for each atom or frame is divided.
    """
    if _place.processes == 1:
        return compute(z, pos, batch, box, extra_args)
    frames = samples_of(batch, box, extra_args)
    if frames < _place.processes:
        return compute(z, pos, batch, box, extra_args)
    part = Part.own(batch, frames)
    with _SharedBatchNorm.joined():
        found = compute(
            part.of(z), part.of(pos), part.of(batch) - part.frames.start, part.of(box), part.of_extra(extra_args)
        )
    if isinstance(found, tuple):
        energies, forces = found
        return _Gather.apply(energies, part.frames, frames), _Gather.apply(forces, part.atoms, len(batch))
    return _Gather.apply(found, part.atoms, len(batch))


def share_statistics(network: nn.Module) -> None:
    """Let batch norms in a network take their statistics over the whole batch, not over this process's part.

    torch's own `SyncBatchNorm` does so on a GPU alone.

    Raises:
        NotImplementedError: for one over images, which no potential has.
    """
    for parent in network.modules():
        for name, child in parent.named_children():
            if type(child) is nn.BatchNorm1d:
                setattr(parent, name, _SharedBatchNorm(child))
            elif isinstance(child, _BatchNorm) and not isinstance(child, _SharedBatchNorm):
                raise NotImplementedError(f"{type(child).__name__} cannot be computed over several devices")


class _SharedBatchNorm(nn.BatchNorm1d):
    """A batch norm, with its weights and buffers, whose rows are divided among the processes."""

    _joined = False

    def __init__(self, alone: nn.BatchNorm1d) -> None:
        super().__init__(alone.num_features, alone.eps, alone.momentum, alone.affine, alone.track_running_stats)
        self._parameters, self._buffers, self.training = alone._parameters, alone._buffers, alone.training

    @classmethod
    @contextmanager
    def joined(cls) -> Iterator[None]:
        """Within, rows are this process's part; elsewhere they are all there are."""
        cls._joined = True
        try:
            yield
        finally:
            cls._joined = False

    def forward(self, rows: Tensor) -> Tensor:
        """Normalised rows (R, C); mean and variance are those of all processes' rows."""
        if not (self._joined and self.training):
            return super().forward(rows)
        sums = _Sum.apply(torch.cat([rows.sum(dim=0), rows.new_full((1,), float(len(rows)))]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = rows - mean
        variance = _Sum.apply(centred.square().sum(dim=0)) / count
        if self.running_mean is not None and self.running_var is not None:
            self._remember(mean.detach(), (variance * count / (count - 1)).detach())
        normed = centred * (variance + self.eps).rsqrt()
        return normed * self.weight + self.bias if self.affine else normed

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        """Running mean and unbiased variance, as torch has them."""
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        for running, now in ((self.running_mean, mean), (self.running_var, variance)):
            assert running is not None
            running.lerp_(now, share)


class _Gather(torch.autograd.Function):
    """Rows of all processes in one tensor.

    Every process goes on to the same loss. The gradient of its own rows is taken times the number of processes: of what
    becomes of it DDP takes the mean, where the sum is meant.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, where: slice, total: int) -> Tensor:
        ctx.where = where
        whole = rows.new_zeros(total, *rows.shape[1:])
        whole[where] = rows
        dist.all_reduce(whole)  # sums with zeros are exact
        return whole

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient[ctx.where] * _place.processes, None, None


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        summed = value.clone()
        dist.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _Sum.apply(gradient)
