"""Whole commands: how soon they work, refuse or answer, and how many cells they finish in an hour."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from performance.rows import Finding, Row, Settings, of_pairs
from performance.timing import Pairs

ROOT = Path(__file__).parents[1]
POLL_S = 0.005
COMMAND = (sys.executable, "-m", "benchmark")
REFUSED = (
    ("run", "--suite", "watr"),
    ("run", "--suite", "water", "--scale", "quik"),
    ("run", "--suite", "water", "--select", "model=egn"),
    ("run", "--suite", "water", "--device", "tpu"),
    ("run", "--suite", "water", "--reuse", "nowhere"),
    ("data", "prepare", "--suite", "watr"),
    ("report", "nowhere"),
)


@dataclass(frozen=True)
class Cost:
    """What a process took: wall and processor time, s; exit code; peak of its memory, MB."""

    wall_s: float
    cpu_s: float
    code: int
    peak_mb: float


# A process takes over the peak of the one that started it (Linux: exec keeps the larger of the two), and this one has
# torch in its memory: so a small one in between starts the command, waits for it and says what it took.
_LAUNCHER = """
import json, os, sys, time
began = time.perf_counter()
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
wall = time.perf_counter() - began
found = [wall, usage.ru_utime + usage.ru_stime, os.waitstatus_to_exitcode(status), usage.ru_maxrss]
os.write(int(sys.argv[1]), json.dumps(found).encode())
"""


def run(command: Sequence[str], folder: Path = ROOT, environment: dict[str, str] | None = None) -> Cost:
    """Run a command, whose program is named by its whole path, to its end, without its output."""
    source, sink = os.pipe()
    with open(source, encoding="utf-8") as found:
        started = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(sink), *command],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
            pass_fds=[sink],
        )
        os.close(sink)
        wall, cpu, code, peak = json.loads(found.read())
        started.wait()
    # Kilobytes on Linux, bytes on macOS.
    return Cost(wall, cpu, code, peak * (1 if sys.platform == "darwin" else 1024) / 1e6)


def _answers(settings: Settings) -> list[Finding]:
    """Processor time of refusals and of help: of wall time the machine's other work would be a part."""
    repeats = 1 if settings.quick else 5
    found = []
    for arguments, code in [*((arguments, 2) for arguments in REFUSED), (("--help",), 0)]:
        costs = [run([*COMMAND, *arguments]) for _ in range(repeats)]
        if any(cost.code != code for cost in costs):
            raise RuntimeError(f"{' '.join(arguments)} ended with {costs[0].code}, not {code}")
        cpu = statistics.median(cost.cpu_s for cost in costs)
        wall = statistics.median(cost.wall_s for cost in costs)
        what = "help" if code == 0 else "a wrong option refused"
        words = f"{what}: {' '.join(arguments)}"
        found.append(Finding("answers", words, "–", cpu, "s", 1.0, "at most", details={"cpu_s": cpu, "wall_s": wall}))
    return found


def _suite(folder: Path, scale: str, seeds: int, epochs: int) -> Path:
    """A suite of `seeds` cells: EGNN of a scale of `water`, from scratch, of so many epochs."""
    path = folder / "bench.yaml"
    content = {
        "extends": "water",
        "name": "bench",
        "title": "For timings",
        "description": "EGNN from scratch.",
        "seeds": seeds,
        "baselines": ["scratch"],
        "models": {"gns": None, "forcenet": None},
        "strategies": {"scratch-extended": None, "masked": None, "denoised": None},
        "scales": {scale: {"seeds": seeds, "training": {"finetune": {"epochs": epochs}}}},
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def _prepare(suite: Path, scale: str, data_dir: Path) -> None:
    """Make the data, which no row here is about."""
    subprocess.run(
        [*COMMAND, "data", "prepare", "--suite", str(suite), "--scale", scale, "--data-dir", str(data_dir)],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _start(settings: Settings) -> list[Finding]:
    """From a command to the first step of its first cell, and from a worker's taking the cell up."""
    commands, cells = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        suite = _suite(folder, "smoke", seeds=1, epochs=100)
        _prepare(suite, "smoke", folder / "data")
        for number in range(1 if settings.quick else 3):
            whole, cell = _first_step(suite, folder / "data", folder / f"run-{number}", settings.device)
            commands.append(whole)
            cells.append(cell)
    command, cell = statistics.median(commands), statistics.median(cells)
    what = "from the start of a cell's process to its first step"
    return [
        Finding("start", f"{what} (forked from the server)", "–", cell, "s", 3.0, "at most"),
        Finding("start", "from a command to the first step of its first cell", "–", command, "s", None, "at most"),
    ]


def _first_step(suite: Path, data_dir: Path, out: Path, device: str) -> tuple[float, float]:
    """Seconds to the first step, from the command's start and from the cell's."""
    command = [*COMMAND, "run", "--suite", str(suite), "--scale", "smoke", "--jobs", "1", "--device", device]
    began = time.perf_counter()
    with subprocess.Popen(
        [*command, "--data-dir", str(data_dir), "--out", str(out)], cwd=ROOT, stdout=subprocess.DEVNULL
    ) as process:
        taken_up = None
        while process.poll() is None:
            time.sleep(POLL_S)
            state = _state(out)
            if state is not None and taken_up is None:
                taken_up = time.perf_counter()
            if taken_up is not None and (state or {}).get("loss") is not None:
                now = time.perf_counter()
                process.terminate()
                return now - began, now - taken_up
    raise RuntimeError(f"the command ended with {process.returncode} before its first step was seen")


def _state(out: Path) -> dict[str, object] | None:
    """Status of the only cell of a run; None before there is one."""
    for path in out.glob("cells/*/status.json"):
        try:
            content: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            return None
        return content
    return None


def _jobs(settings: Settings) -> list[Finding]:
    """Cells an hour with two at a time on a thread each, against one after the other on both cores."""
    seeds, epochs = (2, 1) if settings.quick else (4, 5)
    times: dict[int, list[float]] = {2: [], 1: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        suite = _suite(folder, "quick", seeds, epochs)
        _prepare(suite, "quick", folder / "data")
        common = ["run", "--suite", str(suite), "--scale", "quick", "--data-dir", str(folder / "data")]
        for number in range(1 if settings.quick else 3):
            for jobs in times:
                out = ["--jobs", str(jobs), "--out", str(folder / f"run-{number}-{jobs}")]
                cost = run([*COMMAND, *common, *out])
                if cost.code:
                    raise RuntimeError(f"run with --jobs {jobs} ended with {cost.code}")
                times[jobs].append(cost.wall_s)
    pairs = Pairs(tuple(times[2]), tuple(times[1]))
    what = f"cells an hour with --jobs 2 on {os.cpu_count()} cores ({seeds} cells of egnn 3 × 48)"
    return [of_pairs("jobs", what, "--jobs 1 with all cores", pairs, 1.2, cells_per_hour=seeds / pairs.ours_s * 3600)]


def _water(settings: Settings) -> list[Finding]:
    """`water` at `quick`, or NNP_BENCH_SUITE; against an earlier checkout where NNP_BENCH_EARLIER names one.

    Both versions read the same suite file and have made their own data beforehand. Each runs with an empty cache of
    compiled code first, and then with what that has left (an earlier version may compile nothing).

    Raises:
        RuntimeError: for a suite that is no file where there are two versions: each would read its own.
    """
    suite = os.environ.get("NNP_BENCH_SUITE", "water")
    earlier = os.environ.get("NNP_BENCH_EARLIER")
    what = f"{Path(suite).stem} at quick, with a job a core"
    if Path(suite).is_file():
        suite = str(Path(suite).resolve())
    elif earlier is not None:
        raise RuntimeError(f"NNP_BENCH_SUITE {suite!r}: name a file, which both versions read, with NNP_BENCH_EARLIER")
    sides = {"now": ROOT} if earlier is None else {"now": ROOT, "earlier": Path(earlier)}
    titles = (f"{what}, nothing compiled before", what)
    with tempfile.TemporaryDirectory() as name:
        times = {side: [_whole(suite, root, Path(name) / side) for _ in titles] for side, root in sides.items()}
    if earlier is None:
        return [Finding("water", words, "–", wall, "s") for words, wall in zip(titles, times["now"], strict=True)]
    return [
        Finding(
            "water",
            words,
            "an earlier version, likewise",
            wall / before,
            "×",
            0.6,
            "at most",
            details={"s": wall, "earlier": before},
        )
        for words, wall, before in zip(titles, times["now"], times["earlier"], strict=True)
    ]


def _whole(suite: str, root: Path, folder: Path) -> float:
    """Seconds of a suite at `quick` by the checkout at `root`, its data made before."""
    variables = {"PYTHONPATH": str(root), "TORCHINDUCTOR_CACHE_DIR": str(folder / "compiled")}
    common = ["--suite", suite, "--scale", "quick", "--data-dir", str(folder / "data")]
    out = folder / f"run-{len(list(folder.glob('run-*')))}"
    for arguments in (["data", "prepare", *common], ["run", *common, "--out", str(out)]):
        cost = run([*COMMAND, *arguments], root, variables)
        if cost.code:
            raise RuntimeError(f"{' '.join(arguments)} in {root} ended with {cost.code}")
    return cost.wall_s


ROWS = (
    Row("start", "start of a cell's process to its first step", _start),
    Row("answers", "a wrong option refused, and help", _answers),
    Row("jobs", "--jobs 2 against --jobs 1", _jobs, long=True),
    Row("water", "water at quick, the whole suite", _water, long=True),
)
