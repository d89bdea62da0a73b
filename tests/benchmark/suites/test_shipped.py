"""What the shipped suites promise."""

from __future__ import annotations

import re

from benchmark.planning.reading import load_suite, read_suite
from benchmark.planning.suite_files import available_suites, read_suite_file


def test_paper_scale_follows_the_paper():
    suite = load_suite("water", "paper")
    tip3p = suite.datasets["tip3p"].options
    assert (tip3p["molecules"], tip3p["box_A"], tip3p["cutoff_A"]) == (258, 20, 10)
    assert tip3p["trajectories"] * tip3p["frames_per_trajectory"] == 10_000
    training = suite.training
    assert (training.batch_size, training.pretrain.epochs, training.finetune.epochs) == (10, 25, 50)
    assert (training.finetune.lr, training.finetune.lr_min, training.finetune.weight_decay) == (
        1e-4,
        1e-7,
        1e-4,
    )
    assert training.finetune.loss == "l1_loss"
    assert training.finetune.force_weight / training.finetune.energy_weight == 500
    assert suite.seeds == 4
    # TIP3P is as in the paper for EGNN and for the other networks, RPBE-D3 for EGNN; all have all.
    arms = ("masked", "masked-0.5", "masked-0.25")
    assert [suite.strategies[arm].pretext.options["ratio"] for arm in arms] == [0.9, 0.5, 0.25]
    rpbe = suite.training_of("rpbe", "egnn")
    assert (rpbe.batch_size, rpbe.pretrain.epochs, rpbe.finetune.epochs) == (16, 100, 300)
    assert suite.strategies["denoised"].pretext.options["sd_A"] == 0.5


def test_paper_scale_of_rmd17_follows_the_paper():
    suite = load_suite("rmd17", "paper")
    assert len(suite.datasets) == 10
    for entry in suite.datasets.values():
        assert (entry.split.train, entry.split.val, entry.options["frames"]) == (50_000, 1000, "all")
    training = suite.training
    assert (training.batch_size, training.pretrain.epochs, training.finetune.epochs) == (32, 15, 200)
    assert (training.finetune.lr, training.finetune.lr_min, training.finetune.weight_decay) == (1e-4, 5e-5, 0)
    assert (training.finetune.force_weight, training.finetune.energy_weight) == (40, 15)
    masked = suite.strategies["masked"]
    assert (masked.pretrain_on, masked.pretext.options["ratio"], masked.pretext.options["target"]) == (
        "pooled", 0.5, "farthest",
    )  # fmt: skip


def test_careful_scales_of_rmd17_use_the_official_splits():
    for scale in ("quick", "standard"):
        for entry in load_suite("rmd17", scale).datasets.values():
            assert entry.split.official
            assert entry.options["frames"] == "official"


def test_labels_say_what_the_options_are():
    """A merged entry must not keep the label of another value."""
    for name in available_suites():
        for scale in read_suite_file(name)["scales"]:
            for arm in load_suite(name, scale).strategies.values():
                for key, value in arm.pretext.options.items() if arm.pretext else ():
                    shown = {"ratio": r"ratio ([\d.]+)", "sd_A": r"sd ([\d.]+)"}.get(key)
                    found = re.search(shown, arm.label) if shown else None
                    assert found is None or float(found[1]) == value, (name, scale, arm.label)


def test_runs_of_a_night_and_more_end_with_simulations():
    """Where a suite asks what potentials are worth; an ablation asks about errors."""
    found = {}
    for name in available_suites():
        for scale in read_suite_file(name)["scales"]:
            found[name, scale] = read_suite(name, scale).simulation
    asked = {name for (name, _), settings in found.items() if settings is not None}
    assert asked == {"water", "tip3p", "rpbe", "torchmd-net", "rmd17", "few-labels", "paper-small"}
    for (name, scale), settings in found.items():
        assert (settings is not None) == (name in asked and scale not in ("smoke", "quick")), (name, scale)
    for name in ("water", "tip3p"):
        molecules = read_suite(name, "overnight").datasets["tip3p"].options["molecules"]
        assert found[name, "overnight"].boxes * molecules == 64
