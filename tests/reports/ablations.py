"""Ablations with chosen errors, (force, energy) by arm and seed, for tests."""

RATIOS = {"masked-0.5": 0.5, "masked-0.1": 0.1, "masked-0.12": 0.12, "masked-0.9": 0.9}
RATIO = {"over": "strategy", "label": "share of molecules masked", "log": False, "values": RATIOS}
MASKED = {
    "scratch": {0: (120.0, 510.0), 1: (131.0, 540.0), 2: (137.0, 600.0)},
    "masked-0.5": {0: (64.0, 101.0), 1: (66.5, 105.0), 2: (69.5, 117.0)},
    "masked-0.1": {0: (81.0, 160.0), 1: (82.0, 190.0), 2: (86.0, 172.0)},
    "masked-0.12": {0: (80.0, 150.0), 1: (79.0, 155.0), 2: (75.0, 175.0)},
    "masked-0.9": {0: (90.0, 210.0), 1: ("diverged", "loss is nan"), 2: (96.0, 222.0)},
    "denoised": {0: (101.0, 300.0), 1: (104.0, 320.0), 2: (105.0, 310.0)},
}

FRAMES = {"over": "dataset", "label": "share of frames labelled", "log": True, "values": {"few": 0.01, "many": 0.1}}
LABELLED = {"few": 50, "many": 500, "other": 7}
LABEL_EFFICIENCY = {
    (dataset, model, strategy): {seed: (scale * base * (1 + seed / 50), 4 * scale * base) for seed in (0, 1)}
    for dataset, base in (("many", 30.0), ("few", 70.0), ("other", 5000.0))
    for model, scale in (("egnn", 1.0), ("tensornet", 0.5))
    for strategy, scale in (("scratch", 2 * scale), ("masked", 1.5 * scale))
}


def values_of(seeds, i):
    """Force (i = 0) or energy (i = 1) errors of the seeds that finished."""
    return [pair[i] for pair in seeds.values() if pair is not None and not isinstance(pair[0], str)]
