"""Every table of a report, in its order."""

from __future__ import annotations

from collections.abc import Callable

from reports.analysis.results import Results
from reports.tables.changes import (
    change_table,
    comparison_table,
    loss_table,
    pooled_table,
    primary_table,
    seeds_table,
)
from reports.tables.errors import anchor_table, error_table, main_tables
from reports.tables.learning import escape_table, handover_table, late_table
from reports.tables.provenance import (
    arm_table,
    audit_table,
    conflict_table,
    provenance_table,
    source_table,
    split_hash_table,
    split_table,
    unfinished_table,
)
from reports.tables.simulations import simulation_tables
from reports.tables.speed import cost_table, reach_table, speedup_table
from reports.tables.sweep import sweep_table
from reports.tables.systems import element_table, further_table, member_tables, quantile_table
from reports.tables.table import Table, explained


def _if_any(build: Callable[[Results], Table]) -> Callable[[Results], Table | None]:
    def built(results: Results) -> Table | None:
        table = build(results)
        return None if table.empty else table

    return built


def _if_merged(build: Callable[[Results], Table]) -> Callable[[Results], Table | None]:
    return lambda results: build(results) if len(results.run.sources) > 1 else None


BUILDERS: dict[str, Callable[[Results], Table | list[Table] | None]] = {
    "main": main_tables,
    "anchors": _if_any(anchor_table),
    "primary": primary_table,
    "comparisons": comparison_table,
    "pooled": _if_any(pooled_table),
    "losses": _if_any(loss_table),
    "seeds": seeds_table,
    "errors": error_table,
    "errors-last": lambda results: error_table(results, "last"),
    "changes": change_table,
    "escape": escape_table,
    "handover": handover_table,
    "late": late_table,
    "reach": reach_table,
    "speedup": speedup_table,
    "sweep": sweep_table,
    "elements": element_table,
    "quantiles": quantile_table,
    "molecules": member_tables,
    "further": _if_any(further_table),
    "simulations": simulation_tables,
    "costs": cost_table,
    "arms": arm_table,
    "frames": split_table,
    "unfinished": unfinished_table,
    "audit": audit_table,
    "splits": split_hash_table,
    "software": provenance_table,
    "sources": _if_merged(source_table),
    "conflicts": _if_merged(conflict_table),
}
"""How each table is made, in the report's order; None where it does not apply."""


def report_tables(results: Results) -> dict[str, Table]:
    """All tables of a report by name, in order; those that do not apply are left out.

    A table for which there are no data yet is there and empty: its `absent` says why.
    """
    tables: dict[str, Table] = {}
    for build in BUILDERS.values():
        built = build(results)
        for table in built if isinstance(built, list) else [built]:
            if table is not None:
                tables[table.name] = explained(table)
    return tables
