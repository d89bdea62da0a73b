"""Parsl's interchange, which hands tasks to workers, made to end with the command that started it.

As it is, it outlives a command that was killed, and keeps the workers on their nodes; and a Ctrl-C in the terminal
ends it before the command can cancel them.
"""

from __future__ import annotations

import os
import runpy
import signal
import threading
import time


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    runpy.run_module("parsl.executors.high_throughput.interchange", run_name="__main__")
