"""How this process computes on its processor."""

from __future__ import annotations

import torch


def set_processor(threads: int) -> None:
    """So many threads; and what is too small for a normal number is zero, where the processor knows how.

    Processors take many times as long over such numbers (below 1e-38 in single precision), and the tails of 64 radial
    functions and their derivatives are full of them: they make a step of EGNN three times as long. Next to anything
    that is not as small they are lost in rounding. Threads that are started later compute likewise.

    Args:
        threads: CPU threads of this process.
    """
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
