"""One thread a process: pytest runs as many processes as there are cores, more threads would wait for each other."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
