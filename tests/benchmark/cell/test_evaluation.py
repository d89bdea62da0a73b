"""What a finished cell leaves beside its record."""

from __future__ import annotations

import pandas as pd
import pytest


def test_a_finished_run_has_details_of_each_cell_and_they_agree_with_its_record(smoke):
    """Errors by element, over all elements, are the record's error; so is that of the predictions, all of them here."""
    cells = list(smoke[0].glob("cells/*/record.parquet"))
    assert len(cells) == 4
    for path in cells:
        record = pd.read_parquet(path).set_index(["split", "checkpoint"]).loc[("test", "best")]
        elements = pd.read_parquet(path.with_name("elements.parquet"))
        assert set(elements["cell_key"]) == {path.parent.name}
        test = elements[(elements["split"] == "test") & (elements["checkpoint"] == "best")]
        assert sorted(test["element"]) == [1, 8]
        assert test["n_atoms"].sum() == record["n_atoms"]
        squares = (test["n_atoms"] * test["force_rmse_mev_per_A"] ** 2).sum() / test["n_atoms"].sum()
        assert squares**0.5 == pytest.approx(record["force_rmse_mev_per_A"])
        predictions = pd.read_parquet(path.with_name("predictions.parquet"))
        energies = predictions[predictions["quantity"] == "energy"]
        errors = (energies["predicted"] - energies["reference"]).to_numpy(float)
        assert (errors**2).mean() ** 0.5 == pytest.approx(record["energy_rmse_mev_per_atom"])
        assert len(energies) == record["n_frames"]
