"""Read the rows of listed files, as their table declares them.

Files whose declared columns have the same types are read together, and each such group by the schema that it
has: no column is asked for that Spark cannot read, nor converted by the reader. Types that differ by file are
converted as `conform` does, where no value changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BufferedReader

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from engage_spark.contract import SNAPSHOT_DATE, ExtraColumns, Table
from engage_spark.contract import Field as DeclaredField
from engage_spark.errors import InputError
from engage_spark.lake.csv_scan import MAX_LINE_BYTES, parse_header, scan_csv
from engage_spark.lake.delivery_names import folder_values
from engage_spark.lake.file_listing import InputFile, literal_path
from engage_spark.lake.folder_values import folder_value_problem
from engage_spark.lake.input_files import InputManifest, delta_rows
from engage_spark.lake.parquet_columns import Columns, FileRange, read_columns
from engage_spark.lake.spark_errors import to_engage_error
from engage_spark.spark.failures import SPARK_ERRORS
from engage_spark.spark.files import path_of_this_process, read_bytes
from engage_spark.spark.guarantees import STRICT_READS
from engage_spark.spark.joins import union_of
from engage_spark.spark.schema import (
    ColumnType,
    ConformedInput,
    UnreadableType,
    column_metadata,
    column_named,
    column_problems,
    conform,
    conformed_column,
    folder_flag_name,
    is_read,
    refuse_columns,
    spark_type,
    undeclared_columns,
    with_readings,
)
from engage_spark.spark.sql_text import quoted_name

SCAN_BYTES = 4 * 2**20
"""Bytes of CSV files in a store up to which they are looked through before Spark reads them; files of this
machine always are.
"""
MAX_GROUPS = 500
"""Groups of files of other columns or folder values that one read may have."""
_NUMBER = r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$"
_NOT_A_NUMBER = r"^\s*([+-]?(Inf|Infinity)|NaN)\s*$"
_COMPARABLE_DAYS = ("string", "date", "timestamp", "timestamp_ntz", "int", "bigint")


@dataclass(frozen=True, kw_only=True)
class FileGroup:
    """Files that are read together: their columns, and what their folders say of declared columns."""

    files: tuple[InputFile, ...]
    columns: Columns
    values: Mapping[str, str] = field(default_factory=dict)
    breaks_lines: bool = False

    @property
    def paths(self) -> list[str]:
        """Paths of the files, with glob characters escaped."""
        return [literal_path(f.path) for f in self.files]


def read_inputs(
    spark: SparkSession,
    manifest: InputManifest,
    table: Table,
    *,
    malformed: str,
    delimiter: str = ",",
    null: str = "",
    file_column: str | None = None,
) -> ConformedInput:
    """Read the rows of a manifest, with the declared columns in the declared types.

    A declared column that the files do not have is taken from the folders' names (`district=Harbour`), by its
    text; one that only some files have is null in the others. Where a file has the column snapshot_date, or a
    column that its folder names too, `in_folders` names it and a temporary column shows rows that contradict.
    A column `file_column`, where it is asked for, holds a hash of the path of the file that a row is in.
    For CSV a text column `malformed` holds each line that could not be parsed as declared.
    Cost: no job. Each Parquet footer is read, and each CSV file of this machine, or of at most SCAN_BYTES,
    once. On Spark Connect for files of the server alone, one job that merges the schemas of Parquet files.
    Errors: InputError that names file and column.
    """
    try:
        if manifest.format == "delta":
            conformed = _read_delta(spark, manifest, table)
            if file_column is None:
                return conformed
            whole = F.lit(1).cast("bigint")  # a version of a table is one delivery, whatever its files
            return conformed._replace(rows=conformed.rows.withColumn(file_column, whole))
        if manifest.format == "parquet":
            by_path = read_columns(spark, manifest.files) or _merged_by_spark(spark, manifest)
            groups = _grouped(table, manifest, by_path)
        else:
            groups = _csv_groups(spark, manifest, table, delimiter=delimiter, null=null)
        extra = _refuse_groups(groups, table)
        in_folders = _in_folders(groups, manifest, table)
        frames = []
        for g in groups:
            if manifest.format == "parquet":
                rows = _parquet_rows(spark, g, table, in_folders)
                marks: tuple[str, ...] = ()
            else:
                rows = _csv_rows(spark, g, table, malformed=malformed, delimiter=delimiter, null=null)
                marks = (malformed,)
            if file_column is not None:
                rows = rows.withColumn(file_column, _file_hash(manifest))
                marks = (*marks, file_column)
            parsed = manifest.format != "parquet"
            frames.append(_selected(rows, g, table, manifest, in_folders, marks, parsed=parsed))
        rows = union_of(frames)
    except SPARK_ERRORS as e:
        raise to_engage_error(
            e, f"the files of {table.name} cannot be read", input_hint="deliver them again"
        ) from e
    left_out = () if table.extra is ExtraColumns.IGNORE else tuple(c for c in extra if c not in in_folders)
    return ConformedInput(rows, left_out, tuple(_declared_name(c, table) for c in in_folders))


def _read_delta(spark: SparkSession, manifest: InputManifest, table: Table) -> ConformedInput:
    rows = delta_rows(spark, manifest)
    if manifest.day is not None and SNAPSHOT_DATE not in table.delivered_fields:
        rows = rows.drop(SNAPSHOT_DATE)
    return conform(rows, table)


def _merged_by_spark(spark: SparkSession, manifest: InputManifest) -> Mapping[str, Columns]:
    """Return the columns that Spark merges of all files, for each of them."""
    paths = [literal_path(f.path) for f in manifest.files]
    schema = spark.read.options(**STRICT_READS, mergeSchema="true").parquet(*paths).schema
    columns: Columns = tuple((f.name, f.dataType) for f in schema.fields)
    return dict.fromkeys(manifest.paths, columns)


def _grouped(
    table: Table,
    manifest: InputManifest,
    by_path: Mapping[str, Columns],
    breaks_lines: Mapping[str, bool] | None = None,
) -> list[FileGroup]:
    """Group the files by what matters to their reading; other columns of a group are those of its first."""
    declared = {n.lower() for n in table.delivered_fields} | {SNAPSHOT_DATE}
    members: dict[object, list[InputFile]] = {}
    first: dict[object, FileGroup] = {}
    for f in manifest.files:
        columns = by_path[f.path]
        named = folder_values(f.name)
        values = {k: v for k, v in named.items() if k in table.delivered_fields and k != SNAPSHOT_DATE}
        broken = (breaks_lines or {}).get(f.path, False)
        relevant = tuple(
            (n, t.simpleString())
            for n, t in columns
            if manifest.format == "csv" or n.lower() in declared  # CSV is read by position
        )
        key = (relevant, tuple(sorted(values.items())), broken)
        members.setdefault(key, []).append(f)
        known = first.get(key)
        seen = () if known is None else known.columns
        new = tuple(c for c in columns if c[0] not in {n for n, _ in seen}) if seen else columns
        first[key] = FileGroup(files=(f,), columns=(*seen, *new), values=values, breaks_lines=broken)
    if len(members) > MAX_GROUPS:
        raise InputError(
            f"the files of {table.name} have {len(members):,} different sets of columns, types and folders",
            hint="write them with one schema, and declared columns into the files",
        )
    return [
        FileGroup(files=tuple(files), columns=g.columns, values=g.values, breaks_lines=g.breaks_lines)
        for files, g in zip(members.values(), first.values(), strict=True)
    ]


def _refuse_groups(groups: Sequence[FileGroup], table: Table) -> tuple[str, ...]:
    """Refuse what is wrong with the columns of any file, named once; return the undeclared columns."""
    somewhere = {name for g in groups for name, _ in g.columns}
    labels: dict[str, list[FileGroup]] = {}
    for g in groups:
        problems = column_problems(g.columns, table, elsewhere=somewhere | g.values.keys())
        for name, text in g.values.items():
            field = table.delivered_fields[name]
            problem = None if field.reading else folder_value_problem(field, text)
            if problem is not None:
                problems.append(problem)
        for problem in problems:
            labels.setdefault(problem, []).append(g)
    named = [
        f"{problem} ({_label([f for g in where for f in g.files])})" for problem, where in labels.items()
    ]
    extra = undeclared_columns([[name for name, _ in g.columns] for g in groups], table)
    refuse_columns(table, named, extra)
    return extra


def _file_hash(manifest: InputManifest) -> Column:
    """Hash the path of a row's file; of one file alone it is the same for all rows."""
    return F.xxhash64("_metadata.file_path") if len(manifest.files) > 1 else F.lit(1).cast("bigint")


def _label(files: Sequence[InputFile]) -> str:
    """Return the name of the first file, and the number of the others."""
    return files[0].name + (f" and {len(files) - 1:,} more" if len(files) > 1 else "")


def _in_folders(groups: Sequence[FileGroup], manifest: InputManifest, table: Table) -> tuple[str, ...]:
    """Return the columns that stand in files and in folders' names both."""
    both = [n for g in groups for n, _ in g.columns if n in g.values]
    days = [
        t for g in groups for n, t in g.columns if n == SNAPSHOT_DATE and t.simpleString() in _COMPARABLE_DAYS
    ]
    if manifest.day is not None and days and SNAPSHOT_DATE not in table.delivered_fields:
        both.append(SNAPSHOT_DATE)
    return tuple(dict.fromkeys(both))


def _parquet_rows(
    spark: SparkSession, group: FileGroup, table: Table, in_folders: Sequence[str]
) -> DataFrame:
    wanted = {*table.delivered_fields, *in_folders}
    fields = [
        T.StructField(n, t)
        for n, t in group.columns
        if n in wanted and not isinstance(t, UnreadableType | T.NullType)
    ]
    return spark.read.options(**STRICT_READS).schema(T.StructType(fields)).parquet(*group.paths)


def _selected(
    rows: DataFrame,
    group: FileGroup,
    table: Table,
    manifest: InputManifest,
    in_folders: Sequence[str],
    marks: Sequence[str],
    *,
    parsed: bool,
) -> DataFrame:
    """Select the declared columns, `marks`, and for each column of `in_folders` what contradicts."""
    types = dict(group.columns)
    columns = {f.delivered_name: _column(f, group, types, parsed=parsed) for f in table.fields}
    flags: list[Column] = []
    for name in in_folders:
        flag = F.lit(None).cast("string")
        if name == SNAPSHOT_DATE and manifest.day is not None and name in types:
            flag = _other_day(types[name], manifest.day.isoformat())
        elif name in group.values and name in types:
            field = table.delivered_fields[name]
            value = F.lit(group.values[name])
            value = value if is_read(field, types[name]) else value.cast(spark_type(field.spark_type))
            flag = F.when(columns[name] != value, columns[name].cast("string"))
        flags.append(flag.alias(folder_flag_name(_declared_name(name, table))))
    selected = rows.select(
        *(columns[f.delivered_name].alias(f.name, metadata=column_metadata(f)) for f in table.fields),
        *marks,
        *flags,
    )
    return with_readings(selected, table, texts=_texts(group, table, types))


def _texts(group: FileGroup, table: Table, types: Mapping[str, ColumnType]) -> frozenset[str]:
    """Name the fields that are read from a text here, of the files or of their folders' names."""
    return frozenset(
        f.name
        for f in table.readings
        if (is_read(f, types[n]) if (n := f.delivered_name) in types else n in group.values)
    )


def _declared_name(column: str, table: Table) -> str:
    """Return the field of a delivered column; the column itself where there is none."""
    field = table.delivered_fields.get(column)
    return column if field is None else field.name


def _column(f: DeclaredField, group: FileGroup, types: Mapping[str, object], *, parsed: bool) -> Column:
    if f.delivered_name not in types:
        value = F.lit(group.values.get(f.delivered_name))
        is_text = f.reading is not None and f.delivered_name in group.values
        return value if is_text else value.cast(spark_type(f.spark_type))
    kind = types[f.delivered_name]
    assert isinstance(kind, T.DataType)
    return column_named(f.delivered_name) if parsed else conformed_column(f, kind)


def _other_day(kind: object, day: str) -> Column:
    """Return as text the day that a row says, where it is another one than its folder's; null elsewhere."""
    assert isinstance(kind, T.DataType)
    column = column_named(SNAPSHOT_DATE)
    if isinstance(kind, T.StringType | T.IntegerType | T.LongType):
        text = F.trim(column.cast("string"))
        return F.when((text != "") & ~text.isin(day, day.replace("-", "")), text)
    return F.when(column.cast("date") != F.lit(day).cast("date"), column.cast("string"))


def _csv_groups(
    spark: SparkSession, manifest: InputManifest, table: Table, *, delimiter: str, null: str
) -> list[FileGroup]:
    """Look at the header of every CSV file, and through files that can be looked through at little cost."""
    headers: dict[str, Columns] = {}
    breaks_lines: dict[str, bool] = {}
    whole = sum(f.size for f in manifest.files) <= SCAN_BYTES
    for f in manifest.files:
        if read_bytes(spark, f.path, 0, 1) is None:
            names = spark.read.options(**_csv_options(delimiter, null)).csv(literal_path(f.path)).columns
        else:
            here = path_of_this_process(spark, f.path) is not None
            with BufferedReader(FileRange(spark, f), 2**20) as stream:
                scan = scan_csv(stream, name=f.name, whole=whole or here, delimiter=delimiter)
            breaks_lines[f.path] = scan.breaks_lines
            names = list(
                parse_header(
                    scan.header, name=f.name, delimiter=delimiter, declared=tuple(table.delivered_fields)
                )
            )
        declared = {d.delivered_name: _parsed_type(d) for d in table.fields}
        headers[f.path] = tuple((n, declared.get(n, T.StringType())) for n in names)
    return _grouped(table, manifest, headers, breaks_lines)


def _parsed_type(f: DeclaredField) -> T.DataType:
    """Return the type that Spark parses a value of CSV as: text where the field's reading is to see it."""
    return spark_type(f.spark_type) if f.reading is None else T.StringType()


def _csv_options(delimiter: str, null: str) -> dict[str, str]:
    return {
        "header": "true",
        "sep": delimiter,
        "nullValue": null,
        "encoding": "UTF-8",
        "quote": '"',
        "escape": '"',
        "maxCharsPerColumn": str(MAX_LINE_BYTES),
        **STRICT_READS,
    }


def _csv_rows(
    spark: SparkSession, group: FileGroup, table: Table, *, malformed: str, delimiter: str, null: str
) -> DataFrame:
    """Parse a group of CSV files. Numbers with a point are read as text first: Spark would round a decimal to
    the declared digits, and take hexadecimal and `1d` for a double.
    """
    exact = [
        f
        for f in table.fields
        if f.delivered_name in dict(group.columns) and _needs_text(f.spark_type) and f.reading is None
    ]
    as_text = {f.delivered_name for f in exact}
    fields = [T.StructField(n, T.StringType() if n in as_text else t) for n, t in group.columns]  # type: ignore[arg-type]
    schema = T.StructType([*fields, T.StructField(malformed, T.StringType())])
    known = read_bytes(spark, group.files[0].path, 0, 1) is not None
    # With pruning, Spark does not count a line's values: where a column is left out, a stray comma would
    # shift them unnoticed.
    rows = (
        spark.read.options(
            **_csv_options(delimiter, null),
            mode="PERMISSIVE",
            columnPruning="false",
            enforceSchema="true" if known else "false",
            columnNameOfCorruptRecord=malformed,
            multiLine="true" if group.breaks_lines else "false",
        )
        .schema(schema)
        .csv(group.paths)
    )
    if not exact:
        return rows
    wrong = [
        F.when(~_is_exact(f), F.concat(F.lit(f"{f.name}="), column_named(f.delivered_name))) for f in exact
    ]
    numbers = {
        f.delivered_name: F.when(
            _is_exact(f), F.expr(f"try_cast(trim({quoted_name(f.delivered_name)}) AS {f.spark_type})")
        )
        for f in exact
    }
    return rows.select(
        *(numbers.get(n, column_named(n)).alias(n) for n, _ in group.columns),
        F.coalesce(F.col(malformed), *wrong).alias(malformed),
    )


def _needs_text(kind: str) -> bool:
    return kind in ("double", "float") or kind.startswith("decimal")


def _is_exact(f: DeclaredField) -> Column:
    """Return whether a text is a number that the declared type holds without loss; true for a null."""
    text = column_named(f.delivered_name)
    declared = spark_type(f.spark_type)
    if not isinstance(declared, T.DecimalType):
        holds = text.rlike(_NUMBER) | text.rlike(_NOT_A_NUMBER)
    else:
        whole, scale = declared.precision - declared.scale, declared.scale
        fraction = rf"(\.[0-9]{{0,{scale}}}0*)?" if scale else r"(\.0*)?"
        plain = rf"^\s*[+-]?0*[0-9]{{0,{whole}}}{fraction}\s*$"
        holds = text.rlike(plain) & text.rlike("[0-9]")
    return F.coalesce(holds, F.lit(True))
