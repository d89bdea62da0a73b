"""What a run is told of the machine it is on."""

from __future__ import annotations

import pytest

from benchmark.run import machine
from benchmark.run.machine import taking_turns


@pytest.mark.parametrize("named", [True, False])
def test_cells_that_share_a_gpu_take_turns_unless_a_daemon_is_there(tmp_path, monkeypatch, named):
    if named:
        monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    else:
        monkeypatch.delenv("CUDA_MPS_PIPE_DIRECTORY", raising=False)
        monkeypatch.setattr(machine, "MPS_FOLDER", str(tmp_path))
    (note,) = taking_turns(8, "cuda")
    assert "8 cells" in note
    assert "nvidia-cuda-mps-control -d" in note
    (tmp_path / "control").touch()
    assert taking_turns(8, "cuda") == []


@pytest.mark.parametrize("alone", [(1, "cuda", 1), (8, "cpu", 1), (2, "cuda", 4)])
def test_cells_that_share_no_gpu_do_not(tmp_path, monkeypatch, alone):
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    assert taking_turns(*alone) == []
