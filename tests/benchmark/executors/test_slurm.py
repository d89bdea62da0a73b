"""A real Slurm of one node: a node that fails in the middle, and time that is up.

It is started here where it is installed (Debian: slurm-wlm and munge) and may be; `make cluster-test` runs this, and
says what is missing.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import subprocess
import time
from types import SimpleNamespace

import pytest

from tests.benchmark.executors.conftest import assert_same

COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel")
MISSING = [name for name in COMMANDS if shutil.which(name) is None]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"Slurm is not installed here: {', '.join(MISSING)}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may start a Slurm that runs jobs"),
]

NODE = socket.gethostname().partition(".")[0]
CONFIGURATION = """
from parsl import Config
from parsl.executors import HighThroughputExecutor
from parsl.jobs.error_handlers import windowed_error_handler
from parsl.launchers import SrunLauncher
from parsl.providers import SlurmProvider

class Soon(SlurmProvider):
    status_polling_interval = 1  # in place of a minute

config = Config(
    executors=[
        HighThroughputExecutor(
            max_workers_per_node=2,
            cores_per_worker=1,
            address="127.0.0.1",
            heartbeat_period=1,
            heartbeat_threshold=15,
            drain_period={drain_period},
            block_error_handler=windowed_error_handler,
            provider=Soon(
                partition="all",
                walltime="01:00:00",
                exclusive=False,
                launcher=SrunLauncher(),
                scheduler_options="#SBATCH --no-requeue",
            ),
        )
    ],
    retries=2,
    strategy_period=0.5,
)
"""
SLURM_CONF = """
ClusterName=test
SlurmctldHost={node}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={place}/munge.socket
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
KillWait=2
NodeName={node} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes={node} Default=YES MaxTime=INFINITE State=UP
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """The daemons, and a function for Slurm's commands; `SLURM_CONF` leads all others to them too."""
    place = tmp_path_factory.mktemp("slurm")
    place.chmod(0o755)
    for name in ("state", "spool"):
        (place / name).mkdir()
    ports = dict(zip(("controller", "daemon"), _free_ports(2), strict=True))
    (place / "slurm.conf").write_text(SLURM_CONF.format(node=NODE, place=place, **ports), encoding="utf-8")
    (place / "munge.key").write_bytes(os.urandom(128))
    (place / "munge.key").chmod(0o400)
    daemons = []

    def start(*command):
        with (place / f"{command[0]}.out").open("w") as out:
            daemons.append(subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True))

    def call(*command):
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(place / "slurm.conf"))
        try:
            files = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munged.pid",
                     "log-file": "munged.log", "seed-file": "munged.seed"}  # fmt: skip
            start("munged", "--foreground", "--force", *(f"--{name}={place / file}" for name, file in files.items()))
            _wait_for(lambda: (place / "munge.socket").exists(), place)
            start("slurmctld", "-D")
            start("slurmd", "-D", "-N", NODE)
            _wait_for(lambda: "idle" in _try("sinfo", "--noheader", "--format=%T"), place)
            yield SimpleNamespace(call=call, startup_s=0.0)
        finally:
            _try("scancel", "--partition=all")
            for daemon in reversed(daemons):
                daemon.send_signal(signal.SIGTERM)
            for daemon in daemons:
                try:
                    daemon.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    os.killpg(daemon.pid, signal.SIGKILL)
                    daemon.wait()


def _free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _try(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout


def _wait_for(there, place):
    deadline = time.monotonic() + 60
    while not there():
        if time.monotonic() > deadline:
            logs = "\n".join(path.read_text(errors="replace")[-1000:] for path in place.glob("*.[lo][ou][gt]"))
            pytest.fail(f"Slurm does not start here:\n{logs}")
        time.sleep(0.1)


def write(tmp_path, drain_period=None):
    path = tmp_path / "slurm.py"
    path.write_text(CONFIGURATION.format(drain_period=drain_period), encoding="utf-8")
    return path


class Enough(KeyboardInterrupt):
    """As Ctrl-C."""


class Clock:
    """Measures how long it takes from the start of a block to the first epoch in it, on a machine as busy as this."""

    def __init__(self, slurm, ends=False):
        self.slurm, self.ends, self.began = slurm, ends, None

    def __call__(self, running):
        if self.began is None and "R" in self.slurm.call("squeue", "--noheader", "--format=%t").split():
            self.began = time.monotonic()
        if not self.slurm.startup_s and any(job.folder.checkpoint("last").exists() for job in running):
            self.slurm.startup_s = time.monotonic() - self.began
            if self.ends:
                raise Enough


def begun(out):
    """Sittings of each cell."""
    return sorted(len(path.read_text().split(" begins")) - 1 for path in out.glob("cells/*/log.txt"))


def nothing_is_left(slurm):
    """Whether all of Slurm's jobs have ended, or do so within a moment."""
    deadline = time.monotonic() + 30
    while (left := slurm.call("squeue", "--noheader")) and time.monotonic() < deadline:
        time.sleep(0.2)
    return not left


def test_a_run_survives_a_node_that_fails_and_gives_the_numbers_of_one_that_nothing_happened_to(slurm, long, tmp_path):
    out, failed, clock = tmp_path / "run", [], Clock(slurm)

    def fail(running):
        """Slurm ends what runs on a node that is said to be down, which reports itself as back a moment later."""
        clock(running)
        if not failed and any(job.cells and job.folder.checkpoint("last").exists() for job in running):
            failed.append(slurm.call("scontrol", "update", f"nodename={NODE}", "state=down", "reason=test"))

    told = long.run(out, write(tmp_path), fail)
    assert failed
    assert "was lost" in told
    assert max(begun(out)) == 2
    assert_same(long.numbers(out), long.expected())
    assert nothing_is_left(slurm)


def test_where_time_is_up_a_cell_goes_on_in_another_block_and_an_interrupt_cancels_it(slurm, long, tmp_path):
    """Of a fit that would never end, the test sees two blocks and then interrupts it."""
    out, printed, blocks = tmp_path / "run", io.StringIO(), set()

    def look(running):
        blocks.update(slurm.call("squeue", "--noheader", "--format=%i").split())
        epochs = [job.folder.status().epoch or 0 for job in running if job.cells]
        if len(blocks) > 1 and "time of its node was up" in printed.getvalue() and any(epochs):
            raise Enough

    if not slurm.startup_s:
        with pytest.raises(Enough):
            long.run(tmp_path / "startup", write(tmp_path), Clock(slurm, ends=True))
    with pytest.raises(Enough):
        long.run(out, write(tmp_path, drain_period=int(1.5 * slurm.startup_s)), look, epochs=10**6, printed=printed)
    assert "handed over again" not in printed.getvalue(), "it is no loss"
    assert max(begun(out)) == 2
    assert nothing_is_left(slurm)
