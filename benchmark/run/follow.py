"""What the command does on every node but the first: its part of the jobs that node 0 begins, and nothing else."""

from __future__ import annotations

import time
from dataclasses import replace

from benchmark.cell.job import Job, Settings
from benchmark.executors.nodes import BEAT_S, Answer, Line, Tell, join
from benchmark.executors.together import take_part
from benchmark.run.execute import Run, conditions
from benchmark.run.jobs import make_jobs
from benchmark.run.length.growth import planned_seeds


def follow(run: Run, tell: Tell) -> str | None:
    """Do this node's part of each job, until node 0 has ended.

    Nothing is written into the run folder, and no data is made.

    Args:
        run: as `prepare` gives it, by the same command as on node 0.
        tell: is told what happens.

    Returns:
        Why it ended before the run was finished; None if the run is.

    Raises:
        BenchmarkError: if node 0 cannot be found, or another node has this one's number.
    """
    with join(run.settings.folder, run.node, conditions(run), tell) as line:
        settings, done = replace(run.settings, meeting=line.meeting), 0
        while not line.lost and line.said.end == "none":
            announced, over = line.said.job, line.said.over
            if announced is None or announced.number <= max(done, over):
                time.sleep(BEAT_S)
                continue
            done = announced.number
            job = _find(run, settings, announced.key)
            if job is None:
                why = (
                    f"node {run.node} does not know the job {announced.key} that node 0 has begun: its plan is "
                    "another, as with another suite, selection, file or version. Start the same command on all nodes"
                )
                line.answer(done, Answer(state="failed", reason=why))
                return why
            tell(f"its part of {job.name}")
            take_part(job, announced.files, line, done)
        return _why(line)


def _why(line: Line) -> str | None:
    if line.said.end == "finished":
        return None
    if line.said.end == "failed":
        return "node 0 has ended before the run was finished; what it printed says why"
    return "node 0 is gone: it was killed, or cut off. The same command, on all nodes again, resumes"


def _find(run: Run, settings: Settings, key: str) -> Job | None:
    """The job of this key, of those that are planned here, or with the seeds that node 0 has added; None without."""
    planned = settings.run.read_plan().cells if settings.run.plan.exists() else ()
    for seeds in ({}, planned_seeds(planned)):
        for job in make_jobs(run.plan_more(seeds) if seeds else run.cells, settings):
            if job.key == key:
                return job
    return None
