"""`make soak`: a run killed at random moments, every file of a run folder damaged in every way, parsers fed with noise.

The quick part of this is in the test suite; this one takes as long as it is told to. It ends with exit code 1 at the
first result that differs from that of an undisturbed run, and with a traceback at the first error that is none of ours.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd
import psutil
import torch
import yaml
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from rich.console import Console

from benchmark.errors import BenchmarkError
from benchmark.planning.reading import read_suite
from benchmark.planning.strict_yaml import load_yaml
from benchmark.run import execute as execution
from benchmark.run.watching.progress import Display
from reports.records.atomic import RecordError
from reports.records.folder import RunFolder
from reports.records.run import read_run
from tasks.datasets.base import DatasetError
from tasks.datasets.own.extxyz import ExtXYZ
from tasks.datasets.own.options import ExtXYZConfig
from tasks.datasets.rmd17.files import read_arrays
from tasks.datasets.runner.parser import read_structures
from tasks.datasets.storage.download import download
from tests.benchmark.own_suite import arms, entry, suite_writer
from tests.benchmark.runs import in_turn, records
from tests.http_server import File, serve

OURS = (BenchmarkError, DatasetError, RecordError, yaml.YAMLError)
TIMING = ["pretrain_seconds", "finetune_seconds", "peak_memory_mb"]
SUITE = """\
extends: water
name: soak
title: Soak
description: Long enough to be killed
scales: {smoke: {training: {finetune: {epochs: 60}, pretrain: {epochs: 60}}}}
models: {gns: null, forcenet: null}
strategies: {denoised: null, scratch-extended: null}
baselines: [scratch]
"""


def same_numbers(first: Path, second: Path) -> None:
    """Raise AssertionError unless two run folders hold the same records, times apart."""
    order = ["cell_key", "checkpoint", "split"]
    one, other = (records(run).drop(columns=TIMING).sort_values(order) for run in (first, second))
    pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True), check_exact=True)


def soak_kills(folder: Path, kills: int, chance: random.Random) -> Counter[str]:
    """Run a suite in sittings that are ended at random moments, in every way; the numbers stay the same."""
    suite = folder / "soak.yaml"
    suite.write_text(SUITE, encoding="utf-8")

    def start(out: Path) -> subprocess.Popen[bytes]:
        command = ["run", "--suite", suite, "--scale", "smoke", "--out", out, "--data-dir", folder, "--jobs", "2"]
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "benchmark", *map(str, command)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    began = time.monotonic()
    assert start(folder / "whole").wait() == 0
    whole_s = time.monotonic() - began
    done: Counter[str] = Counter()
    number = 0
    while done.total() < kills:
        out, code = folder / f"killed-{number}", None
        number += 1
        while code != 0:
            process = start(out)
            if done.total() < kills:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(chance.uniform(0, whole_s))
                if process.poll() is None:
                    done[_end(process, chance)] += 1
            code = process.wait()
            assert code in (0, 1, 130, 143, -signal.SIGKILL, -signal.SIGINT, -signal.SIGTERM), f"exit code {code}"
        same_numbers(folder / "whole", out)
        print(f"  {done.total()} of {kills} kills, {number} runs that ended with the same numbers", flush=True)
    return done


def _end(process: subprocess.Popen[bytes], chance: random.Random) -> str:
    """End a run, or one of its processes, in some way; returns which."""
    how = chance.choice(["command", "all", "worker", "interrupt", "terminate"])
    if how == "all":
        os.killpg(process.pid, signal.SIGKILL)
    elif how == "worker":
        children = psutil.Process(process.pid).children(recursive=True)
        with suppress(psutil.Error, IndexError):
            chance.choice(children).kill()
    else:
        number = {"command": signal.SIGKILL, "interrupt": signal.SIGINT, "terminate": signal.SIGTERM}[how]
        process.send_signal(number)
    return how


def soak_damage(folder: Path, chance: random.Random) -> Counter[str]:
    """Damage each file of a finished run in each way, and run again: the numbers stay the same, no traceback."""
    write = suite_writer(folder)
    suite = write(
        datasets={"b": entry(write.files["b"], split={"val": 0.2, "test": 0.2})},
        strategies={name: arm for name, arm in arms().items() if name != "longer"},
        baselines=["scratch"],
    )

    def run(out: Path) -> None:
        planned = execution.prepare(read_suite(str(suite), "tiny"), folder, out=out, jobs=1, device="cpu")
        with Display(Console(file=io.StringIO())) as display:
            execution.execute(planned, display)

    execution.run_jobs = in_turn
    whole = folder / "whole"
    run(whole)
    done: Counter[str] = Counter()
    files = [path.relative_to(whole) for path in sorted(whole.rglob("*")) if path.is_file()]
    for name in files:
        for how, damage in DAMAGES.items():
            if how == "flip" and name.suffix == ".json":
                continue  # within a word that nobody reads, it may go unnoticed
            for unfinished in (False, True):
                out = folder / "damaged"
                shutil.rmtree(out, ignore_errors=True)
                shutil.copytree(whole, out)
                if unfinished:
                    for status in out.glob("*/*/status.json"):
                        status.write_text('{"state": "running"}', encoding="utf-8")
                damage(out / name, chance)
                try:
                    run(out)
                except OURS as error:
                    raise AssertionError(f"{name}, {how}: a dead end: {error}") from error
                same_numbers(whole, out)
                assert read_run(out).count("ok") == 2, f"{name}, {how}"
                done[how] += 1
    return done


def _flip(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    if content:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path, random.Random], object]] = {
    "empty": lambda path, chance: path.write_bytes(b""),
    "truncate": lambda path, chance: path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size + 1)]),
    "flip": _flip,
    "noise": lambda path, chance: path.write_bytes(chance.randbytes(300)),
    "text": lambda path, chance: path.write_text("[1, {}", encoding="utf-8"),
    "remove": lambda path, chance: path.unlink(),
}


def soak_parsers(folder: Path, seconds: float, chance: random.Random) -> Counter[str]:
    """Feed mutations of good files to each parser: what is refused is refused in words."""
    cases = _parsers(folder)
    done: Counter[str] = Counter()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for name, (good, read) in cases.items():
            path = folder / name
            path.write_bytes(_mutated(good, chance))
            try:
                read(path)
            except OURS:
                done[f"{name}: refused"] += 1
            else:
                done[f"{name}: read"] += 1
    return done


def _mutated(good: bytes, chance: random.Random) -> bytes:
    content = bytearray(good)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(content) + 1)
        how = chance.choice(["flip", "cut", "insert", "double", "number"])
        if how == "flip" and place < len(content):
            content[place] ^= 1 << chance.randrange(8)
        elif how == "cut":
            del content[place : place + chance.randint(1, 50)]
        elif how == "insert":
            content[place:place] = chance.randbytes(chance.randint(1, 8))
        elif how == "double":
            content[place:place] = content[place : place + chance.randint(1, 200)]
        else:
            content[place:place] = chance.choice(
                [b"1e39", b"-1", b"nan", b"99999999999999999999", b"\x00", b"{", b"*a"]
            )
    return bytes(content)


def _parsers(folder: Path) -> dict[str, tuple[bytes, Callable[[Path], object]]]:
    """By file name: a good file, and what reads it."""
    n2p2 = (
        "begin\ncomment seed=1\nlattice 10 0 0\nlattice 0 10 0\nlattice 0 0 10\natom 1 2 3 O 0 0 0.1 0 0\n"
        "atom 2 2 3 H 0 0 0 0 0.1\nenergy -76.5\ncharge 0\nend\n" * 3
    )
    arrays = io.BytesIO()
    numbers, vectors = np.arange(4), np.ones((4, 2, 3))
    content = {"nuclear_charges": np.array([8, 1]), "old_indices": numbers, "energies": numbers + 0.5}
    np.savez(arrays, allow_pickle=False, coords=vectors, forces=vectors, **content)
    frames = []
    for number in range(3):
        atoms = Atoms("OH", [[0, 0, number], [1, 0, number]], cell=[9, 9, 9], pbc=True)
        atoms.calc = SinglePointCalculator(atoms, energy=1.0, forces=np.ones((2, 3)))
        frames.append(atoms)
    ase.io.write(folder / "good.extxyz", frames)
    keys = ("nuclear_charges", "old_indices", "coords", "energies", "forces")
    stored = Path(__file__).parents[1] / "tests" / "data" / "run-schema-1" / "plan.json"
    return {
        "input.data": (n2p2.encode(), read_structures),
        "frames.npz": (arrays.getvalue(), lambda path: read_arrays(path, keys)),
        "own.extxyz": (
            (folder / "good.extxyz").read_bytes(),
            lambda path: ExtXYZ(ExtXYZConfig(path=str(path))).load(path.parent),
        ),
        "suite.yaml": (SUITE.encode(), lambda path: load_yaml(path.read_text("utf-8", errors="replace"))),
        "plan.json": (stored.read_bytes(), lambda path: RunFolder(path.parent).read_plan()),
    }


def soak_downloads(folder: Path, seconds: float, chance: random.Random) -> Counter[str]:
    """A server with every fault: a file is whole and the right one, or it is not there."""
    buffer = io.BytesIO()
    np.savez(buffer, a=np.arange(3000.0))
    whole = buffer.getvalue()
    done: Counter[str] = Counter()
    until = time.monotonic() + seconds
    with serve() as server:
        while time.monotonic() < until:
            target = folder / f"download-{done.total()}" / "a.npz"
            file = File(
                chance.choice([whole, whole, _mutated(whole, chance)]),
                etag=chance.choice([None, '"1"', 'W/"1"']),
                ranges=chance.random() < 0.7,
                checks_if_range=chance.random() < 0.7,
                status=chance.choice([None, None, None, 404, 500]),
                cuts=[chance.randrange(len(whole)) for _ in range(chance.randrange(4))],
                kind=chance.choice(["application/octet-stream", "text/html"]),
                tells_length=chance.random() < 0.7,
                headers=chance.choice([{}, {}, {"Content-Encoding": "gzip"}]),
            )
            try:
                download([server.put("a.npz", file)], target, chance.choice([None, len(whole), 10]))
            except DatasetError:
                assert not target.exists()
                done["refused"] += 1
            else:
                with np.load(target) as arrays:
                    assert file.content != whole or np.array_equal(arrays["a"], np.arange(3000.0))
                done["kept"] += 1
            shutil.rmtree(target.parent, ignore_errors=True)
    return done


def main() -> None:
    """Parse the options, soak, and say what was tried."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--seconds", type=float, default=120, help="for the parsers, and half of it for downloads")
    options.add_argument("--seed", type=int, default=None)
    chosen = options.parse_args()
    seed = chosen.seed if chosen.seed is not None else random.randrange(10**6)
    print(f"seed {seed}", flush=True)
    chance = random.Random(seed)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts: dict[str, Callable[[Path], Counter[str]]] = {
            "parsers": lambda place: soak_parsers(place, chosen.seconds, chance),
            "downloads": lambda place: soak_downloads(place, chosen.seconds / 2, chance),
            "damage": lambda place: soak_damage(place, chance),
            "kills": lambda place: soak_kills(place, chosen.kills, chance),
        }
        for what, soak in parts.items():
            (folder / what).mkdir()
            print(f"{what}: {dict(sorted(soak(folder / what).items()))}", flush=True)


if __name__ == "__main__":
    main()
