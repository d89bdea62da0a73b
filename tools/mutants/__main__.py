"""`make mutants`: faults in the files of tests.toml, one at a time, each judged by its file's tests.

What was judged is kept in build/mutants/ and not judged again until its file changes; so it can be ended and started
at will. Survivors that change no result are named in harmless.toml; the exit code is 1 while there are others.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import signal
import sys
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from tools.mutants.faults import Fault, faults_of
from tools.mutants.judge import ROOT, UNTOUCHED_S, judge_all, prepare

HERE = Path(__file__).parent
RESULTS = ROOT / "build" / "mutants"
SPREAD = 1 << 32


@dataclass(frozen=True)
class Case:
    """A fault, its place in the order of the sample, and its verdict if it has one."""

    fault: Fault
    rank: float
    state: str | None
    reason: str | None


class Results:
    """Verdicts by fault, a file of lines for each source file; those on another version of the source are left out."""

    def __init__(self, file: str, source: str) -> None:
        self.path = RESULTS / (file.replace("/", ".") + ".jsonl")
        self.version = hashlib.sha256(source.encode()).hexdigest()[:16]
        self.states: dict[str, str] = {}
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                if entry["version"] == self.version:
                    self.states[entry["fault"]] = entry["state"]

    def add(self, fault: Fault, state: str, seconds: float) -> None:
        """Keep a verdict at once."""
        self.states[fault.key] = state
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as lines:
            entry = {"version": self.version, "fault": fault.key, "state": state, "seconds": seconds}
            lines.write(json.dumps(entry, ensure_ascii=False) + "\n")


def rank(fault: Fault, seed: int) -> float:
    """Where a fault stands among all, in [0, 1): a sample is those below its share, so a larger one has them too."""
    digest = hashlib.sha256(f"{seed} {fault.key}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / SPREAD


def reason(fault: Fault, harmless: Iterable[dict[str, Any]]) -> str | None:
    """Why a survivor changes no result, if that is written down."""
    for entry in harmless:
        if entry["file"] == fault.file and fnmatch(fault.function, entry["function"]) and fault.after in entry["after"]:
            return str(entry["reason"])
    return None


def read_cases(file: str, seed: int, harmless: Sequence[dict[str, Any]]) -> tuple[ast.Module, Results, list[Case]]:
    """The tree of a file, its verdicts, and its faults."""
    source = (ROOT / file).read_text(encoding="utf-8")
    tree, results = ast.parse(source), Results(file, source)
    cases = [
        Case(fault, rank(fault, seed), results.states.get(fault.key), reason(fault, harmless))
        for fault in faults_of(file, tree)
    ]
    return tree, results, cases


@cache
def untouched_s(tests: tuple[str, ...]) -> float:
    """Processor time of tests without a fault, which have to pass then."""
    ((_, untouched),) = judge_all([(None, ast.Module([], []))], tests, 1, 600)
    if untouched.state != "survived":
        raise SystemExit(f"the tests do not pass as they are ({untouched.state}): {' '.join(tests)}")
    return untouched.seconds


def judge_file(file: str, tests: Sequence[str], chosen: argparse.Namespace, harmless: Sequence[dict[str, Any]]) -> None:
    """Judge what is in the sample and has no verdict yet; with `--survivors` what survived before as well."""
    tree, results, cases = read_cases(file, chosen.seed, harmless)
    sample = [case for case in cases if case.rank < chosen.share]
    again = {"survived"} if chosen.survivors else set()
    wanted = [case.fault for case in sample if case.state is None or (case.state in again and case.reason is None)]
    if not wanted:
        return
    seconds = untouched_s(tuple(tests))
    print(f"{file}: {len(wanted)} faults, {seconds:.1f} s of tests", flush=True)
    limit_s = UNTOUCHED_S + 10 * seconds
    for fault, verdict in judge_all([(fault, tree) for fault in wanted], tests, chosen.jobs, limit_s):
        assert fault is not None
        results.add(fault, verdict.state, verdict.seconds)
        if verdict.state == "survived":
            print(f"  survived, line {fault.line}: {fault.before}  ->  {fault.after}", flush=True)


def report(files: Iterable[str], chosen: argparse.Namespace, harmless: Sequence[dict[str, Any]]) -> bool:
    """Print what was noticed in each file and the survivors that nothing is said of; returns whether there are none."""
    print(
        f"\n{'file':36} {'faults':>6} {'judged':>6} {'noticed':>7} {'harmless':>8} {'survived':>8}  of the rest noticed"
    )
    sums = np.zeros(4, dtype=int)
    unexplained: list[Fault] = []
    for file in files:
        _, _, cases = read_cases(file, chosen.seed, harmless)
        judged = [case for case in cases if case.rank < chosen.share and case.state is not None]
        survived = [case for case in judged if case.state == "survived"]
        unexplained += [case.fault for case in survived if case.reason is None]
        explained = sum(case.reason is not None for case in survived)
        row = np.array([len(cases), len(judged), len(judged) - len(survived), explained])
        sums += row
        _print_row(file, *row)
    _print_row("all", *sums)
    for fault in unexplained:
        print(f"\n{fault.file}:{fault.line} {fault.function}\n  - {fault.before}\n  + {fault.after}")
    return not unexplained


def _print_row(file: str, faults: int, judged: int, noticed: int, explained: int) -> None:
    """With the 95 % interval (Wilson) of the share, which is that of a sample of all faults."""
    rest, share = judged - explained, ""
    if rest:
        low, high = proportion_confint(noticed, rest, method="wilson")
        share = f"{noticed / rest:7.1%}  ({low:.0%} to {high:.0%})"
    print(f"{file:36} {faults:6} {judged:6} {noticed:7} {explained:8} {rest - noticed:8}  {share}")


def stale(harmless: Iterable[dict[str, Any]], files: Iterable[str]) -> list[str]:
    """Entries of harmless.toml that name no fault that can be made."""
    found = []
    faults = {file: faults_of(file, ast.parse((ROOT / file).read_text(encoding="utf-8"))) for file in files}
    for entry in harmless:
        for after in entry["after"]:
            if entry["file"] in faults and not any(
                fault.after == after and fnmatch(fault.function, entry["function"]) for fault in faults[entry["file"]]
            ):
                found.append(f"{entry['file']} {entry['function']}: {after}")
    return found


def main() -> None:
    """Parse the options, judge, and report."""
    options = argparse.ArgumentParser(prog="make mutants", description=__doc__.partition("\n")[0])
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    options.add_argument("--share", type=float, default=1.0, help="judge this share of the faults, chosen by --seed")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--files", nargs="+", default=["*"], help="patterns of files, as in 'tasks/models/*'")
    options.add_argument("--survivors", action="store_true", help="judge again what survived, for new tests")
    options.add_argument("--report", action="store_true", help="judge nothing, print what is known")
    chosen = options.parse_args()
    suites = tomllib.loads((HERE / "tests.toml").read_text(encoding="utf-8"))
    harmless = tomllib.loads((HERE / "harmless.toml").read_text(encoding="utf-8")).get("harmless", [])
    files = [file for file in suites if any(fnmatch(file, pattern) for pattern in chosen.files)]
    if not chosen.report:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # and the processes that judge end as well
        prepare()
        for file in files:
            judge_file(file, suites[file], chosen, harmless)
    clean = report(files, chosen, harmless)
    for line in stale(harmless, files):
        clean = False
        print(f"harmless.toml names what is not there: {line}")
    sys.exit(0 if clean else 1)


if __name__ == "__main__":
    main()
