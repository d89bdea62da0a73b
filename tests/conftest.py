"""One thread a process: pytest runs as many processes as there are cores, more threads would wait for each other."""

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def processor_left_as_it_was():
    """A test that leaves its process in another mode fails itself, not whichever test comes next in that process."""
    from benchmark.processor import subnormal_is_zero  # which imports torch, after the variable is set

    yield
    assert not subnormal_is_zero()
