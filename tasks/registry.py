"""Names to classes: the built-in kinds, and those that installed packages add through entry points."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

T = TypeVar("T")


class UnknownKindError(ValueError):
    """A name that no registry knows."""


class Registry(Generic[T]):
    """Classes of one sort by the name (``kind``) that suites use; modules are imported when first needed.

    Args:
        noun: what an entry is called in messages.
        group: the entry-point group through which other packages add theirs.
        builtin: the built-in ones, kind to ``module:Class`` of the class and of its options. The options' modules do
            not import torch: what is wrong in a suite file is told before that takes its seconds.
    """

    def __init__(self, noun: str, group: str, builtin: dict[str, tuple[str, str]]) -> None:
        self.noun = noun
        self.group = group
        self._builtin = builtin

    def kinds(self) -> list[str]:
        """All known names, sorted."""
        return sorted({*self._builtin, *entry_points(group=self.group).names})

    def get(self, kind: str) -> type[T]:
        """The class with this name.

        Raises:
            UnknownKindError: there is none; the message lists the known names.
        """
        if kind in self._builtin:
            return _load(self._builtin[kind][0])
        return self._added(kind)

    def options(self, kind: str) -> type[BaseModel]:
        """The options of the class with this name: what it has as ``Config``.

        Raises:
            UnknownKindError: there is none; the message lists the known names.
        """
        if kind in self._builtin:
            return _load(self._builtin[kind][1])
        cls: Any = self._added(kind)
        options: type[BaseModel] = cls.Config
        return options

    def _added(self, kind: str) -> type[T]:
        """A class of an installed package."""
        for point in entry_points(group=self.group, name=kind):
            return point.load()
        raise UnknownKindError(
            f"unknown {self.noun} kind {kind!r}; known are {', '.join(self.kinds())} "
            f"(others come from installed packages with an entry point in {self.group!r})"
        )


def _load(target: str) -> Any:
    """The object that ``module:name`` stands for."""
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


DATASETS: Registry[Any] = Registry(
    "dataset",
    "nnp_pretrain_bench.datasets",
    {
        "tip3p": ("tasks.datasets.tip3p.task:TIP3P", "tasks.datasets.tip3p.options:TIP3PConfig"),
        "rpbe": ("tasks.datasets.runner.rpbe:RPBE", "tasks.datasets.runner.options:RPBEConfig"),
        "n2p2": ("tasks.datasets.runner.n2p2:N2P2", "tasks.datasets.runner.options:N2P2Config"),
        "rmd17": ("tasks.datasets.rmd17.task:RMD17", "tasks.datasets.rmd17.options:RMD17Config"),
        "extxyz": ("tasks.datasets.own.extxyz:ExtXYZ", "tasks.datasets.own.options:ExtXYZConfig"),
        "trajectory": ("tasks.datasets.own.trajectory:Trajectory", "tasks.datasets.own.options:TrajectoryConfig"),
        "relabelled": (
            "tasks.datasets.relabelled.task:Relabelled",
            "tasks.datasets.relabelled.options:RelabelledConfig",
        ),
    },
)
MODELS: Registry[Any] = Registry(
    "model",
    "nnp_pretrain_bench.models",
    {
        "egnn": ("tasks.models.egnn:EGNN", "tasks.options.models:EGNNConfig"),
        "gns": ("tasks.models.gns:GNS", "tasks.options.models:GNSConfig"),
        "forcenet": ("tasks.models.forcenet:ForceNet", "tasks.options.models:ForceNetConfig"),
        "tensornet": ("tasks.models.torchmdnet:TensorNet", "tasks.options.models:TorchMDNetConfig"),
        "tensornet2": ("tasks.models.torchmdnet:TensorNet2", "tasks.options.models:ChargeConfig"),
        "equivariant-transformer": (
            "tasks.models.torchmdnet:EquivariantTransformer",
            "tasks.options.models:AttentionConfig",
        ),
        "graph-network": ("tasks.models.torchmdnet:GraphNetwork", "tasks.options.models:TorchMDNetConfig"),
    },
)
PRETEXTS: Registry[Any] = Registry(
    "pretext",
    "nnp_pretrain_bench.pretexts",
    {
        "masking": ("tasks.pretexts.masking:Masking", "tasks.options.pretexts:MaskingConfig"),
        "denoising": ("tasks.pretexts.denoising:Denoising", "tasks.options.pretexts:DenoisingConfig"),
        "distance-denoising": (
            "tasks.pretexts.distances:DistanceDenoising",
            "tasks.options.pretexts:DistanceDenoisingConfig",
        ),
        "labels": ("tasks.pretexts.labels:Labels", "tasks.options.pretexts:LabelsConfig"),
        "file": ("tasks.pretexts.file:PretrainedFile", "tasks.options.pretexts:FileConfig"),
    },
)
LABELLERS: Registry[Any] = Registry(
    "labeller",
    "nnp_pretrain_bench.labellers",
    {
        "water": ("tasks.labellers.water:WaterModel", "tasks.labellers.options:WaterModelConfig"),
        "xtb": ("tasks.labellers.xtb:XTB", "tasks.labellers.options:XTBConfig"),
    },
)
