"""What a machine without a GPU need not be told in every process."""

from __future__ import annotations

import os

import pytest
import warp

from tasks.models import quiet


def test_the_missing_driver_is_not_mentioned_and_all_else_is_passed_on(monkeypatch, capfd):
    def init():
        os.write(2, b"Warp CUDA warning: " + quiet.NO_DRIVER + b". GPU execution will not be available.\n")
        os.write(2, b"Warp CUDA error 100: no device\n")

    monkeypatch.setattr(warp, "init", init)
    quiet.begin_warp()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "Warp CUDA error 100: no device\nafter\n"


def test_what_fails_leaves_stderr_as_it_was(monkeypatch, capfd):
    def init():
        os.write(2, b"why\n")
        raise RuntimeError("no")

    monkeypatch.setattr(warp, "init", init)
    with pytest.raises(RuntimeError):
        quiet.begin_warp()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "why\nafter\n"
