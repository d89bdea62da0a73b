"""How this process computes on its processor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

TINY = 1e-40
"""Below the smallest normal number of single precision, 1.2e-38."""


@contextmanager
def processor(threads: int) -> Iterator[None]:
    """Within: so many threads, and what is too small for a normal number is zero, where the processor knows how.

    Processors take many times as long over such numbers, and the tails of 64 radial functions and their derivatives
    are full of them: they make a step of EGNN three times as long. Next to anything that is not as small they are
    lost in rounding. Threads that are started within compute likewise, and go on to. Afterwards this thread is as it
    was: whoever runs jobs in a process of their own, in a notebook say, has other work to do in it.

    Args:
        threads: CPU threads of this process.
    """
    before = torch.get_num_threads(), subnormal_is_zero()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_flush_denormal(before[1])


def subnormal_is_zero() -> bool:
    """Whether this thread takes numbers too small to be normal for zero; PyTorch sets that, but cannot say it."""
    return (torch.full((1,), TINY) * 0.5).item() == 0.0
