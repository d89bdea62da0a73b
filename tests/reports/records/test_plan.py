"""The plan: what contradicts it is refused, and what it says of a name is what reports go by."""

import pytest

from reports.records.atomic import RecordError
from reports.records.merge import read_runs
from reports.records.plan import Arm, Plan, PlannedStrategy
from reports.records.run import read_run

CELL = {"dataset": "a", "model": "b", "strategy": "c", "seed": 0, "pretrain_epochs": 0, "finetune_epochs": 1}


def test_a_plan_that_is_missing_or_wrong_is_named(make_run, tmp_path):
    with pytest.raises(RecordError, match=r"holds no run \(no plan\.json\)"):
        read_run(tmp_path)
    cells = [CELL | {"key": key * 12} for key in "ab"]
    names = {"datasets": {"a": {}}, "models": {"b": {}}, "strategies": {"c": {}}}
    with pytest.raises(RecordError, match="share the dataset"):
        read_run(make_run({}, name="doubled", cells=cells, **names))
    with pytest.raises(RecordError, match="has the dataset 'a', which the plan does not describe"):
        read_run(make_run({}, name="unnamed", cells=cells[:1]))


def test_a_plan_of_a_later_version_is_refused_in_words(make_run):
    with pytest.raises(
        RecordError, match=r"plan\.json has schema 4, and this version .* up to 3: use the version that"
    ):
        read_run(make_run({}, schema=4))


RATIO = {"over": "strategy", "label": "share of molecules masked", "values": {"masked-0.5": 0.5}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"over": "seed"}, r"sweep\.over.*'dataset', 'model' or 'strategy'"),
        ({"label": ""}, r"sweep\.label"),
        ({"values": {"masked-0.5": float("nan")}}, r"sweep\.values\.masked-0\.5.*finite"),
        ({"values": {"masked-0.5": float("inf")}}, r"sweep\.values\.masked-0\.5.*finite"),
        ({"values": {"masked-0.5": "half"}}, r"sweep\.values\.masked-0\.5.*number"),
        ({"log": True, "values": {"masked-0.5": 0.0}}, r"logarithmic axis takes values above 0.*masked-0\.5"),
    ],
)
def test_a_sweep_that_is_wrong_is_named(make_run, changes, message):
    with pytest.raises(RecordError, match=message) as caught:
        read_run(make_run({"masked-0.5": {0: None}}, sweep=RATIO | changes))
    assert "plan.json" in str(caught.value)


def test_a_strategy_has_the_role_of_its_pretext():
    assert PlannedStrategy(label="s").role == "scratch"
    assert PlannedStrategy(label="s", extended=True).role == "extended"
    assert PlannedStrategy(label="s", pretext="masking").role == "masking"
    assert PlannedStrategy(label="s", pretext="masking", variant=True).role == "masking (variant)"


def test_members_of_a_pool_are_named_by_what_they_differ_in(make_run):
    pool = {"pool": "p", "pooled_over": "crystal"}
    datasets = {"a": pool | {"member": "ice"}, "b": pool | {"member": "salt"}, "alone": {}}
    outcomes = {(name, "egnn", "scratch"): {0: None} for name in datasets}
    plan: Plan = read_run(make_run(outcomes, datasets=datasets)).plan
    assert plan.pools == [["a", "b"]]
    assert plan.members(["a", "b"]) == "crystal"
    assert plan.members(["a", "alone"]) == plan.members(["alone"]) == plan.members([]) == "member"
    assert plan.arms == [Arm(name, "egnn", "scratch") for name in datasets]


PRIMARY = {"dataset": "tip3p", "model": "egnn", "strategy": "masked", "baselines": ["scratch"], "metric": "m"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([{"model": "schnet"}], "of 'schnet', which the plan does not describe"),
        ([{"dataset": "ice"}], "of 'ice'"),
        ([{"baselines": ["none"]}], "of 'none'"),
        ([{"baselines": []}], r"primary\.0\.baselines"),
        ([{"baselines": ["masked"]}], "with itself"),
        ([{}, {"baselines": ["scratch-extended", "scratch"]}], "2 times"),
    ],
)
def test_a_primary_comparison_that_is_wrong_is_named(make_run, changes, message):
    with pytest.raises(RecordError, match=message):
        read_run(make_run({"masked": {0: None}}, primary=[PRIMARY | change for change in changes]))


def test_a_plan_of_schema_2_declared_nothing(make_run):
    assert read_run(make_run({"masked": {0: None}}, schema=2)).plan.primary == []


def test_merged_plans_declare_what_any_of_them_does_once(make_run):
    further = [PRIMARY | {"baselines": ["scratch-extended", "scratch"]}, PRIMARY | {"dataset": None}]
    folders = [
        make_run({"masked": {0: None}}, name="one", primary=[PRIMARY]),
        make_run({"masked": {1: None}}, name="two", primary=further),
    ]
    merged = [(entry.dataset, entry.baselines) for entry in read_runs(folders).plan.primary]
    assert merged == [("tip3p", ["scratch", "scratch-extended"]), (None, ["scratch"])]
