"""Batches by index arithmetic: all frames of a set in contiguous tensors, with their graphs where atoms stay put."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torch_geometric.data import Batch, Data
from torch_geometric.data.collate import collate

from tasks.models.graph import EDGES, SHIFTS, Graph

Search = Callable[[Tensor, Tensor, Tensor | None], Graph]
"""Neighbours of positions (N, 3), samples of the atoms (N,) and boxes (B, 3, 3) or None."""

KEPT_BYTES = 2**30
"""Most that the graphs of a set may take in memory; above it every step searches for neighbours, as it also does where
a pretext moves atoms. Frames above it are collated one by one."""

SEARCHED_ATOMS = 512
"""Atoms searched for neighbours at a time: a search looks at all pairs, also at those of different frames."""


class Rows(NamedTuple):
    """Where in a tensor of all frames the rows of each frame are: from ``first`` on, ``lengths`` of them, (F,) each."""

    first: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, boundaries: Tensor) -> Rows:
        """Rows between boundaries (F + 1,)."""
        return cls(boundaries[:-1], boundaries.diff())

    def chosen(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """The rows (R,) of frames (B,), one frame after the other, and their boundaries (B + 1,)."""
        first, count = self.first[frames], self.lengths[frames]
        boundaries = torch.cat([count.new_zeros(1), count.cumsum(0)])
        rows = (first - boundaries[:-1]).repeat_interleave(count)
        return rows + torch.arange(len(rows)), boundaries


class KeptGraphs(NamedTuple):
    """The graphs of all frames, sorted by receiver: local numbers of the atoms (2, E) int32, image shifts (E, 3)."""

    edges: Tensor
    shifts: Tensor
    rows: Rows


class FrameStore(Dataset[Data]):
    """Frames of a set; a batch of them is what PyG's collation gives, made by a few gathers.

    Where frames are no such tensors (fields that some lack, say), or too large to be held twice, PyG collates.

    Args:
        samples: the frames.
        search: finds neighbours within the frames, which are then kept and part of each batch; None to leave them out.
        limit: most bytes that the frames, and their graphs, may take; see `KEPT_BYTES`.
    """

    def __init__(self, samples: Sequence[Data], search: Search | None = None, limit: int = KEPT_BYTES) -> None:
        self._samples = samples
        self._fields: dict[str, Tensor] = {}
        self._rows: dict[str, Rows | None] = {}
        self._graphs: KeptGraphs | None = None
        if not _is_uniform(samples) or sum(_bytes(sample) for sample in samples) > limit:
            return
        whole, boundaries, _ = collate(Data, list(samples), increment=False, add_batch=False)
        self._atoms = Rows.of(torch.tensor([0, *(sample.num_nodes for sample in samples)]).cumsum(0))
        for name, value in whole.to_dict().items():
            rows = Rows.of(boundaries[name])
            one_each = bool((rows.lengths == 1).all())
            alike = torch.equal(rows.lengths, self._atoms.lengths)
            self._fields[name] = value
            self._rows[name] = None if one_each else self._atoms if alike else rows
        if search is not None:
            self._graphs = self._search(search, limit)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, frame: int) -> Data:
        return self._samples[frame]

    def __getitems__(self, frames: list[int]) -> Batch:
        """The batch of these frames, in this order; what torch's loader asks for."""
        if not self._fields:
            return Batch.from_data_list([self._samples[frame] for frame in frames])
        chosen = torch.tensor(frames)
        atoms, pointers = self._atoms.chosen(chosen)
        every, none = torch.arange(len(frames) + 1), torch.zeros(len(frames), dtype=torch.long)
        content: dict[str, Tensor] = {}
        boundaries: dict[str, Tensor] = {}
        for name, value in self._fields.items():
            rows = self._rows[name]
            if rows is None:
                content[name], boundaries[name] = value.index_select(0, chosen), every
            elif rows is self._atoms:
                content[name], boundaries[name] = value.index_select(0, atoms), pointers
            else:
                own, boundaries[name] = rows.chosen(chosen)
                content[name] = value.index_select(0, own)
        offsets = dict.fromkeys(content, none)
        if self._graphs is not None:
            rows_of_edges, ends = self._graphs.rows.chosen(chosen)
            start = pointers[:-1].repeat_interleave(ends.diff())
            content[EDGES] = self._graphs.edges.index_select(1, rows_of_edges) + start
            content[SHIFTS] = self._graphs.shifts.index_select(0, rows_of_edges)
            boundaries |= {EDGES: ends, SHIFTS: ends}
            offsets |= {EDGES: pointers[:-1], SHIFTS: none}
        content["batch"] = every[:-1].repeat_interleave(pointers.diff())
        content["ptr"] = pointers
        return _as_batch(content, boundaries, offsets)

    def _search(self, search: Search, limit: int) -> KeptGraphs | None:
        """Neighbours of all frames, or None where they take too much memory."""
        edges, shifts, counts, used = [], [], [], 0
        for frames in self._chunks():
            batch = self.__getitems__(frames)
            found = search(batch.pos, batch.batch, batch.box if "box" in batch else None)
            receiver, sender = found.edges
            order = torch.argsort(receiver * batch.num_nodes + sender)
            frame = batch.batch[receiver[order]]
            edges.append((found.edges[:, order] - batch.ptr[frame]).int())
            shifts.append(found.shifts[order])
            counts.append(torch.bincount(frame, minlength=len(frames)))
            used += edges[-1].nbytes + shifts[-1].nbytes
            if used > limit:
                print(
                    f"the neighbours of {len(self)} frames would take more than {limit / 2**20:.0f} MiB of memory: "
                    f"they are searched in every step"
                )
                return None
        boundaries = torch.cat([torch.zeros(1, dtype=torch.long), torch.cat(counts).cumsum(0)])
        return KeptGraphs(torch.cat(edges, dim=1), torch.cat(shifts), Rows.of(boundaries))

    def _chunks(self) -> list[list[int]]:
        """All frames in their order, in pieces of about `SEARCHED_ATOMS` atoms."""
        piece = (self._atoms.first // SEARCHED_ATOMS).tolist()
        chunks: dict[int, list[int]] = {}
        for frame, number in enumerate(piece):
            chunks.setdefault(number, []).append(frame)
        return list(chunks.values())


def load(frames: FrameStore, batch_size: int, order: Sampler[int] | None = None) -> DataLoader[Any]:
    """A loader of batches, in the frames' order or in another one."""
    # Where there is a GPU but this process computes on the CPU, pinned memory would only cost a place on the GPU.
    pin = torch.cuda.is_initialized()
    return DataLoader(frames, batch_size=batch_size, sampler=order, collate_fn=_as_it_is, pin_memory=pin)


def _as_it_is(batch: Batch) -> Batch:
    return batch


def _as_batch(content: dict[str, Tensor], boundaries: dict[str, Tensor], offsets: dict[str, Tensor]) -> Batch:
    """A batch as PyG makes it, which can be taken apart again."""
    batch = Batch(_base_cls=Data, **content)
    batch._num_graphs = len(content["ptr"]) - 1
    batch._slice_dict = boundaries
    batch._inc_dict = offsets
    return batch


def _is_uniform(samples: Sequence[Data]) -> bool:
    """Whether frames have the same fields, tensors that are joined along their first dimension and not renumbered."""
    if not samples:
        return False
    names = set(samples[0].keys())
    if EDGES in names or SHIFTS in names:
        return False
    return all(
        type(sample) is Data
        and set(sample.keys()) == names
        and all(
            isinstance(value, Tensor)
            and value.dim() > 0
            and sample.__cat_dim__(name, value) == 0
            and isinstance(sample.__inc__(name, value), int)
            and sample.__inc__(name, value) == 0
            for name, value in sample.to_dict().items()
        )
        for sample in samples
    )


def _bytes(sample: Data) -> int:
    return sum(value.nbytes for value in sample.to_dict().values())
