"""Arms against references that need no network."""

import math

import pandas as pd
import pytest

from reports.analysis.references import against_references, averaged

FORCE = "force_rmse_mev_per_A"


def test_the_geometric_mean_over_seeds_decides():
    values = pd.DataFrame(
        [
            {"dataset": "d", "model": "m", "strategy": strategy, "seed": seed, "metric": FORCE, "value": value}
            for strategy, errors in {"masked": (50.0, 150.0), "scratch": (300.0, 100.0), "none": (0.0,)}.items()
            for seed, value in enumerate(errors)
        ]
    )
    references = pd.DataFrame(
        [
            {"dataset": "d", "seed": seed, "reference": name, "metric": FORCE, "value": value}
            for name, pair in {"null": (100.0, 200.0), "rest": (0.0, 0.0)}.items()
            for seed, value in enumerate(pair)
        ]
    )
    found = against_references(values, references).set_index("strategy")
    assert set(found["reference"]) == {"null"}  # an error of 0 cannot be beaten and has no ratio
    assert found["n"].to_dict() == {"masked": 2, "scratch": 2, "none": 1}
    assert found.loc["masked", "ratio"] == pytest.approx(math.sqrt(0.5 * 0.75))
    assert found.loc["scratch", "ratio"] == pytest.approx(math.sqrt(3 * 0.5))
    assert found["beaten"].to_dict() == {"masked": True, "scratch": False, "none": True}


def test_averages_over_molecules_are_of_the_logarithms():
    found = pd.DataFrame(
        [
            {"dataset": name, "model": "m", "strategy": "masked", "metric": FORCE, "reference": "null", "n": n}
            | {"ratio": ratio, "beaten": ratio < 1}
            for name, n, ratio in (("aspirin", 3, 0.25), ("uracil", 2, 1.0), ("water", 3, 9.0))
        ]
    )
    (row,) = averaged(found, ["aspirin", "uracil"], "average").to_dict("records")
    assert (row["dataset"], row["n"], row["beaten"]) == ("average", 2, True)
    assert row["ratio"] == pytest.approx(0.5)
    assert averaged(found, [], "none").empty
