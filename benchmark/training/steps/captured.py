"""The captured step: what a training step has a GPU do, recorded once as a CUDA graph and replayed for every batch.

Small networks are bound by the launches of their kernels: nine tenths of an eager step on a GPU can go into them.
A graph needs the same sizes each time, so batches are filled up: with atoms that belong to samples of their own, and
edges from such an atom to itself, on which nothing else depends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.training.steps.checked import CheckedStep, Inputs
from tasks.models.graph import Graph, GraphPotential

MARGIN = 1.15
"""Room of a graph over its first batch: how many atoms and edges are left in a batch depends on what was masked."""
SPARE_ATOMS = 64
"""Atoms that are there only to fill up, at least: at a single one sums over its edges would wait for one another."""
MOST_CAPTURES = 4
"""How often room is made for larger batches; what is larger still is computed eagerly."""


@dataclass(frozen=True)
class Room:
    """How many atoms, edges and samples a batch is filled up to; atoms and samples include those that fill up."""

    atoms: int
    edges: int
    samples: int

    @staticmethod
    def around(inputs: Inputs) -> Room:
        """Enough for a batch and others like it."""
        _, pos, _, samples, graph, _, _ = inputs
        atoms = int(MARGIN * len(pos)) + max(SPARE_ATOMS, samples + 1)
        return Room(atoms, int(MARGIN * graph.edges.shape[1]) + SPARE_ATOMS, samples + 1)

    def holds(self, inputs: Inputs) -> bool:
        """Whether a batch fits, with an atom left for each sample that fills up."""
        _, pos, _, samples, graph, _, _ = inputs
        spare = self.atoms - len(pos)
        return samples < self.samples and spare >= self.samples - samples and graph.edges.shape[1] <= self.edges

    def with_(self, other: Room | None) -> Room:
        """Enough for what either holds."""
        if other is None:
            return self
        return Room(max(self.atoms, other.atoms), max(self.edges, other.edges), max(self.samples, other.samples))


def filled(inputs: Inputs, room: Room) -> Inputs:
    """A batch filled up to a room that holds it.

    Atoms that fill up are divided among the samples that do, so that none is empty; they sit at the origin, and their
    edges are 1 Å long.

    Raises:
        ValueError: if a field of the batch is neither of its atoms nor of its samples.
    """
    z, pos, batch, samples, graph, box, seen = inputs
    atoms, device = len(pos), pos.device
    spare, edges = room.atoms - atoms, room.edges - graph.edges.shape[1]
    own = samples + torch.arange(spare, device=device) % (room.samples - samples)
    ends = atoms + torch.arange(edges, device=device) % spare
    apart = torch.eye(1, 3, dtype=pos.dtype, device=device)

    def more(values: Tensor, count: int) -> Tensor:
        return torch.cat([values, values[:1].expand(count, *values.shape[1:])])

    whole: dict[str, Tensor] = {}
    for name, values in seen.items():
        if values.dim() and len(values) == atoms:
            whole[name] = torch.cat([values, values.new_zeros(spare, *values.shape[1:])])
        elif values.dim() and len(values) == samples:
            whole[name] = more(values, room.samples - samples)
        else:
            raise ValueError(f"field {name!r} of a batch is neither of its atoms nor of its samples")
    filled_graph = Graph(
        torch.cat([graph.edges, ends.expand(2, edges)], dim=1), torch.cat([graph.shifts, apart.expand(edges, 3)])
    )
    return (
        more(z, spare),
        torch.cat([pos, pos.new_zeros(spare, 3)]),
        torch.cat([batch, own]),
        room.samples,
        filled_graph,
        None if box is None else more(box.reshape(-1, 3, 3), room.samples - samples),
        whole,
    )


def of_batch(outputs: Any, inputs: Inputs, room: Room) -> Any:
    """What belongs to the batch itself, of outputs for it filled up: rows of atoms, and of samples."""
    _, pos, _, samples, _, _, _ = inputs

    def own(output: Tensor) -> Tensor:
        return output[: len(pos) if len(output) == room.atoms else samples]

    return tuple(own(output) for output in outputs) if isinstance(outputs, tuple) else own(outputs)


class CapturedStep(CheckedStep):
    """A function recorded as a CUDA graph, with its way back, for batches filled up to the same size.

    Only for networks in which samples do not meet (``GraphPotential.mixes_samples``): with a batch norm what fills up
    would change the rest.
    """

    def __init__(self, potential: GraphPotential, name: str) -> None:
        super().__init__(potential, name)
        self._room: Room | None = None
        self._graph: Any = None
        self._fields: tuple[str, ...] = ()
        self._boxless = False
        self._captures = 0

    def takes(self, inputs: Inputs) -> bool:
        """See ``CheckedStep.takes``."""
        _, pos, _, samples, graph, box, _ = inputs
        trains = self._potential.training and torch.is_grad_enabled()
        # Of single atoms it could not be told which fields are of atoms and which of samples.
        if not trains or len(pos) <= samples or graph.edges.shape[1] < 2:
            return False
        fields = self._needed(inputs)[6].keys()
        if self._room is not None and ((box is None) != self._boxless or not fields >= set(self._fields)):
            return False
        return self._captures < MOST_CAPTURES or self._holds(inputs)

    def other(self, *inputs: Any) -> Any:
        """See ``CheckedStep.other``; makes room first where there is none."""
        given: Inputs = inputs
        if not self._holds(given):
            self._capture(given)
        assert self._room is not None
        outputs = self._graph(*self._tensors(filled(self._needed(given), self._room)))
        return of_batch(outputs, given, self._room)

    def _holds(self, inputs: Inputs) -> bool:
        return self._room is not None and self._room.holds(inputs)

    def _needed(self, inputs: Inputs) -> Inputs:
        """Without the fields of a batch that are of neither atoms nor samples: no network reads them as a tensor."""
        z, pos, batch, samples, graph, box, seen = inputs
        sizes = (len(pos), samples)
        kept = {name: v for name, v in seen.items() if isinstance(v, Tensor) and v.dim() and len(v) in sizes}
        return z, pos.detach(), batch, samples, graph, box, kept

    def _tensors(self, inputs: Inputs) -> tuple[Tensor, ...]:
        z, pos, batch, _, graph, box, seen = inputs
        boxes = () if box is None else (box,)
        return (z, pos, batch, graph.edges, graph.shifts, *boxes, *(seen[name] for name in self._fields))

    def _capture(self, inputs: Inputs) -> None:
        self._room = Room.around(inputs).with_(self._room)
        self._captures += 1
        self._boxless = inputs[5] is None
        needed = filled(self._needed(inputs), self._room)
        self._fields = tuple(sorted(needed[6]))
        function = _OfTensors(self._potential, self.eager, needed[3], self._boxless, self._fields)
        self._graph = torch.cuda.make_graphed_callables(
            function.train(), tuple(t.clone() for t in self._tensors(needed)), allow_unused_input=True
        )


class _OfTensors(nn.Module):
    """A potential's function with tensors for arguments, which is what can be captured; has the potential's weights."""

    def __init__(
        self, potential: GraphPotential, function: Any, samples: int, boxless: bool, fields: tuple[str, ...]
    ) -> None:
        super().__init__()
        self.potential = potential
        self._function = function
        self._samples = samples
        self._boxless = boxless
        self._fields = fields

    def forward(self, z: Tensor, pos: Tensor, batch: Tensor, edges: Tensor, shifts: Tensor, *rest: Tensor) -> Any:
        box = None if self._boxless else rest[0]
        seen = dict(zip(self._fields, rest if self._boxless else rest[1:], strict=True))
        return self._function(z, pos, batch, self._samples, Graph(edges, shifts), box, seen)
