"""Let Spark compile the rules, formulas and patterns of a table before any row is read.

The contract's own parser has refused what it does not know (`contract/expressions`). Spark has the last word
on types, patterns and formats, and is asked once for all of a table.
"""

from __future__ import annotations

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

from engage_spark.contract import SNAPSHOT_DATE, Contract, Table, TableKind, bare_pattern
from engage_spark.contract.analytics import analytics_spec_of
from engage_spark.contract.analytics_spec import DimensionSpec, MetricSpec
from engage_spark.contract.expressions import read_expression, read_statement
from engage_spark.errors import ContractError
from engage_spark.masking import cut
from engage_spark.spark.failures import SPARK_ERRORS
from engage_spark.spark.schema import spark_type
from engage_spark.spark.sql_text import quoted_name, sql_literal

_compiled: set[str] = set()
"""What Spark took before, in this process."""


def refuse_other_expressions(rows: DataFrame, table: Table) -> None:
    """Raise one ContractError that names every rule and pattern of `table` that Spark does not compile.

    See `refuse_what_spark_refuses`.
    """
    refuse_what_spark_refuses(rows.sparkSession, table)


def refuse_what_spark_refuses(
    spark: SparkSession, table: Table, inputs: Table | None = None, *, analysed: bool = True
) -> None:
    """Raise one ContractError that names every rule, formula and pattern of `table` that Spark refuses.

    `inputs` is the table that the formulas are computed from. `analysed` says whether rules and formulas are
    asked about; a stage that has them analysed itself, before any job, asks about patterns and formats alone.
    Cost: an analysis of the rules and formulas, and one call for all patterns and formats, where there are
    any; one call per statement where something is wrong; no job. What was compiled once is not compiled again
    by the same process.
    """
    if problems := compile_problems(spark, table, inputs, analysed=analysed):
        raise ContractError(
            f"{table.name}: {len(problems)} of the contract's expressions and patterns cannot be run",
            details=problems,
            hint="write rules and formulas as Spark SQL about one row, patterns as Java regular expressions; "
            "`engage-spark contract lint --engine` asks Spark about all of them",
        )


def compile_contract(spark: SparkSession, contract: Contract) -> list[str]:
    """List every rule, formula and pattern of a contract that Spark refuses, with why.

    Those of indicators and claims are among them.
    Cost: one call a table and one for analytics when all is well; no job.
    """
    by_name = {t.name: t for t in contract.tables}
    problems = [
        f"table {t.name!r}: {problem}"
        for t in contract.tables
        for problem in compile_problems(spark, t, by_name.get(t.source or ""))
    ]
    if any(t.kind is TableKind.ENTITY for t in contract.tables):
        problems += [f"analytics: {problem}" for problem in _of_analytics(spark, contract)]
    return problems


def _of_analytics(spark: SparkSession, contract: Contract) -> list[str]:
    """List what Spark refuses of the metrics, indicators and claims."""
    spec = analytics_spec_of(contract)
    types = {c.name: contract.table(c.table)[c.field].spark_type for c in spec.columns}
    sources: tuple[MetricSpec | DimensionSpec, ...] = (*spec.metrics, *spec.dimensions)
    literals = {f"{s.name} ({probe})": probe for s in sources for probe in s.probes}
    return _faults(spark, types | {SNAPSHOT_DATE: "date"}, {s.name: s.source for s in sources}, literals)


def compile_problems(
    spark: SparkSession, table: Table, inputs: Table | None = None, *, analysed: bool = True
) -> list[str]:
    """List what Spark refuses of one table. A pattern is compiled alone, as the contract has it, and as it is
    used.
    """
    types = (inputs.column_types if inputs else {}) | table.column_types
    if unread := _unread(table, types):
        return unread
    expressions, literals = _statements(table, types)
    return _faults(spark, types, expressions if analysed else {}, literals)


def _faults(
    spark: SparkSession, types: dict[str, str], expressions: dict[str, str], literals: dict[str, str]
) -> list[str]:
    """List what Spark refuses of expressions over columns of these types, and of literals alone."""
    problems = []
    for columns, statements in ((types, expressions), ({}, literals)):
        query = _query(columns, list(statements.values()))
        if not statements or query in _compiled:
            continue
        if _fault(spark, query, run=not columns) is None:
            _compiled.add(query)
            continue
        faults = {n: _fault(spark, _query(columns, [s]), run=not columns) for n, s in statements.items()}
        problems += [f"{name}: {fault}" for name, fault in faults.items() if fault]
    return problems


def _unread(table: Table, types: dict[str, str]) -> list[str]:
    """List what the contract's own parser refuses: of a contract that was loaded, nothing."""
    texts = {r.name: r.expression for r in table.rules}
    texts |= {f"the formula of {f.name}": f.formula for f in table.fields if f.formula is not None}
    problems = [f"{name}: {p}" for name, text in texts.items() for p in read_expression(text, types).problems]
    return problems + [
        f"the reading of {f.name}: {p}"
        for f in table.readings
        for p in read_expression(f.reading or "", {f.name: "string"}).problems
    ]


def _statements(table: Table, types: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what Spark has to analyse over the columns, and what it has to compute of literals alone, by
    what it is called.
    """
    expressions: dict[str, str] = {}
    literals: dict[str, str] = {}
    for rule in table.rules:
        read = read_statement(rule.expression, types, rule.name)
        expressions[rule.name] = f"NOT ({read.sql})"
        literals |= {f"{rule.name} ({probe})": probe for probe in read.probes}
    for f in table.fields:
        if f.formula is not None:
            read, kind = read_statement(f.formula, types, f.name), _type_as_sql(spark_type(f.spark_type))
            expressions[f"the formula of {f.name}"] = f"try_cast({read.sql} AS {kind})"
            literals |= {f"the formula of {f.name} ({probe})": probe for probe in read.probes}
        if f.reading is not None:
            read, kind = (
                read_statement(f.reading, {f.name: "string"}, f.name),
                _type_as_sql(spark_type(f.spark_type)),
            )
            of_null = read.sql.replace(quoted_name(f.name), "CAST(NULL AS STRING)")
            expressions[f"the reading of {f.name}"] = f"try_cast({of_null} AS {kind})"
            literals |= {f"the reading of {f.name} ({probe})": probe for probe in read.probes}
        if f.pattern is not None:
            bare = bare_pattern(f.pattern)
            literals[f"the pattern of {f.name}"] = f"regexp_like('', {sql_literal(bare)})"
            literals[f"the pattern of {f.name}, anchored"] = f"regexp_like('', {sql_literal(f.pattern)})"
    return expressions, literals


def _query(types: dict[str, str], statements: list[str]) -> str:
    """Return a query of one row of nulls: its optimised plan is its result, so that collecting it takes no
    job.
    """
    kinds = {name: _type_as_sql(spark_type(kind)) for name, kind in types.items()}
    columns = [f"CAST(NULL AS {kind}) AS {quoted_name(name)}" for name, kind in kinds.items()]
    named = [f"{sql} AS s{i}" for i, sql in enumerate(statements)]
    inner = f"SELECT {', '.join(columns or ['one'])} FROM VALUES (1) AS one(one)"  # noqa: S608
    return f"SELECT {', '.join(named)} FROM ({inner})"  # noqa: S608 (parsed and quoted, every part of it)


def _type_as_sql(kind: T.DataType) -> str:
    """Write a type with its names quoted: no text of the contract goes into a query as it is."""
    if isinstance(kind, T.ArrayType):
        return f"ARRAY<{_type_as_sql(kind.elementType)}>"
    if isinstance(kind, T.MapType):
        return f"MAP<{_type_as_sql(kind.keyType)}, {_type_as_sql(kind.valueType)}>"
    if isinstance(kind, T.StructType):
        return (
            f"STRUCT<{', '.join(f'{quoted_name(m.name)}: {_type_as_sql(m.dataType)}' for m in kind.fields)}>"
        )
    return kind.simpleString()


def _fault(spark: SparkSession, query: str, *, run: bool = True) -> str | None:
    try:
        result = spark.sql(query)
        _ = result.collect() if run else result.schema
    except SPARK_ERRORS as e:
        text = str(e) if isinstance(e, PySparkException) else str(getattr(e, "java_exception", e))
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return cut(next((line for line in lines if line.startswith("[")), lines[0] if lines else "?"), 300)
    return None
