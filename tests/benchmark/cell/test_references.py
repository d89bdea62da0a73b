"""References are measured once for each dataset and seed, from the frames that finetuning may use."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.cell.library import Library
from benchmark.cell.references import measure_references
from benchmark.planning.planner import make_plan
from benchmark.planning.reading import load_suite
from reports.records.folder import RunFolder
from reports.records.references import read_references
from tests.benchmark.own_suite import entry


def rms(samples):
    return 1000 * float(np.sqrt(np.mean(np.concatenate([s.neg_dy.numpy().ravel() for s in samples]) ** 2)))


def test_the_null_is_the_spread_of_the_forces_and_nothing_is_measured_twice(own, tmp_path):
    split = {"val": 0.2, "test": 0.2}
    path = own(datasets={"a": entry(own.files["a"], split=split, labelled=[0.25, 1])})
    suite = load_suite(str(path), "tiny")
    library, run, told = Library(tmp_path), RunFolder(tmp_path / "run"), []

    def measure(seeds):
        told.clear()
        cells = make_plan(suite, seeds=seeds, data_dir=tmp_path)
        measure_references(cells, library, run, lambda text, fraction: told.append((text, fraction)))
        return read_references(run.references), cells

    run.path.mkdir()
    first, cells = measure(1)
    assert told == [("a@25%, seed 0", 0.0), ("a@100%, seed 0", 0.5)]
    null = first[(first["reference"] == "null") & (first["metric"] == "force_rmse_mev_per_A")]
    for cell in cells:
        data, split, _ = library.load_sets(cell.dataset, cell.seed)
        here = null[null["dataset"] == cell.arm.dataset].set_index("split")["value"]
        for name, frames in split.as_dict().items():
            assert here[name] == pytest.approx(rms([data.samples[i] for i in frames]), rel=1e-5)
    # Reference energies are fitted to these frames: no constant is left.
    assert abs(first.query("metric == 'energy_bias_mev' and split == 'train'")["value"]).max() < 1e-3
    more, _ = measure(2)
    assert told == [("a@25%, seed 1", 0.0), ("a@100%, seed 1", 0.5)]
    assert more.iloc[: len(first)].equals(first)
    assert set(more["seed"]) == {0, 1}
    measure(2)
    assert told == []
