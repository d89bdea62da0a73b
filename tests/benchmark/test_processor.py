"""Numbers too small to be normal are zero where jobs compute: in this thread, in later ones, and on the way back."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest
import torch

from benchmark.cell.job import Job, Settings
from benchmark.processor import TINY, processor, subnormal_is_zero
from reports.records.folder import RunFolder


@pytest.fixture
def within():
    with processor(1):
        if not subnormal_is_zero():
            pytest.skip("this processor has no such mode")
        yield


def lost(values):
    return bool((values.view(torch.int32) == 0).all())


def test_products_are_zero_in_this_thread_and_in_later_ones(within):
    numbers, found = torch.full((64,), TINY), []
    assert lost(numbers * 0.5)
    thread = threading.Thread(target=lambda: found.append(lost(numbers * 0.5)))
    thread.start()
    thread.join()
    assert found == [True]


def test_so_are_gradients(within):
    x = torch.full((64,), 1e-20, requires_grad=True)
    (x * x).sum().backward()
    assert not lost(x.grad)
    x.grad = None
    (x * 1e-20 * 1e-19).sum().backward()
    assert lost(x.grad)


def test_a_job_computes_so(tmp_path):
    class Trial(Job):
        found = None
        folder = RunFolder(tmp_path).cell("0" * 12)

        def __init__(self):
            self.settings = Settings(tmp_path, tmp_path, "cpu", 1)

        def _begin_provenance(self):
            pass

        def add_provenance(self, **more):
            pass

        def _work(self, attempt):
            self.found = torch.get_num_threads(), lost(torch.full((4,), TINY) * 0.5)

    job = Trial()
    job.run()
    with processor(1):
        supported = subnormal_is_zero()
    assert job.found == (1, supported)


def test_what_is_normal_stays(within):
    smallest = torch.full((64,), torch.finfo(torch.float32).tiny)
    assert torch.equal(smallest * 1.0, smallest)
    assert torch.equal(torch.full((4,), 1e-300, dtype=torch.float64) * 2, torch.full((4,), 2e-300, dtype=torch.float64))


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_of_it_is_left_afterwards(fails):
    threads = torch.get_num_threads()
    with suppress(RuntimeError), processor(threads + 1):
        assert torch.get_num_threads() == threads + 1
        if fails:
            raise RuntimeError
    assert torch.get_num_threads() == threads
    assert not lost(torch.full((64,), TINY) * 0.5)


def test_what_was_set_before_stays_set(within):
    with processor(1):
        pass
    assert lost(torch.full((64,), TINY) * 0.5)
