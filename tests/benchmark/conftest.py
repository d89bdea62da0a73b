"""Made-up frames with a tiny potential to fit on them, and a finished smoke run of the real command line."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from torch_geometric.data import Data

from benchmark.cli.main import main
from benchmark.planning.config import Finetune, Phase
from benchmark.training.data import SplitDataModule
from tasks.datasets.splits import Split
from tasks.models.egnn import EGNN
from tasks.options.models import EGNNConfig
from tests.benchmark.own_suite import suite_writer
from tests.benchmark.runs import ONE, command


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """What needs a finished run is slow."""
    for item in items:
        if "smoke" in item.fixturenames:
            item.add_marker("slow")


def frame(seed: int, molecules: int = 2) -> Data:
    """A random structure with random normalised labels; sizes differ so that batches are uneven."""
    generator = torch.Generator().manual_seed(seed)
    atoms = 3 * molecules
    return Data(
        z=torch.tensor([8, 1, 1]).repeat(molecules),
        pos=torch.arange(atoms).unsqueeze(1) * 0.9 + torch.rand(atoms, 3, generator=generator),
        y=torch.randn(1, 1, generator=generator),
        neg_dy=torch.randn(atoms, 3, generator=generator),
        box=torch.eye(3).unsqueeze(0) * 20,
        molecule=torch.arange(molecules).repeat_interleave(3),
    )


@pytest.fixture(scope="session")
def frames() -> list[Data]:
    """Fourteen frames of one, two or three molecules."""
    return [frame(seed, 1 + seed % 3) for seed in range(14)]


@pytest.fixture(scope="session")
def split() -> Split:
    """Nine, three and two frames: no batch size of these tests divides them."""
    return Split(np.arange(9), np.arange(9, 12), np.arange(12, 14))


@pytest.fixture
def make_data(frames, split):
    """Factory of data modules in a folder."""

    def make(folder: Path, order_seed: int = 3) -> SplitDataModule:
        folder.mkdir(parents=True, exist_ok=True)
        return SplitDataModule(frames, split, folder, 4, 2, order_seed)

    return make


@pytest.fixture
def make_potential():
    """Factory of tiny potentials with the same initial weights each time."""

    def make() -> EGNN:
        torch.manual_seed(7)
        return EGNN(EGNNConfig(hidden=6, layers=2))

    return make


@pytest.fixture(scope="session")
def finetuning() -> Finetune:
    """Four epochs."""
    return Finetune(epochs=4, lr=1e-2, lr_min=1e-4, force_weight=1, energy_weight=0.5, gradient_clip=5)


@pytest.fixture(scope="session")
def pretraining() -> Phase:
    """Four epochs."""
    return Phase(epochs=4, lr=1e-2, lr_min=1e-4)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def smoke(tmp_path_factory, data_dir):
    """A finished run of suite water at scale smoke with one of its networks; made once, each process has a copy."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "smoke"
    with FileLock(f"{shared}.lock"):
        if not (shared / "stdout").exists():
            shutil.rmtree(shared, ignore_errors=True)
            _make_smoke(shared)
    shutil.copytree(shared / "data", data_dir, dirs_exist_ok=True)
    place = tmp_path_factory.mktemp("runs")
    shutil.copytree(shared / "runs", place, dirs_exist_ok=True)
    return place / "water-smoke", (shared / "stdout").read_text(encoding="utf-8")


def _make_smoke(folder: Path) -> None:
    runs = folder / "runs"
    runs.mkdir(parents=True)
    for name in ("benchmark", "tasks", "reports"):  # files of the user's where the command is called: not to be run
        (runs / f"{name}.py").write_text(f"open({str(runs / 'executed')!r}, 'a').write('{name}')\n")
    arguments = (
        "--suite",
        "water",
        "--scale",
        "smoke",
        *ONE,
        "--out",
        runs / "water-smoke",
        "--data-dir",
        folder / "data",
    )
    done = command("run", *arguments, cwd=runs)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "stdout").write_text(done.stdout, encoding="utf-8")


@pytest.fixture
def refuse(monkeypatch, capsys):
    """Run the command line in this process; expect exit code 2 and one message with the fragments."""

    def run(*arguments, fragments):
        monkeypatch.setattr(sys, "argv", ["benchmark", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        message = capsys.readouterr().err
        assert ended.value.code == 2, message
        assert message.count("error:") == 1
        for fragment in fragments:
            assert fragment in message

    return run


@pytest.fixture
def own(tmp_path):
    """Write a suite of two small labelled sets and a larger unlabelled one; changes are laid over it."""
    return suite_writer(tmp_path)
