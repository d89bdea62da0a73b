"""Independent random streams of a cell, all derived from its seed and equal across strategies.

Streams: ``split``, ``labelled`` (which training frames have labels), ``weights``, ``head`` (weights of a pretext's own
head), ``order`` (of the training frames), ``corruption``, ``auxiliary`` (corruption during finetuning), ``rotation``
(of training frames, where a suite asks for it), ``predictions`` (which of them a report shows), and ``simulation``
(velocities and noise). None of them depends on how often another one was drawn from, so arms with one seed share
split, labelled frames, initial weights and order: they are pairs.
"""

from __future__ import annotations

import zlib
from typing import Literal

import numpy as np

Stream = Literal[
    "split",
    "labelled",
    "weights",
    "head",
    "shuffle",
    "order",
    "corruption",
    "corruption-validation",
    "auxiliary",
    "rotation",
    "predictions",
    "simulation",
]


def stream_seed(seed: int, stream: Stream, *counters: int) -> int:
    """A 32-bit seed for one use of a stream; counters (a step, say) make it a function of where training stands."""
    key = (zlib.crc32(stream.encode()), *counters)
    return int(np.random.SeedSequence(entropy=seed, spawn_key=key).generate_state(1)[0])
