"""What every row of a stored table meets: the package's own columns and keys, and no rule of a contract."""

from __future__ import annotations

import re

import pytest

from engage_spark.contract import Table, TableKind, load_contract, stored_tables, system_contract
from engage_spark.contract.invariants import PREFIX, invariants
from tests.support.deliveries import BIKES

TABLES = [t for c in (load_contract(), BIKES) for t in (*stored_tables(c), *system_contract().tables)]


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_no_constraint_is_about_what_a_delivery_or_a_formula_decides(table: Table) -> None:
    for name, sql in invariants(table).items():
        assert re.fullmatch(PREFIX + r"[a-z0-9_]+", name), "Delta writes names in lower case"
        used = {f.name for f in table.fields if re.search(rf"(?<!\w){re.escape(f.name)}(?!\w)", sql)}
        assert used, sql
        if table.kind is not TableKind.SYSTEM:
            assert used <= {"_run_id", "_dq_status", "_dq_errors", "snapshot_date", *table.key}


def test_bounds_let_nulls_pass_and_hold_counts_and_shares() -> None:
    named = {t.name: invariants(t) for t in TABLES}
    assert named["segments"]["engage_share_in_bounds"] == "`share` IS NULL OR (`share` >= 0 AND `share` <= 1)"
    assert named["runs"]["engage_rows_in_in_bounds"] == "`rows_in` IS NULL OR (`rows_in` >= 0)"
    assert not [n for n in named["runs"] if "seconds" in n], "a clock may go back"
    assert "engage_key_not_null" in named["customer_features"] and "engage_key_not_null" in named["splits"]
    assert not [n for n in named["connections_judged"] if "day" in n or "key" in n], "events may lack both"
