"""Join a customer's features and the customer's position in the graph: what models use."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame

from engage_spark.spark.joins import join_required


def with_graph_features(
    rows: DataFrame, graph: DataFrame | None, *, on: Sequence[str], measured: bool = True
) -> DataFrame:
    """Add the columns of `graph` to `rows`.

    Of a column that both have, the value measured on the graph counts if `measured`, else the given one. `on`
    are the key columns, unique in `graph`. Technical columns of `graph` (they begin with _) are left out.
    `graph` None: nothing was measured, and `rows` are returned as they are. Otherwise every row must have its
    row in `graph`, which holds isolated customers too: given and measured values in one column would be two
    things under one name.

    Grain: that of `rows`. Columns: those of `rows`, then of `graph`.
    Cost: one join, no job.
    Errors: a row that `graph` lacks fails the job when it is read, with its key and how to fix it.
    """
    if graph is None:
        return rows
    measures = [c for c in graph.columns if c not in on and not c.startswith("_")]
    return join_required(
        rows,
        graph,
        on=on,
        columns=measures if measured else [c for c in measures if c not in rows.columns],
        what="graph features",
        hint="run `engage-spark graph` for that day, or set features.graph_values=given",
    )
