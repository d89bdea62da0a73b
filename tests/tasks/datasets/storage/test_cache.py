"""The dataset cache: whole or not there, made once, checked when read."""

import errno
import json
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from tasks.datasets.base import DatasetError
from tasks.datasets.storage import cache

KIND, PARAMETERS, VERSION = "toy", {"size": 3}, 1


def build(folder: Path) -> dict[str, str]:
    (folder / "values.txt").write_text("1 2 3")
    (folder / "part").mkdir()
    (folder / "part" / "more.txt").write_text("4")
    return {"made": "here"}


def must_not_build(folder: Path) -> dict[str, str]:
    raise AssertionError("built although it was there")


def build_slowly(folder: Path) -> dict[str, str]:
    with (folder.parent / "builds.log").open("a") as log:
        log.write(f"{os.getpid()}\n")
    time.sleep(0.3)
    return build(folder)


def ensure_slowly(data_dir: Path) -> None:
    cache.ensure(data_dir, KIND, PARAMETERS, VERSION, build_slowly)


def test_builds_once_and_opens(tmp_path: Path) -> None:
    folder = cache.ensure(tmp_path / "deep" / "data", KIND, PARAMETERS, VERSION, build)
    assert cache.ensure(tmp_path / "deep" / "data", KIND, PARAMETERS, VERSION, must_not_build) == folder
    opened, provenance = cache.open_dataset(tmp_path / "deep" / "data", KIND, PARAMETERS, VERSION)
    assert opened == folder
    assert provenance == {"made": "here"}
    manifest = json.loads((folder / cache.MANIFEST).read_text())
    assert manifest["parameters"] == PARAMETERS
    assert set(manifest["files"]) == {"values.txt", "part/more.txt"}


def test_folder_depends_on_all_that_determines_the_data(tmp_path: Path) -> None:
    def name(*arguments) -> str:
        return cache.dataset_folder(tmp_path, *arguments).name

    reference = name("toy", {"a": 1, "b": 2}, 1)
    assert name("toy", {"b": 2, "a": 1}, 1) == reference
    others = [
        name("toy", {"a": 1, "b": 3}, 1),
        name("toy", {"a": 1, "b": 2}, 2),
        name("tow", {"a": 1, "b": 2}, 1),
    ]
    assert len({reference, *others}) == 4


@pytest.mark.parametrize("place", ["in a partial folder", "in the dataset's own place"])
def test_torso_is_not_opened_and_is_made_again(tmp_path: Path, place: str) -> None:
    folder = cache.dataset_folder(tmp_path, KIND, PARAMETERS, VERSION)
    torso = folder if place.endswith("place") else tmp_path / f".{folder.name}.partial-0123abcd"
    torso.mkdir()
    (torso / "values.txt").write_text("1 2")
    (torso / "stray.txt").write_text("from the killed run")
    with pytest.raises(DatasetError, match="no complete dataset"):
        cache.open_dataset(tmp_path, KIND, PARAMETERS, VERSION)
    cache.ensure(tmp_path, KIND, PARAMETERS, VERSION, build)
    assert (folder / "values.txt").read_text() == "1 2 3"
    assert not (folder / "stray.txt").exists()
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> dict[str, str]:
        (folder / "values.txt").write_text("1")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.ensure(tmp_path, KIND, PARAMETERS, VERSION, fail)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "manifest"])
def test_damage_is_named(tmp_path: Path, damage: str) -> None:
    folder = cache.ensure(tmp_path, KIND, PARAMETERS, VERSION, build)
    file = folder / (cache.MANIFEST if damage == "manifest" else "values.txt")
    if damage == "gone":
        file.unlink()
    else:
        file.write_text({"cut": "1 2", "changed": "1 2 4", "manifest": "{"}[damage])
    with pytest.raises(DatasetError, match=file.name):
        cache.open_dataset(tmp_path, KIND, PARAMETERS, VERSION)


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=f"(?s)cannot write.*file.*{cache.DATA_DIR_VARIABLE}"):
        cache.ensure(tmp_path / "file" / "data", KIND, PARAMETERS, VERSION, must_not_build)


def test_full_disk(tmp_path: Path) -> None:
    def fill(folder: Path) -> dict[str, str]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(DatasetError, match=r"No space left.*Free space"):
        cache.ensure(tmp_path, KIND, PARAMETERS, VERSION, fill)
    assert not cache.dataset_folder(tmp_path, KIND, PARAMETERS, VERSION).exists()


def test_two_processes_build_one_dataset(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=ensure_slowly, args=(tmp_path,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    assert len((tmp_path / "builds.log").read_text().split()) == 1
    cache.open_dataset(tmp_path, KIND, PARAMETERS, VERSION)


def test_default_data_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(cache.DATA_DIR_VARIABLE, str(tmp_path))
    assert cache.default_data_dir() == tmp_path
    monkeypatch.delenv(cache.DATA_DIR_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.default_data_dir().name == "nnp-pretrain-bench"
