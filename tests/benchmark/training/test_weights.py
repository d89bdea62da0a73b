"""Weights are read only if they are whole and of the job that asks."""

from __future__ import annotations

import os

import pytest
import torch

from benchmark.training.weights import KEY, read_weights, write_weights
from reports.records.atomic import RecordError

WEIGHTS = {"a": torch.arange(100.0)}


@pytest.fixture
def path(tmp_path):
    write_weights(WEIGHTS, tmp_path / "potential.pt", "mine")
    return tmp_path / "potential.pt"


def test_weights_come_back(path):
    assert torch.equal(read_weights(path, "mine", "")["state_dict"]["a"], WEIGHTS["a"])


def test_any_flipped_byte_of_the_numbers_is_noticed(path):
    """PyTorch's own reader takes them as they are."""
    content = path.read_bytes()
    begin = content.index(WEIGHTS["a"].numpy().tobytes())
    for place in range(begin, begin + 400, 13):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(RecordError, match="checksum"):
            read_weights(path, "mine", "")
        assert not torch.equal(torch.load(path, weights_only=True)["state_dict"]["a"], WEIGHTS["a"])


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_torn_file_is_named_with_the_remedy_and_without_unsafe_advice(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RecordError, match=r"potential\.pt cannot be read, it is damaged .*: do this$") as caught:
        read_weights(path, "mine", "do this")
    assert "weights_only" not in str(caught.value)


class Hostile:
    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Hostile(), "cannot be read"),
        ([1], "holds no weights"),
        ({KEY: "mine"}, "holds no weights"),
        ({"state_dict": WEIGHTS}, "holds weights without the key of a job, those of mine were expected"),
        ({"state_dict": WEIGHTS, KEY: "yours"}, "holds weights of job yours, those of mine were expected"),
    ],
)
def test_other_content_is_refused(path, content, message, capsys):
    torch.save(content, path)
    with pytest.raises(RecordError, match=message):
        read_weights(path, "mine", "")
    assert capsys.readouterr().out == ""


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RecordError, match=r"none\.pt is missing: do this"):
        read_weights(tmp_path / "none.pt", "mine", "do this")


def test_weights_are_on_the_disk_before_they_have_their_name(tmp_path, monkeypatch):
    """A power cut leaves no file that is named and not whole."""
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(descriptor) or fsync(descriptor))
    write_weights(WEIGHTS, tmp_path / "potential.pt", "mine")
    assert synced
