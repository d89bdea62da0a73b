"""Learning rates tried with equal effort for every arm: settings, the suite that tries them, the suite with the best.

A search that adapts to what it has seen (Optuna's samplers, say) would give each arm other settings and would have to
run one after the other. Here the settings are fixed beforehand, the same for all arms, and trying them is a run like
any other: a table of cells that resumes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from scipy.stats.qmc import LatinHypercube

from benchmark.errors import BenchmarkError
from benchmark.planning.config import Phase, Suite
from benchmark.planning.strategies import Strategy, pretrains
from benchmark.planning.suite_files import available_suites, content_at_scale, merge

FIRST_SEED = 1000
"""Of the trials: no comparison comes so far."""
MARK = "~"
"""Between the name of an arm and the number of the trial."""


class Setting(NamedTuple):
    """Factors on the suite's learning rates of pretraining and finetuning."""

    pretrain: float
    finetune: float


def make_settings(trials: int, factor: float, seed: int = 0) -> list[Setting]:
    """The suite's own rates first, then a Latin hypercube in the logarithms, between 1/factor and factor.

    A Latin hypercube of n points has one in each of n equal parts of either axis: an arm without pretraining is tried
    with as many different rates of finetuning as the others.

    Raises:
        BenchmarkError: for fewer than two trials, or a factor that is not above 1.
    """
    if trials < 2 or not (math.isfinite(factor) and factor > 1):
        raise BenchmarkError(
            f"--trials {trials} --factor {factor:g}: at least 2 trials and a factor above 1 are needed"
        )
    points = LatinHypercube(2, rng=seed).random(trials - 1)
    return [Setting(1.0, 1.0), *(Setting(*(float(factor ** (2 * u - 1)) for u in point)) for point in points)]


def trial_name(strategy: str, number: int) -> str:
    """What an arm with one of the settings is called."""
    return f"{strategy}{MARK}{number}"


def tuning_suite(
    suite: Suite, datasets: Sequence[str], model: str, strategies: Sequence[str], settings: Sequence[Setting]
) -> Suite:
    """The suite in whose table every arm stands once for each setting.

    Args:
        suite: what is to be tuned.
        datasets: those that are chosen; a setting is judged on all of them.
        model: the one network that is tuned.
        strategies: the arms that are chosen.
        settings: what is tried.

    Raises:
        BenchmarkError: if an arm is trained with other rates on one dataset than on another, or is matched to one that
            is not chosen.
    """
    arms = {
        trial_name(name, number): _tried(suite, datasets, model, name, number, setting, strategies)
        for name in strategies
        for number, setting in enumerate(settings)
    }
    return Suite.model_validate(
        {
            **suite.model_dump(),
            "name": f"{suite.name}-tuning",
            "title": f"{suite.title}: learning rates",
            "description": "Every arm with the same number of learning rates; judged by validation frames.",
            "baselines": [next(iter(arms))],
            "primary": [],
            "sweep": None,
            "strategies": {name: arm.model_dump() for name, arm in arms.items()},
        }
    )


def rates(suite: Suite, dataset: str, model: str, strategy: str, setting: Setting) -> dict[str, dict[str, float]]:
    """What an arm's ``training`` says of its learning rates under a setting; the schedule keeps its shape."""
    training = suite.training_of(dataset, model, strategy)
    found = {"finetune": _scaled(training.finetune, setting.finetune)}
    if pretrains(suite.strategies[strategy]):
        found["pretrain"] = _scaled(training.pretrain, setting.pretrain)
    return found


def tuned_content(
    source: str, suite: Suite, datasets: Sequence[str], model: str, chosen: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The content of a suite file like the one that was tuned, with the chosen training of each arm.

    Args:
        source: the suite as the command line named it.
        suite: the same, at its scale.
        datasets: those that were tuned on; others are left out.
        model: the network that was tuned; others are left out.
        chosen: ``training`` of each arm; arms that are not in it are left out.
    """
    left_out: dict[str, dict[str, None]] = {
        "datasets": {name: None for name in suite.datasets if name not in datasets and "@" not in name},
        "models": {name: None for name in suite.models if name != model},
    }
    arms = {name: None if name not in chosen else {"training": dict(chosen[name])} for name in suite.strategies}
    over: dict[str, Any] = {
        "name": f"{suite.name}-tuned",
        "title": f"{suite.title}, tuned",
        "description": suite.description,
        **{table: names for table, names in left_out.items() if names},
        "strategies": arms,
    }
    if any(left_out.values()) or None in arms.values():
        over["baselines"] = [name for name in suite.baselines if name in chosen] or [next(iter(chosen))]
        # They may speak of what is left out.
        over["primary"] = []
        over["sweep"] = None
    if source in available_suites():
        return {"extends": source, **over, "scales": {suite.scale: {}}}
    return {**merge(content_at_scale(source, suite.scale), over), "scales": {suite.scale: {}}}


def _tried(
    suite: Suite,
    datasets: Sequence[str],
    model: str,
    name: str,
    number: int,
    setting: Setting,
    strategies: Sequence[str],
) -> Strategy:
    found = [rates(suite, dataset, model, name, setting) for dataset in datasets]
    if any(other != found[0] for other in found):
        raise BenchmarkError(
            f"strategy {name!r} is trained with other learning rates on some of the datasets {', '.join(datasets)}; "
            f"tune them one by one: --select dataset=..."
        )
    arm = suite.strategies[name]
    extended = arm.extended
    if isinstance(extended, str):
        if extended not in strategies:
            raise BenchmarkError(f"strategy {name!r} is matched to {extended!r}, which --select leaves out; add it")
        extended = trial_name(extended, number)
    training = merge(arm.training, found[0])
    label = f"{arm.label}, setting {number}"
    return arm.model_copy(update={"label": label, "training": training, "extended": extended})


def _scaled(phase: Phase, factor: float) -> dict[str, float]:
    return {"lr": _rounded(phase.lr * factor), "lr_min": _rounded(phase.lr_min * factor)}


def _rounded(rate: float) -> float:
    """To three digits: what a suite file says is what was tried."""
    return float(f"{rate:.3g}")
