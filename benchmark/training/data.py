"""TorchMD-Net's DataModule over a dataset in memory, with fixed splits and a reproducible order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import DistributedSampler, Subset
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torchmdnet.data import DataModule

from tasks.datasets.splits import Split


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

    def train_dataloader(self) -> DataLoader:
        """Training frames, shuffled anew each epoch (Lightning calls the sampler's ``set_epoch``)."""
        frames = Subset(self.train_dataset, np.resize(np.arange(len(self.train_dataset)), self._epoch_frames).tolist())
        sampler: DistributedSampler[Data] = DistributedSampler(
            frames, num_replicas=1, rank=0, shuffle=True, seed=self.hparams["seed"]
        )
        return DataLoader(frames, batch_size=self.hparams["batch_size"], sampler=sampler)

    def evaluation_dataloader(self, name: str) -> DataLoader:
        """All frames of the split ``train``, ``val`` or ``test``, in order, for measuring errors."""
        subset = {"train": self.train_dataset, "val": self.val_dataset, "test": self.test_dataset}[name]
        return DataLoader(subset, batch_size=self.hparams["inference_batch_size"])
