"""A module around a tiny potential."""

from __future__ import annotations

import pytest

from benchmark.training.modules.finetuning import FinetuneModule


@pytest.fixture
def module(make_potential, finetuning):
    return FinetuneModule(make_potential(), finetuning, scale_eV=0.8)
