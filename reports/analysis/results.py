"""All statistics of a run, computed once and looked up by arm."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import pandas as pd

from reports.analysis import convergence, escape, references, statistics
from reports.analysis.blocked import blocked_changes, geometric_means
from reports.analysis.diverged import with_diverged
from reports.analysis.estimates import Change, Mean
from reports.analysis.families import Primary, judged
from reports.records.parquet import rows_of
from reports.records.plan import Arm
from reports.records.record import JUDGED, METRICS
from reports.records.references import REFERENCES
from reports.records.run import Run

EFFECTIVE = ("effective_train_frames_energy", "effective_train_frames_structure")
"""Columns of a record: how many independent frames the training frames are worth."""

NULL = REFERENCES[0]
"""The reference on whose error the plateau lies."""


class Results:
    """Statistics of a run on its test split; a lookup gives None where no cell has finished."""

    def __init__(self, run: Run) -> None:
        self.run = run = with_diverged(run)
        recorded = [*self.metrics, *([statistics.CONSTANT] if self._recorded(statistics.CONSTANT) else [])]
        self._means: dict[tuple[str, ...], Mean] = {}
        for checkpoint in ("best", "last"):
            for row in rows_of(statistics.summarise(run.records, recorded, checkpoint=checkpoint)):
                place = row["dataset"], row["model"], row["strategy"], row["metric"], checkpoint
                self._means[place] = Mean(row["n"], row["mean"], row["sd"])

    def _recorded(self, name: str) -> bool:
        return bool(self.run.records[name].notna().any())

    # What is compared.

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """The errors that these cells have."""
        return tuple(name for name in statistics.COMPARED if name in METRICS or self._recorded(name))

    @cached_property
    def averages(self) -> dict[str, list[str]]:
        """Averages over the members of a collection, by the name that stands in the place of a dataset."""
        pools = self.run.plan.pools
        numbers = [f" ({at})" if len(pools) > 1 else "" for at in range(1, len(pools) + 1)]
        return {
            f"average over {self.run.plan.members(names)}s{number}": names
            for names, number in zip(pools, numbers, strict=True)
        }

    @cached_property
    def primaries(self) -> list[Primary]:
        """The comparisons that were declared before the run, one for each baseline."""
        found = []
        for one in self.run.plan.primary:
            # An average that no cells were planned for stays declared: it counts in the family.
            datasets = [one.dataset] if one.dataset is not None else [*self.averages] or ["average"]
            found += [
                Primary(dataset, one.model, one.strategy, baseline, one.metric)
                for dataset in datasets
                for baseline in one.baselines
            ]
        return list(dict.fromkeys(found))

    @cached_property
    def values(self) -> pd.DataFrame:
        """Test errors of the best checkpoint, seed by seed, with the averages over collections."""
        return self._with_averages(statistics.seed_values(self.run.records, self.metrics))

    def _with_averages(self, values: pd.DataFrame) -> pd.DataFrame:
        means = [geometric_means(values, datasets, name) for name, datasets in self.averages.items()]
        return pd.concat([values, *(mean for mean in means if len(mean))], ignore_index=True)

    # Changes and what may be said of them.

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """`families.judged`: every arm against each baseline, every error, averages over collections among them."""
        return self._judged(self.values)

    def _judged(self, values: pd.DataFrame) -> pd.DataFrame:
        baselines = list(dict.fromkeys([*self.run.plan.baselines, *(one.baseline for one in self.primaries)]))
        changes = blocked_changes(values, baselines, self.run.plan.spread)
        ranks = {name: rank for rank, name in enumerate(baselines)}
        # Two baselines are compared once: the later with the earlier.
        once = changes["strategy"].map(ranks).fillna(len(ranks)) > changes["baseline"].map(ranks)
        declared = pd.MultiIndex.from_frame(changes[list(Primary._fields)]).isin(self.primaries)
        return judged(changes[once | declared].reset_index(drop=True), self.primaries, self.unlearned)

    @cached_property
    def changes(self) -> dict[Primary, Change]:
        """`comparisons` by their places."""
        return self._by_place(self.comparisons)

    def _by_place(self, frame: pd.DataFrame) -> dict[Primary, Change]:
        return {change.place: change for row in rows_of(frame) for change in [Change.of(row, len(self.primaries))]}

    def change(self, arm: Arm, baseline: str, metric: str) -> Change | None:
        return self.changes.get(Primary(*arm, baseline, metric))

    def averaged(self) -> list[Change]:
        """Changes of averages over collections, in the errors that their members are judged by."""
        plan = self.run.plan
        found = []
        for name, datasets in self.averages.items():
            metrics = self.headline_metrics(datasets[0])
            arms = dict.fromkeys((arm.model, arm.strategy) for arm in plan.arms if arm.dataset in datasets)
            places = [
                Primary(name, model, strategy, baseline, metric)
                for model, strategy in arms
                if strategy not in plan.baselines
                for metric in metrics
                for baseline in plan.baselines
            ]
            found += [self.changes[place] for place in places if place in self.changes]
        return found

    def datasets(self, name: str) -> list[str]:
        """The datasets behind a name: those that are averaged over, or itself."""
        return self.averages.get(name, [name])

    def lower(self, change: Change) -> int:
        """In how many members of a collection the error is lower."""
        members = [
            self.changes.get(change.place._replace(dataset=name)) for name in self.datasets(change.place.dataset)
        ]
        return sum(member is not None and member.percent < 0 for member in members)

    @cached_property
    def _cells(self) -> dict[tuple[str, ...], dict[int, tuple[str | None, float]]]:
        """(dataset, model, metric, strategy) -> seed -> (hash of its split, error)."""
        names = ["dataset", "model", "metric", "strategy"]
        rows = self.values[self.values["value"] > 0]
        hashes = rows["split_hash"].astype(object).where(rows["split_hash"].notna(), None)
        found: dict[tuple[str, ...], dict[int, tuple[str | None, float]]] = {}
        places = zip(*(rows[name] for name in names), strict=True)
        for place, seed, split, value in zip(places, rows["seed"], hashes, rows["value"], strict=True):
            found.setdefault(place, {})[int(seed)] = (split, float(value))
        return found

    def single_seeds(self, change: Change) -> dict[int, float]:
        """Change in % of each common seed with the same split, as far as that is known."""
        arm, base = (
            self._cells.get((change.place.dataset, change.place.model, change.place.metric, name), {})
            for name in (change.place.strategy, change.place.baseline)
        )
        pairs = {seed: (arm[seed], base[seed]) for seed in sorted(arm.keys() & base.keys())}
        return {
            seed: 100 * (value / other - 1)
            for seed, ((split, value), (other_split, other)) in pairs.items()
            if None in (split, other_split) or split == other_split
        }

    def ways(self, change: Change) -> list[str]:
        """In which ways the cells of a comparison were computed, where they say it: more than one is a mixture."""
        records, place = self.run.records, change.place
        if "computed" not in records:
            return []
        here = records["dataset"].isin(self.datasets(place.dataset)) & records["model"].eq(place.model)
        here &= records["strategy"].isin([place.strategy, place.baseline]) & records["status"].eq("ok")
        return sorted(records.loc[here, "computed"].dropna().unique())

    # Whether anything was learned.

    @cached_property
    def against_references(self) -> pd.DataFrame:
        """`references.against_references` on the test split, averages over collections among them."""
        errors = self.run.references
        found = references.against_references(self.values, errors[errors["split"] == "test"])
        means = [references.averaged(found, datasets, name) for name, datasets in self.averages.items()]
        return pd.concat([found, *(mean for mean in means if len(mean))], ignore_index=True)

    @cached_property
    def _beaten(self) -> dict[tuple[str, str, str, str], bool]:
        """(dataset, model, strategy, metric) -> whether all references are beaten; where one is known."""
        beaten: dict[tuple[str, str, str, str], bool] = {}
        for row in rows_of(self.against_references):
            place = row["dataset"], row["model"], row["strategy"], row["metric"]
            beaten[place] = beaten.get(place, True) and bool(row["beaten"])
        return beaten

    @property
    def unlearned(self) -> list[tuple[str, str, str, str]]:
        """(dataset, model, strategy, metric) of arms that do not beat the references."""
        return [place for place, beaten in self._beaten.items() if not beaten]

    def learned(self, arm: Arm, metric: str) -> bool | None:
        """Whether an arm beats the references; None where none is known."""
        return self._beaten.get((*arm, metric))

    def reference_names(self, dataset: str, metric: str) -> list[str]:
        """The references that arms are held against, of a dataset or of an average."""
        found = self.against_references
        return list(found.loc[found["dataset"].eq(dataset) & found["metric"].eq(metric), "reference"].unique())

    @cached_property
    def reference_errors(self) -> dict[tuple[str, str], dict[str, Mean]]:
        """Test errors of the references, (dataset, metric) -> name -> mean over seeds."""
        errors = self.run.references
        groups = errors[errors["split"] == "test"].groupby(["dataset", "metric", "reference"], sort=False)["value"]
        found: dict[tuple[str, str], dict[str, Mean]] = {}
        for row in rows_of(groups.agg(n="count", mean="mean", sd="std").reset_index()):
            means = found.setdefault((row["dataset"], row["metric"]), {})
            means[row["reference"]] = Mean(row["n"], row["mean"], row["sd"])
        return found

    # Losses and stuck cells.

    @cached_property
    def _nulls(self) -> pd.DataFrame:
        return self.run.references[self.run.references["reference"] == NULL].drop(columns="reference")

    @cached_property
    def escaped(self) -> pd.DataFrame:
        """`escape.escapes`; empty where no null is known."""
        return escape.escapes(self.run.records, self.run.curves, self._nulls)

    @cached_property
    def _left_behind(self) -> dict[Arm, tuple[int, int]]:
        """(stuck, lost) cells of every arm that has any, of those whose null is known."""
        behind: dict[Arm, tuple[int, int]] = {}
        for row in rows_of(self.escaped[~self.escaped["escaped"]]):
            arm = Arm(*(row[name] for name in statistics.ARM))
            stuck, lost = behind.get(arm, (0, 0))
            behind[arm] = (stuck + 1, lost) if row["status"] == "ok" else (stuck, lost + 1)
        return behind

    def stuck(self, arm: Arm) -> int:
        """Finished cells of an arm that never left the plateau; 0 where that is not known."""
        return self._left_behind.get(arm, (0, 0))[0]

    def left_behind(self, change: Change) -> int:
        """Stuck and lost cells on both sides of a comparison."""
        place = change.place
        arms = [
            Arm(dataset, place.model, strategy)
            for dataset in self.datasets(place.dataset)
            for strategy in (place.strategy, place.baseline)
        ]
        return sum(sum(self._left_behind.get(arm, (0, 0))) for arm in arms)

    @cached_property
    def _with_losses(self) -> dict[Primary, Change]:
        if not self._left_behind:
            return {}
        judged_by = {metric for dataset, _ in self.run.plan.pairs for metric in self.headline_metrics(dataset)}
        wanted = judged_by | {one.metric for one in self.primaries}
        values = statistics.seed_values(self.run.records, [name for name in self.metrics if name in wanted])
        counted = escape.with_null_errors(values, self.escaped, self._nulls, "test")
        return self._by_place(self._judged(self._with_averages(counted)))

    def with_losses(self, place: Primary) -> Change | None:
        """The change with the errors of stuck and lost cells set to the null's; None where neither side has any."""
        change = self._with_losses.get(place)
        return change if change is not None and self.left_behind(change) else None

    # What a verdict hangs on.

    @cached_property
    def _without_a_seed(self) -> dict[int, dict[Primary, Change]]:
        """The comparisons in the errors that are declared, without each seed in turn."""
        declared = self.values[self.values["metric"].isin({one.metric for one in self.primaries})]
        found = sorted(declared["seed"].unique())
        return {int(seed): self._by_place(self._judged(declared[declared["seed"] != seed])) for seed in found}

    def crucial_seeds(self, change: Change) -> list[int]:
        """The seeds that a verdict needs, as it is not told without that one; empty where there is no verdict."""
        if not change.verdict:
            return []
        others = {seed: self._without_a_seed[seed].get(change.place) for seed in self.single_seeds(change)}
        return [seed for seed, other in others.items() if other is None or other.verdict != change.verdict]

    # Arms and cells.

    def mean(self, arm: Arm, metric: str, checkpoint: str = "best") -> Mean | None:
        return self._means.get((*arm, metric, checkpoint))

    def references(self, arm: Arm) -> list[str]:
        """Planned baselines that an arm is compared with; for a baseline, only those listed before it."""
        baselines = self.run.plan.baselines
        if arm.strategy in baselines:
            baselines = baselines[: baselines.index(arm.strategy)]
        return [baseline for baseline in baselines if arm._replace(strategy=baseline) in self._arms]

    def headline_metrics(self, dataset: str) -> tuple[str, str]:
        """(force, energy) metric that a dataset is judged by."""
        return JUDGED[self.run.plan.datasets[dataset].judged_by]

    @cached_property
    def _arms(self) -> set[Arm]:
        return set(self.run.plan.arms)

    def finished(self, arm: Arm) -> int:
        """Number of cells of an arm that ended ok."""
        return self.states(arm).get("ok", 0)

    def planned(self, arm: Arm) -> int:
        """Number of planned cells of an arm."""
        return sum(self.states(arm).values())

    def states(self, arm: Arm) -> dict[str, int]:
        """Number of cells of an arm by state; states without a cell are left out."""
        return self._states[arm]

    @cached_property
    def _states(self) -> dict[Arm, dict[str, int]]:
        counts: dict[Arm, dict[str, int]] = {arm: {} for arm in self.run.plan.arms}
        for state in self.run.states:
            counts[state.cell.arm][state.state] = counts[state.cell.arm].get(state.state, 0) + 1
        return counts

    @cached_property
    def frame_counts(self) -> dict[tuple[str, str], pd.DataFrame]:
        """`n_frames`, `n_atoms` and effective numbers of the finished cells by (dataset, split)."""
        records = self.run.records
        chosen = records[(records["status"] == "ok") & (records["checkpoint"] == "best")].dropna(subset=["n_frames"])
        groups = chosen.groupby(["dataset", "split"], sort=False)[["n_frames", "n_atoms", *EFFECTIVE]]
        return {(str(dataset), str(split)): frame for (dataset, split), frame in groups}

    @cached_property
    def reach(self) -> dict[Arm, dict[str, Any]]:
        """`convergence.summarise_reach` by arm, against the first baseline, in each dataset's own force metric."""
        if not self.run.plan.baselines or not self.run.plan.arms:
            return {}
        baseline = self.run.plan.baselines[0]
        reached = [
            convergence.epochs_to_reach(cells, self.run.curves, baseline, metric) for metric, cells in self._by_force()
        ]
        summary = convergence.summarise_reach(pd.concat(reached, ignore_index=True))
        return {Arm(row["dataset"], row["model"], row["strategy"]): row for row in rows_of(summary)}

    @cached_property
    def late(self) -> dict[Arm, pd.Series]:
        """`change` of `convergence.late_changes` by arm, in each dataset's own force metric."""
        parts = [convergence.late_changes(cells, self.run.curves, metric) for metric, cells in self._by_force()]
        if not parts:
            return {}
        groups = pd.concat(parts, ignore_index=True).groupby(statistics.ARM, sort=False)["change"]
        return {Arm(*map(str, place)): changes for place, changes in groups}

    def _by_force(self) -> list[tuple[str, pd.DataFrame]]:
        """Each force error that datasets are judged by, and the records of these datasets."""
        records = self.run.records
        force = {arm.dataset: self.headline_metrics(arm.dataset)[0] for arm in self.run.plan.arms}
        return [(metric, records[records["dataset"].map(force) == metric]) for metric in dict.fromkeys(force.values())]
