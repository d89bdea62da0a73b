"""The verbs under `data`, against a server on this machine."""

from __future__ import annotations

import sys

import pytest
import yaml

from benchmark.cli.main import main
from tasks.datasets.storage import sources
from tests.benchmark.runs import inside
from tests.http_server import File, serve

pytestmark = pytest.mark.slow

SOURCE = {
    "title": "Toy molecules",
    "licence": "CC0-1.0",
    "page": "https://example.org/toy",
    "citation": {"text": "A. Author, A Title (2020)", "doi": "10.1000/1"},
    "level_of_theory": "guess",
    "units": {"length": "Å", "energy": "eV", "force": "eV/Å"},
    "warning": "Not for training.",
}


@pytest.fixture
def server(tmp_path, monkeypatch):
    with serve() as running:
        unknown = {"bytes": None, "checksum": None}
        template = {"name": "{x}_{n}.dat", "for_each": {"x": ["ethanol", "uracil"], "n": ["1", "2"]}, **unknown,
                    "urls": [running.url("{x}_{n}.dat")]}  # fmt: skip
        archive = {"name": "all.bin", "urls": [running.url("all.bin")], **unknown, "bytes": 8, "by_default": False}
        path = tmp_path / "sources.yaml"
        path.write_text(yaml.safe_dump({"toy": {**SOURCE, "files": [template, archive]}}), encoding="utf-8")
        monkeypatch.setattr(sources, "SOURCES", path)
        for name in ("ethanol_1.dat", "ethanol_2.dat", "uracil_1.dat", "uracil_2.dat"):
            running.put(name, File(name.encode()))
        running.put("all.bin", File(b"all of it"[:8]))
        yield running


@pytest.fixture
def output(monkeypatch, capsys):
    """What a command that succeeds prints."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["benchmark", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert ended.value.code == 0, printed.err
        return printed.out

    return run


def files(folder):
    return sorted(path.name for path in (folder / "toy").iterdir() if path.suffix in (".dat", ".bin"))


def test_fetch_takes_all_but_the_alternatives_and_tells_the_terms(server, output, tmp_path):
    data = tmp_path / "data"
    printed = output("data", "fetch", "toy", "--data-dir", data)
    for told in (
        "CC0-1.0",
        "A. Author",
        "https://doi.org/10.1000/1",
        "Not for training.",
        f"4 files are in {data / 'toy'}",
    ):
        assert told in printed
    assert files(data) == ["ethanol_1.dat", "ethanol_2.dat", "uracil_1.dat", "uracil_2.dat"]
    output("data", "fetch", "toy", "--data-dir", data)
    assert len(server.requests) == 4


@pytest.mark.parametrize(("patterns", "expected"), [
    (["*ethanol*"], ["ethanol_1.dat", "ethanol_2.dat"]),
    (["*_1.dat", "uracil_?.dat"], ["ethanol_1.dat", "uracil_1.dat", "uracil_2.dat"]),
    (["all.bin"], ["all.bin"]),
])  # fmt: skip
def test_fetch_takes_files_by_pattern(server, output, tmp_path, patterns, expected):
    output("data", "fetch", "toy", *patterns, "--data-dir", tmp_path)
    assert files(tmp_path) == expected
    assert sorted(request.path for request in server.requests) == expected


def test_list_tells_what_is_there(server, output, tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "uracil_2.dat").write_bytes(b"own")
    row = next(line for line in output("data", "list", "--data-dir", tmp_path).splitlines() if "Toy molecules" in line)
    cells = [cell.strip() for cell in row.split("│")][1:-1]
    assert cells == ["toy", "Toy molecules", "5", "1", "not published", "CC0-1.0"]
    told = output("data", "list", "--data-dir", tmp_path)
    assert "toy: cite A. Author, A Title (2020), https://doi.org/10.1000/1\n    see https://example.org/toy\n" in told
    listed = output("data", "list", "toy", "--data-dir", tmp_path)
    assert "https://example.org/toy" in listed
    assert [line.split("│")[3].strip() != "no" for line in listed.splitlines() if ".dat" in line] == [False] * 3 + [
        True
    ]
    assert not server.requests


@pytest.mark.parametrize(("arguments", "fragments"), [
    (["fetch", "tou"], ["unknown source 'tou'", "'toy'?"]),
    (["list", "tou"], ["unknown source 'tou'"]),
    (["fetch", "toy", "*methanol*"], ["no file '*methanol*'", "ethanol_1.dat", "all.bin"]),
    (["fetch", "toy", "uracil_1.dat"], ["uracil_1.dat: HTTP status 404", "--data-dir"]),
    (["prepare", "--suite", "none.yaml"], ["cannot be read"]),
])  # fmt: skip
def test_wrong_input_ends_with_exit_code_2_and_one_message(server, refuse, tmp_path, arguments, fragments):
    del server.files["uracil_1.dat"]
    refuse("data", *arguments, "--data-dir", tmp_path, fragments=fragments)


def test_an_interrupted_fetch_says_how_to_go_on(server, tmp_path, monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmark.cli.data.obtain", stop)
    monkeypatch.setattr(sys, "argv", ["benchmark", "data", "fetch", "toy", "--data-dir", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_prepare_makes_the_datasets_of_a_suite(data_dir):
    done = inside("data", "prepare", "--suite", "water", "--scale", "smoke", "--data-dir", data_dir)
    assert done.returncode == 0, done.stderr
    assert f"are in {data_dir}" in done.stdout
    assert list(data_dir.glob("tip3p-*/dataset.json"))
