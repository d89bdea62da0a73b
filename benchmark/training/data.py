"""TorchMD-Net's DataModule over a dataset in memory, with fixed splits and a reproducible order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler
from torch_geometric.data import Batch, Data
from torchmdnet.data import DataModule

from benchmark.training.batches import FrameStore, Search, load
from tasks.datasets.splits import Split


class EpochSampler(Sampler[int]):
    """A fixed number of frames an epoch, from as many passes over all frames as that takes, each in a new order.

    The order is a function of seed and epoch; Lightning calls ``set_epoch``.

    Args:
        frames: how many there are.
        length: how many an epoch has.
        seed: of the order.
    """

    def __init__(self, frames: int, length: int, seed: int) -> None:
        self._frames, self._length, self._seed = frames, length, seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed + self._epoch)
        passes = -(-self._length // self._frames)
        order = torch.cat([torch.randperm(self._frames, generator=generator) for _ in range(passes)])
        return iter(order[: self._length].tolist())


class SplitDataModule(DataModule):
    """Samples of one split; the training order is a function of the order seed and the epoch alone.

    So a resumed fit sees the frames in the order of an uninterrupted one, and arms with one seed see the same.

    Args:
        samples: all frames, of which the split names some.
        split: indices of the three sets; saved as ``splits.npz`` in the folder, TorchMD-Net's own form.
        folder: where the splits are saved.
        batch_size: frames an optimizer step.
        eval_batch_size: frames a batch in validation and testing.
        order_seed: seed of the training order.
        epoch_frames: frames an epoch, drawn by repeating the training frames; None for each frame once.
        search: finds the neighbours that are kept for each frame; None where none can be, as when atoms are moved.
    """

    def __init__(
        self,
        samples: Sequence[Data],
        split: Split,
        folder: Path,
        batch_size: int,
        eval_batch_size: int,
        order_seed: int,
        epoch_frames: int | None = None,
        search: Search | None = None,
    ) -> None:
        self._epoch_frames = epoch_frames or len(split.train)
        path = folder / "splits.npz"
        np.savez(path, idx_train=split.train, idx_val=split.val, idx_test=split.test)
        hparams = {
            "batch_size": batch_size,
            "inference_batch_size": eval_batch_size,
            "num_workers": 0,
            "splits": str(path),
            "log_dir": str(folder),
            "train_size": None,
            "val_size": None,
            "test_size": None,
            "seed": order_seed,
            "standardize": False,
            "prior_model": None,
            # Never 0 < interval: TorchMD-Net would evaluate the test frames while training.
            "test_interval": 0,
        }
        super().__init__(hparams, dataset=list(samples))
        self._search = search
        self._train: FrameStore | None = None
        self._val: FrameStore | None = None

    def train_dataloader(self) -> DataLoader[Any]:
        """Training frames, shuffled anew each epoch (Lightning calls the sampler's ``set_epoch``)."""
        order = EpochSampler(len(self.train_dataset), self._epoch_frames, self.hparams["seed"])
        return load(self._training_frames(), self.hparams["batch_size"], order)

    def val_dataloader(self) -> list[DataLoader[Any]]:
        """Validation frames in their order."""
        if self._val is None:
            self._val = FrameStore(self.val_dataset, self._search)
        return [load(self._val, self.hparams["inference_batch_size"])]

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Nothing where the batch is there already: PyG would copy it field by field."""
        if batch.pos.device == device:
            return batch
        moved: Batch = super().transfer_batch_to_device(batch, device, dataloader_idx)
        return moved

    def first_batch(self) -> Batch:
        """A batch of training frames, always the same ones."""
        frames = self._training_frames()
        return frames.__getitems__([i % len(frames) for i in range(self.hparams["batch_size"])])

    def _training_frames(self) -> FrameStore:
        if self._train is None:
            self._train = FrameStore(self.train_dataset, self._search)
        return self._train
