"""The features of a contract as Feast has them: an entity, and a view per table of features by key and day.

Feast reads what is published, so the lake has views (`lake.views`) in the catalog that Feast's Spark knows;
PUBLISHED names their schema. A row describes the whole of its day: it is known from the next midnight on, in
UTC, and Feast joins it to nothing before. `feast apply` in this folder registers all of it.
"""

import os
from datetime import timedelta

from feast import Entity, FeatureView, Field, ValueType
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.types import Bool, Float32, Float64, Int32, Int64, String, UnixTimestamp

from engage_spark.contract import SNAPSHOT_DATE, TableKind, load_contract

PUBLISHED = os.environ.get("ENGAGE_SPARK_PUBLISHED", "engagement_dev.engage_published")
KNOWN = "known_at"
TYPES = {
    **dict.fromkeys(("tinyint", "smallint", "int"), Int32),
    "bigint": Int64,
    "float": Float32,
    "double": Float64,
    "boolean": Bool,
    "string": String,
    **dict.fromkeys(("date", "timestamp"), UnixTimestamp),
}
KEY_TYPES = {"string": ValueType.STRING, "bigint": ValueType.INT64, "int": ValueType.INT32}

contract = load_contract(os.environ.get("ENGAGE_SPARK_CONTRACT"))
entities = [
    Entity(name=f.name, join_keys=[f.name], value_type=KEY_TYPES[f.spark_type], description=f.description)
    for f in map(contract.entity.__getitem__, contract.entity.key)
]


def feature_view(table) -> FeatureView:
    """Make the view of a table; fields of types that Feast has not stay out."""
    fields = [f for f in table.fields if not f.is_key and f.spark_type in TYPES]
    names = ", ".join(f"`{name}`" for name in (*contract.entity.key, *(f.name for f in fields)))
    known = f"CAST(date_add(`{SNAPSHOT_DATE}`, 1) AS TIMESTAMP) AS {KNOWN}"
    source = SparkSource(
        name=f"{table.name}_published",
        query=f"SELECT {names}, {known} FROM {PUBLISHED}.`{table.name}`",  # noqa: S608 (names of the contract)
        timestamp_field=KNOWN,
    )
    return FeatureView(
        name=table.name,
        entities=entities,
        ttl=timedelta(0),  # the newest day that was known, however old
        schema=[
            Field(
                name=f.name,
                dtype=TYPES[f.spark_type],
                description=f.description,
                tags={"role": f.role.value, **({"unit": f.unit} if f.unit else {})},
            )
            for f in fields
        ],
        source=source,
        description=table.description,
        tags={"contract": contract.id, "version": contract.version},
        online=False,
    )


views = [
    feature_view(table)
    for table in contract.tables
    if table.kind in (TableKind.DERIVED, TableKind.GRAPH)
    and set(table.key) == {*contract.entity.key, SNAPSHOT_DATE}
]
customer_features, *others = views
for view in others:  # Feast collects what has a name in the module
    globals()[view.name] = view
for entity in entities:
    globals()[f"{entity.name}_entity"] = entity
