"""The SQL of feature tables: a true key, the contract's words, and nothing that breaks out of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from engage_spark.cli import main
from engage_spark.contract import load_contract
from engage_spark.contract.feature_ddl import render_feature_ddl
from engage_spark.errors import ConfigurationError
from engage_spark.pipelines.views import views_of
from tests.support.deliveries import BIKES

ENGAGEMENT = load_contract()
PLACES = {"published": "main.engage_published", "schema": "main.engage_features"}


def test_every_table_of_features_has_its_key_its_columns_and_its_source() -> None:
    text = render_feature_ddl(ENGAGEMENT, **PLACES)
    names = re.findall(r"CREATE OR REPLACE MATERIALIZED VIEW `main`.`engage_features`.`(\w+)` \(", text)
    assert names == ["customer_features", "graph_features"]
    made, _, _ = text.partition("CREATE OR REPLACE MATERIALIZED VIEW")
    assert made.endswith("CREATE SCHEMA IF NOT EXISTS `main`.`engage_features`;\n\n"), "before what it holds"
    key = "PRIMARY KEY (`customer_id`, `snapshot_date` TIMESERIES)"
    assert text.count(key) == text.count("FROM `main`.`engage_published`.") == 2
    for name in names:
        for field in ENGAGEMENT.table(name).fields:
            assert f"  `{field.name}` {field.spark_type.upper()}" in text
    assert text.count(" NOT NULL ") == 4
    columns = {v.name: v.columns for v in views_of(ENGAGEMENT)}
    for name, selected in zip(names, re.findall(r"AS SELECT (.*) FROM", text), strict=True):
        assert selected.replace("`", "").split(", ") == list(columns[name]), "what the view has"


def test_the_contract_and_what_it_says_of_personal_columns_are_tags() -> None:
    text = render_feature_ddl(ENGAGEMENT, **PLACES)
    for name in ("customer_features", "graph_features"):
        view = f"ALTER MATERIALIZED VIEW `main`.`engage_features`.`{name}`"
        tags = f"'data_contract' = '{ENGAGEMENT.id}', 'data_contract_version' = '{ENGAGEMENT.version}'"
        assert text.count(f"{view} SET TAGS ({tags});") == 1
        for field in ENGAGEMENT.table(name).fields:
            tagged = f"{view} ALTER COLUMN `{field.name}` SET TAGS"
            assert text.count(tagged) == bool(field.classification or field.protected), field.name
    table = BIKES.derived[0]
    secret = replace(table.fields[-1], classification="it's", protected=True)
    own = replace(table, fields=(*table.fields[:-1], secret))
    other = replace(BIKES, tables=(*(t for t in BIKES.tables if t is not table), own))
    tags = "SET TAGS ('classification' = 'it\\'s', 'protected' = 'true');"
    assert f"ALTER COLUMN `{secret.name}` {tags}" in render_feature_ddl(other, **PLACES)


def test_names_and_texts_of_a_contract_stay_names_and_texts() -> None:
    table = BIKES.derived[0]
    first = replace(table.fields[-1], name="a`b", description="it's; DROP TABLE x -- \\' \n ${env:HOME}")
    hostile = replace(BIKES, tables=(*(t for t in BIKES.tables if t is not table),
                                     replace(table, fields=(*table.fields[:-1], first))))  # fmt: skip
    text = render_feature_ddl(hostile, **PLACES)
    assert "  `a``b` " in text
    assert "COMMENT 'it\\'s; DROP TABLE x -- \\\\\\' \\u0024{env:HOME}'" in text
    assert "$" not in text


def test_a_contract_without_features_says_so() -> None:
    bare = replace(BIKES, tables=tuple(t for t in BIKES.tables if t not in BIKES.derived))
    with pytest.raises(ConfigurationError, match="no table of features by station_code and day"):
        render_feature_ddl(bare, **PLACES)


def test_the_command_takes_the_schemas_from_the_lake_or_asks_for_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["contract", "ddl", "--env", "databricks", "--set", "env=prod"])
    text = capsys.readouterr().out
    assert text == render_feature_ddl(
        ENGAGEMENT, published="engagement_prod.engage_published", schema="engagement_prod.engage_features"
    )
    main(["contract", "ddl", "--published", "a.b", "--schema", "a.c", "--json"])
    assert "`a`.`b`.`customer_features`;" in json.loads(capsys.readouterr().out)["sql"]
    with pytest.raises(SystemExit) as refused:
        main(["contract", "ddl"])
    assert refused.value.code == 2
    assert "give --published and --schema" in capsys.readouterr().err
