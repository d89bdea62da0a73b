"""Peak memory of one job after another in one process."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmark.cell.memory import forget_peak, peak_memory_mb


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a part of a process")
def test_the_peak_of_an_earlier_job_is_not_that_of_the_next():
    forget_peak("cpu")
    start = peak_memory_mb("cpu")
    large = np.ones(int(200e6), dtype=np.uint8)
    grown = peak_memory_mb("cpu")
    assert grown - start == pytest.approx(200, rel=0.2)
    del large
    assert peak_memory_mb("cpu") >= grown - 5
    forget_peak("cpu")
    assert peak_memory_mb("cpu") < grown - 150
