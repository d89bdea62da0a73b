"""Names to classes: the built-in kinds, and those that installed packages add through entry points."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class UnknownKindError(ValueError):
    """A name that no registry knows."""


class Registry(Generic[T]):
    """Classes of one sort by the name (``kind``) that suites use; modules are imported when first needed.

    Args:
        noun: what an entry is called in messages.
        group: the entry-point group through which other packages add theirs.
        builtin: the built-in ones, kind to ``module:Class``.
    """

    def __init__(self, noun: str, group: str, builtin: dict[str, str]) -> None:
        self.noun = noun
        self.group = group
        self._builtin = builtin

    def _loaders(self) -> dict[str, Callable[[], Any]]:
        loaders: dict[str, Callable[[], Any]] = {point.name: point.load for point in entry_points(group=self.group)}
        for kind, target in self._builtin.items():
            loaders[kind] = partial(_load, target)
        return loaders

    def kinds(self) -> list[str]:
        """All known names, sorted."""
        return sorted(self._loaders())

    def get(self, kind: str) -> type[T]:
        """The class with this name.

        Raises:
            UnknownKindError: there is none; the message lists the known names.
        """
        loaders = self._loaders()
        if kind not in loaders:
            raise UnknownKindError(
                f"unknown {self.noun} kind {kind!r}; known are {', '.join(sorted(loaders))} "
                f"(others come from installed packages with an entry point in {self.group!r})"
            )
        loaded: type[T] = loaders[kind]()
        return loaded


def _load(target: str) -> Any:
    """The object that ``module:name`` stands for."""
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


DATASETS: Registry[Any] = Registry(
    "dataset",
    "nnp_pretrain_bench.datasets",
    {
        "tip3p": "tasks.datasets.tip3p.task:TIP3P",
        "rpbe": "tasks.datasets.runner.rpbe:RPBE",
        "n2p2": "tasks.datasets.runner.n2p2:N2P2",
        "rmd17": "tasks.datasets.rmd17.task:RMD17",
        "extxyz": "tasks.datasets.own.extxyz:ExtXYZ",
        "trajectory": "tasks.datasets.own.trajectory:Trajectory",
    },
)
MODELS: Registry[Any] = Registry(
    "model",
    "nnp_pretrain_bench.models",
    {
        "egnn": "tasks.models.egnn:EGNN",
        "gns": "tasks.models.gns:GNS",
        "forcenet": "tasks.models.forcenet:ForceNet",
        "tensornet": "tasks.models.torchmdnet:TensorNet",
        "tensornet2": "tasks.models.torchmdnet:TensorNet2",
        "equivariant-transformer": "tasks.models.torchmdnet:EquivariantTransformer",
        "graph-network": "tasks.models.torchmdnet:GraphNetwork",
    },
)
PRETEXTS: Registry[Any] = Registry(
    "pretext",
    "nnp_pretrain_bench.pretexts",
    {
        "masking": "tasks.pretexts.masking:Masking",
        "denoising": "tasks.pretexts.denoising:Denoising",
    },
)
