"""Planted faults are caught: all of them, nothing else, and the same however the raw data is cut into
files.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from chispa import assert_df_equality
from pyspark.sql import functions as F

from engage_spark.cli import main
from engage_spark.contract import Contract, Severity, judged_table, load_contract
from engage_spark.errors import ConfigurationError
from engage_spark.lake import Lake, RunLog
from engage_spark.pipelines import features, synth
from engage_spark.pipelines.ingest import run as ingest
from engage_spark.quality import row_checks
from engage_spark.settings import Settings
from tests.support.commands import DAY, JUDGED, content_digest, content_digests, overrides, table

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

CUSTOMERS = 150
PACKAGED = load_contract()
INPUTS = ("customers", "connections", "interactions")


class Laid(NamedTuple):
    """A delivery with planted faults, ingested by a contract whose gates let them pass."""

    settings: Settings
    contract: Contract
    manifest: list[Row]
    home: Path

    @property
    def raw(self) -> str:
        return self.settings.input.root

    @property
    def lake(self) -> str:
        return self.settings.lake.root or ""

    def planted(self, name: str) -> list[Row]:
        return [r for r in self.manifest if r["table"] == name]


def wider_gates(home: Path) -> Contract:
    """The packaged contract, but for its gates: among few customers, one bad row of each kind is more than
    1%.
    """
    text = (Path(load_contract.__code__.co_filename).parent / "engagement.odcs.yaml").read_text(
        encoding="utf-8"
    )
    for bound, wider in (
        ("mustBeGreaterOrEqualTo: 99.8", "mustBeGreaterOrEqualTo: 90.0"),
        ("mustBeLessOrEqualTo: 1.0", "mustBeLessOrEqualTo: 60.0"),
    ):
        assert bound in text
        text = text.replace(bound, wider)
    path = home / "wider.odcs.yaml"
    path.write_text(text, encoding="utf-8")
    return load_contract(path)


@pytest.fixture(scope="module")
def laid(spark: SparkSession, session_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Laid:
    home = tmp_path_factory.mktemp("faults")
    raw = str(home / "raw")
    settings = Settings(
        input={"root": raw},
        lake={"root": str(home / "lake")},
        spark=session_settings.spark,
        synth={"out": raw, "customers": CUSTOMERS, "faults": True},
        ingest={"landed_at": "2025-10-22T00:30:00Z"},
    )
    contract = wider_gates(home)
    synth.run_synth(spark, settings, contract=PACKAGED)
    ingest.run_ingest(spark, settings, contract=contract)
    return Laid(settings, contract, spark.read.parquet(f"{raw}/faults").collect(), home)


@pytest.fixture(scope="module")
def first(spark: SparkSession, laid: Laid) -> dict[str, str]:
    """The contents of the tables after the first ingest, every column."""
    return content_digests(spark, laid.lake, (*JUDGED, "quality_results"))


def critical_rules(name: str) -> set[str]:
    return {c.name for c in row_checks(PACKAGED.table(name)) if c.severity is Severity.CRITICAL}


def by_row(planted: list[Row]) -> dict[tuple[str, str | None, str | None], list[Row]]:
    """The manifest's lines, gathered by the row (or the shared key) that they are about."""
    rows: dict[tuple[str, str | None, str | None], list[Row]] = {}
    for r in planted:
        rows.setdefault((r["fault"], r["column"], r["key"]), []).append(r)
    return rows


def test_every_kind_of_fault_is_planted(laid: Laid) -> None:
    for name in INPUTS:
        rules = {r["rule"] for r in laid.planted(name)}
        # How a key is written (letters of other case, hundreds of digits) is no fault that synth makes; see
        # tests/bad_input.
        declared = {
            c.name
            for c in row_checks(PACKAGED.table(name))
            if not c.name.endswith((".distinguishable", ".short"))
        }
        assert rules == declared, f"{name}: never broken {declared - rules}, unknown {rules - declared}"
        # none of so few customers lacks a field by design
        assert "missing" not in {r["fault"] for r in laid.planted(name)}


def test_exactly_the_planted_rules_are_broken_by_the_planted_customers(
    spark: SparkSession, laid: Laid
) -> None:
    planted: Counter[tuple[str | None, str]] = Counter()
    for r in laid.planted("customers"):
        planted[r["key"], r["rule"]] += r["n"]
    errors = table(spark, laid.lake, "customers_judged").select(
        "customer_id", F.explode("_dq_errors").alias("error")
    )
    found = Counter(
        (r["customer_id"], r["rule"]) for r in errors.select("customer_id", "error.rule").collect()
    )
    assert found == planted


@pytest.mark.parametrize("name", ["connections", "interactions"])
def test_exactly_the_planted_rules_are_broken_by_the_planted_events(
    spark: SparkSession, laid: Laid, name: str
) -> None:
    """An event has no key, so a row is known by the set of rules it breaks, with the value that each rule's
    column has in it.
    """
    planted: Counter[frozenset[str]] = Counter()
    orphans: Counter[tuple[str, str]] = Counter()
    for lines in by_row(laid.planted(name)).values():
        planted[frozenset(r["rule"] for r in lines)] += lines[0]["n"]
        for r in lines:
            if r["rule"].endswith(".references"):
                orphans[r["rule"], r["key"]] += r["n"]
    bad = (
        table(spark, laid.lake, f"{name}_judged")
        .where(F.size("_dq_errors") > 0)
        .select("_dq_errors")
        .collect()
    )
    assert Counter(frozenset(e["rule"] for e in r["_dq_errors"]) for r in bad) == planted
    found = Counter(
        (e["rule"], e["value"]) for r in bad for e in r["_dq_errors"] if e["rule"].endswith(".references")
    )
    assert found == orphans


@pytest.mark.parametrize("name", INPUTS)
def test_what_is_quarantined_is_what_broke_a_critical_rule(
    spark: SparkSession, laid: Laid, name: str
) -> None:
    critical = critical_rules(name)
    wanted = sum(
        lines[0]["n"]
        for lines in by_row(laid.planted(name)).values()
        if critical & {r["rule"] for r in lines}
    )
    counted = table(spark, laid.lake, f"{name}_judged").groupBy("_dq_status").count().collect()
    counts = {r["_dq_status"]: r["count"] for r in counted}
    rows_in = spark.read.parquet(f"{laid.raw}/{name}").count()
    assert counts == {"valid": rows_in - wanted, "quarantined": wanted}
    assert 0 < wanted < rows_in


def test_the_results_and_the_runs_tell_the_same_counts(spark: SparkSession, laid: Laid) -> None:
    planted: Counter[tuple[str, str]] = Counter()
    for r in laid.manifest:
        planted[r["table"], r["rule"]] += r["n"]
    results = table(spark, laid.lake, "quality_results").collect()
    gates = {gate.name for t in PACKAGED.tables for gate in t.gates}
    counted = Counter(
        {(r["table_name"], r["rule_name"]): r["violations"] for r in results if r["rule_name"] not in gates}
    )
    assert counted == planted
    for r in table(spark, laid.lake, "runs").collect():
        assert (
            r["rows_in"]
            == r["rows_valid"] + r["rows_quarantined"]
            == spark.read.parquet(f"{laid.raw}/{r['stage'].split(':')[1]}").count()
        )


def test_protected_values_are_masked_in_the_reasons(spark: SparkSession, laid: Laid) -> None:
    protected = [f.name for f in PACKAGED.entity.fields if f.protected]
    errors = (
        table(spark, laid.lake, "customers_judged").select(F.explode("_dq_errors").alias("e")).select("e.*")
    )
    values = {
        r["value"] for r in errors.where(F.col("column").isin(protected)).select("value").distinct().collect()
    }
    assert protected and values == {"***"}


def test_features_are_derived_of_valid_rows_only(spark: SparkSession, laid: Laid) -> None:
    features.run_features(spark, laid.settings, contract=laid.contract)
    valid = table(spark, laid.lake, "customers_judged").where("_dq_status = 'valid'").select("customer_id")
    derived = table(spark, laid.lake, "customer_features").select("customer_id")
    assert_df_equality(derived, valid, ignore_nullable=True, ignore_row_order=True, ignore_metadata=True)
    assert not derived.isEmpty()


@pytest.mark.slow
def test_ingesting_again_leaves_the_same_contents(
    spark: SparkSession, laid: Laid, first: dict[str, str]
) -> None:
    ingest.run_ingest(spark, laid.settings, contract=laid.contract, force=True)
    assert content_digests(spark, laid.lake, (*JUDGED, "quality_results")) == first
    assert table(spark, laid.lake, "runs").where("stage = 'ingest:customers'").count() == 2


@pytest.mark.slow
@pytest.mark.parametrize("files", [1, 7])
def test_the_contents_do_not_depend_on_files_and_partitions(
    spark: SparkSession, laid: Laid, tmp_path: Path, files: int
) -> None:
    for name in INPUTS:
        rows = spark.read.parquet(f"{laid.raw}/{name}")
        day = ["snapshot_date"] if name == "customers" else []
        # By the hash of another column than the key: the files' order and the rows' order are others than
        # synth's.
        rows.repartition(files, F.xxhash64(*rows.columns)).write.partitionBy(*day).parquet(
            str(tmp_path / "raw" / name)
        )
    settings = laid.settings.model_copy(
        update={
            "input": laid.settings.input.model_copy(update={"root": str(tmp_path / "raw")}),
            "lake": laid.settings.lake.model_copy(update={"root": str(tmp_path / "lake")}),
        }
    )
    before = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", files)
    try:
        ingest.run_ingest(spark, settings, contract=laid.contract)
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", before or 2)
    for name in JUDGED:
        again = content_digest(table(spark, tmp_path / "lake", name), without=("_run_id",))
        assert again == content_digest(table(spark, laid.lake, name), without=("_run_id",)), name
    for name in ("quality_results", "quality_states"):
        found = content_digest(table(spark, tmp_path / "lake", name), without=("run_id",))
        assert found == content_digest(table(spark, laid.lake, name), without=("run_id",)), name


@pytest.fixture(scope="module")
def rejected(spark: SparkSession, laid: Laid) -> tuple[Path, int, str, str]:
    """The same delivery by the packaged gates: the lake, the exit code, standard output and standard
    error.
    """
    lake, out, err = laid.home / "rejected", io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as stopped,
    ):
        main(["ingest", "--input", laid.raw, *overrides(lake__root=lake)])
    return lake, int(stopped.value.code or 0), out.getvalue(), err.getvalue()


def test_the_packaged_gates_reject_the_delivery(
    spark: SparkSession, laid: Laid, rejected: tuple[Path, int, str, str]
) -> None:
    lake, code, out, err = rejected
    assert code == 3
    assert "quarantine_limit" in err and "1%" in err, err
    assert "no reader will see" in err and "Hint: " in err
    assert re.search(r"customers +2025-10-21 +\S+ +\S+ +\S+ +rejected", out), out
    # the table of what failed
    assert re.search(r"customers +2025-10-21 +quarantine_limit +[\d,]+ +\d+\.\d{4}% +1%", out), out
    status = {r["status"] for r in table(spark, lake, "runs").where("stage = 'ingest:customers'").collect()}
    assert status == {"rejected"}
    assert (
        table(spark, lake, "customers_judged").count() == spark.read.parquet(f"{laid.raw}/customers").count()
    )


def test_no_reader_sees_a_rejected_delivery(
    spark: SparkSession, laid: Laid, rejected: tuple[Path, int, str, str]
) -> None:
    lake = rejected[0]
    runs = RunLog(Lake(laid.settings.lake.model_copy(update={"root": str(lake)})))
    customers = judged_table(PACKAGED.entity)
    assert runs.read_published(spark, customers, stage="ingest:customers", day="snapshot_date").count() == 0
    with pytest.raises(ConfigurationError, match=str(DAY)):
        runs.read_published(spark, customers, stage="ingest:customers", day="snapshot_date", days=[DAY])
    with pytest.raises(SystemExit) as stopped:
        main(["features", *overrides(lake__root=lake)])
    assert stopped.value.code == 2
    assert not (lake / "customer_features").exists()
