"""Jobs in parallel processes: results in order, progress, failures."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.datasets.base import DatasetError
from tasks.datasets.tip3p.workers import Report, run_jobs

pytestmark = pytest.mark.slow


def square(job: int, report: Report) -> tuple[int, int]:
    for step in range(1, 4):
        report(step / 3)
    return job * job, os.getpid()


def fail_on_one(job: int, report: Report) -> None:
    if job == 1:
        raise DatasetError("job 1 is bad")
    while True:  # ends only because the other job failed
        report(0.5)
        time.sleep(0.01)


def die(job: int, report: Report) -> None:
    os._exit(3)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_in_order_and_progress_complete(workers: int) -> None:
    seen: list[list[float]] = []
    results = run_jobs(square, [3, 1, 2], workers, lambda done: seen.append(list(done)))
    assert [value for value, _ in results] == [9, 1, 4]
    assert all((pid == os.getpid()) == (workers == 1) for _, pid in results)
    assert seen[-1] == [1.0, 1.0, 1.0]
    assert all(a <= b for one, other in itertools.pairwise(seen) for a, b in zip(one, other, strict=True))


def test_first_failure_ends_the_other_jobs() -> None:
    with pytest.raises(DatasetError, match="job 1 is bad"):
        run_jobs(fail_on_one, [0, 1], 2, lambda done: None)


def test_dead_worker() -> None:
    with pytest.raises(DatasetError, match="worker process died"):
        run_jobs(die, [0, 1], 2, lambda done: None)


def test_no_workers() -> None:
    with pytest.raises(DatasetError, match="workers is 0"):
        run_jobs(square, [1], 0, lambda done: None)


SCRIPT = """
import os, time
from pathlib import Path
from tasks.datasets.tip3p.workers import run_jobs

def work(folder, report):
    (folder / f"{os.getpid()}.pid").write_text("")
    while True:
        report(0.5)
        (folder / f"{os.getpid()}.pid").touch()
        time.sleep(0.02)

if __name__ == "__main__":
    folder = Path(FOLDER)
    run_jobs(work, [folder, folder], 2, lambda done: None)
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("FOLDER", repr(str(tmp_path))))
    root = Path(__file__).parents[4]
    process = subprocess.Popen([sys.executable, script], env=os.environ | {"PYTHONPATH": str(root)})
    try:
        deadline = time.monotonic() + 30
        while len(pids := [int(path.stem) for path in tmp_path.glob("*.pid")]) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)
