"""Which function of a network the steps of a fit call: those that call the same one share its compiled code."""

from __future__ import annotations

import hashlib
import json

from benchmark.planning.cells import Pretraining, Work
from benchmark.planning.reading import build
from tasks.pretexts.base import Pretext
from tasks.registry import PRETEXTS


def called(pretext: Pretext) -> str:
    """Which function of a `GraphPotential` a training step of the pretext calls."""
    if pretext.vectors is None:
        return "represent"
    return "displace" if pretext.vectors == "coordinate" else "predict"


def function_of(work: Work) -> str:
    """Name of what the training steps of a fit compute, whatever its data, pretext and seed."""
    name = called(build(PRETEXTS, work.pretext)) if isinstance(work, Pretraining) else "predict"
    content = [work.model.model_dump(mode="json"), work.rotate, name]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
