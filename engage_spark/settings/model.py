"""Declare every setting: its type, its default and what it means."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from engage_spark.masking import mask_values


def _conf_text(value: Any) -> Any:
    """YAML reads `true` and `8` as bool and int; Spark takes text, and spells booleans in lower case."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _memory(value: str) -> str:
    if not re.fullmatch(r"\d+[kmgt]", value):
        raise ValueError("must be a whole number with k, m, g or t after it, such as 3g")
    return value


def _no_placeholder(value: str) -> str:
    if left := re.findall(r"\{[^}]*\}", value):
        raise ValueError(f"unknown placeholder {', '.join(left)}; only {{env}} is replaced")
    return value


def csv_delimiter_problem(value: str) -> str | None:
    """Return why a character cannot stand between the columns of a CSV file; None where it can."""
    if len(value) != 1:
        return "must be one character"
    if value in '\\"\r\n\0\ufeff\ufffd' or 0xD800 <= ord(value) <= 0xDFFF:
        return "cannot be a backslash, a quote, a line end, NUL or a byte order mark"
    return "cannot be a letter or a digit" if value.isalnum() else None


def quiet_minutes(rule: str) -> float | None:
    """Return the minutes of the rule `quiet:N`; None for another rule."""
    match = re.fullmatch(r"quiet:(\d{1,5}(?:\.\d{1,3})?)", rule, re.ASCII)
    return float(match[1]) if match else None


def _completeness(value: str) -> str:
    if value not in ("none", "marker", "manifest") and not quiet_minutes(value):
        raise ValueError("must be none, marker, manifest, or quiet:N with N minutes, such as quiet:10")
    return value


def _delimiter(value: str) -> str:
    if problem := csv_delimiter_problem(value):
        raise ValueError(problem)
    return value


FIRST_YEAR, LAST_YEAR = 1900, 9999
"""Years between which a day is taken for one: 0001-01-01 and 9999-12-31 stand for nothing known."""


def _known_day(value: date) -> date:
    if not FIRST_YEAR <= value.year < LAST_YEAR:
        raise ValueError(f"must be a day of the years {FIRST_YEAR} to {LAST_YEAR - 1}")
    return value


Day = Annotated[date, AfterValidator(_known_day)]
ConfText = Annotated[str, BeforeValidator(_conf_text)]
Memory = Annotated[str, AfterValidator(_memory)]
Location = Annotated[str, Field(min_length=1), AfterValidator(_no_placeholder)]
"""A path, a URI or a catalog name."""


class _Masked(BaseModel):
    """A model of which `repr`, and so a traceback, shows no secret."""

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, mask_values(value, name or "")


class Section(_Masked):
    """A part of the settings. The text below each setting is its description in the reference."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, use_attribute_docstrings=True
    )
    result_keys: ClassVar[frozenset[str]] = frozenset()
    """The settings that can change what a stage computes, not just where or how fast."""


class InputSettings(Section):
    """Where the raw data is."""

    root: Location = "raw"
    """Folder of the raw files, with one folder for each input table of the contract: `{root}/{table}`."""


class LakeSettings(Section):
    """Where tables are written: below a path (`root`), or in a `catalog` with a `schema`."""

    root: Location | None = None
    """Folder of the tables. It excludes `catalog` and `schema`."""
    catalog: Location | None = None
    """Catalog that holds the tables, such as one of Unity Catalog. It needs `schema` and `scratch`."""
    schema_name: Annotated[Location | None, Field(alias="schema")] = None
    """Schema of the tables in `catalog`."""
    views: Location | None = None
    """Schema in `catalog` of the views that show what is published, under plain names. It is another than
    `schema`, is made where it is missing, and left out, no views are made."""
    scratch: Location | None = None
    """Folder for temporary data, which a run deletes when it ends. Left out, it is `_scratch` below
    `root`."""
    retention_days: Annotated[int, Field(ge=0)] = 7
    """Days that files which no reader needs any more stay before `engage-spark tables vacuum` deletes them,
    and that the tables' history stays. A query must not take longer."""

    constraints: bool = False
    """Whether tables refuse rows that break what every row meets, such as a count below 0: CHECK constraints
    of Delta, which any writer has to keep. In a catalog `engage-spark tables migrate` adds them."""
    change_feed: bool = False
    """Whether tables keep which rows each commit changed (Delta's change data feed), for those who follow
    them. It costs files of changes where rows are updated, as `tables forget` does."""

    @model_validator(mode="after")
    def _one_kind_of_location(self) -> LakeSettings:
        if self.root and (self.catalog or self.schema_name):
            raise ValueError(
                "root excludes catalog and schema: tables are named by path or by catalog, not both. "
                "Set one of them to null"
            )
        if bool(self.catalog) != bool(self.schema_name):
            raise ValueError("catalog and schema belong together: give both or neither")
        if self.views and not self.catalog:
            raise ValueError(
                "views needs a catalog: below a path, `engage-spark sql` shows what is published"
            )
        if self.views and self.views.lower() == (self.schema_name or "").lower():
            raise ValueError("views and schema are two schemas: a view has the name of a table that it shows")
        if self.catalog and not self.scratch:
            raise ValueError("scratch is needed beside a catalog: give a path such as a volume")
        return self

    @property
    def scratch_root(self) -> str | None:
        """The directory for temporary data: `scratch`, else below `root`; None where neither is set."""
        return self.scratch or (f"{self.root.rstrip('/')}/_scratch" if self.root else None)


class SparkSettings(Section):
    """How to build a Spark session where none exists yet."""

    master: str | None = None
    """Where classic Spark runs, such as `local[*]`. Left out, spark-submit or Spark decides."""
    remote: str | None = None
    """Spark Connect server, such as `sc://host:15002`. The environment variable SPARK_REMOTE comes first."""
    app_name: str = "engage-spark"
    """Name of the application in Spark's pages and logs."""
    driver_memory: Memory | None = None
    """Heap of the driver, such as `3g`."""
    shuffle_partitions: Annotated[int, Field(ge=1)] | None = None
    """Number of partitions after a shuffle (`spark.sql.shuffle.partitions`)."""
    packages: tuple[str, ...] = ()
    """Maven coordinates of further jars. Delta is always there, and hadoop-aws where a path is in S3."""
    conf: dict[str, ConfText] = {}
    """Further Spark options. They override every default except the four options that results rest on."""


class S3Settings(Section):
    """Object storage behind `s3a:` paths."""

    endpoint: str | None = None
    """Address of a server other than AWS, such as `http://localhost:9000`."""
    region: str | None = None
    """AWS region, such as `us-east-1`."""
    path_style: bool = False
    """Whether the bucket is part of the path, not of the host name."""
    ssl: bool = True
    """Whether connections are encrypted."""
    access_key: SecretStr | None = None
    """Access key. Without keys the AWS credential chain decides (role, profile, environment)."""
    secret_key: SecretStr | None = None
    """Secret key. It goes with `access_key`."""
    session_token: SecretStr | None = None
    """Session token of temporary keys."""

    @model_validator(mode="after")
    def _keys_come_in_pairs(self) -> S3Settings:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key belong together: give both or neither")
        return self


class IngestSettings(Section):
    """How raw files are read, and what happens to a snapshot that exists already."""

    result_keys: ClassVar[frozenset[str]] = frozenset(
        {"format", "csv_delimiter", "csv_null", "logs", "changed_events"}
    )
    format: Literal["auto", "parquet", "csv"] = "auto"
    """Format of the input files. `auto` goes by their endings."""
    csv_delimiter: Annotated[str, AfterValidator(_delimiter)] = ","
    """Character between the columns of a CSV file. Not a backslash, quote, line end, letter or digit."""
    csv_null: str = ""
    """Text that stands for a missing value in a CSV file."""
    complete: Annotated[str, AfterValidator(_completeness)] = "none"
    """When a delivery is whole. `none`: at once. `marker`: when a file `_SUCCESS` lies beside or above its
    files, not older than they are. `manifest`: when `_manifest.json` there lists just its files. `quiet:N`:
    when its files are the same in two looks N minutes apart. What is not whole is left out and named."""
    on_existing: Literal["replace", "refuse"] = "replace"
    """Whether a snapshot that exists already is replaced or refused."""
    logs: Literal["append", "replace_days"] = "append"
    """What a delivery of events does to its log. `append`: events that the log does not hold yet are added,
    each once. `replace_days`: the events of a delivered day take the place of all that the log has of it."""
    changed_events: Literal["first", "last"] = "first"
    """Which of two events holds that have one key and different content, where events are appended."""
    shrinking_days: Literal["note", "refuse"] = "note"
    """What happens, where days are replaced, when a day would have fewer events than before."""
    stream_files: Annotated[int, Field(ge=1)] = 1000
    """Files that a batch of `engage-spark ingest --stream` has at most. Each batch is a run of its own."""
    landed_at: AwareDatetime | None = None
    """When a delivery counts as having landed, for a backfill or made-up data. Left out, it is the moment
    of its first ingest. It is recorded with the first ingest of a delivery, and later ones do not change
    it."""


class GraphSettings(Section):
    """How exactly the graph is measured, and what that may cost."""

    result_keys: ClassVar[frozenset[str]] = frozenset(
        {"method", "epsilon", "top_k", "relative_error", "sources", "delta", "seed", "budget"}
    )
    method: Literal["auto", "exact", "sampled"] = "auto"
    """How betweenness is computed. `auto`: exactly where that is predicted to take at most `budget`."""
    epsilon: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Sampled: largest absolute error of every betweenness value, with probability 1 − `delta`. Left out, the
    `top_k` vertices decide how much is sampled."""
    top_k: Annotated[int, Field(ge=1)] = 10
    """Sampled: how many of the most central vertices are known to within `relative_error`."""
    relative_error: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Sampled: relative error of the `top_k`, all of them together with probability 1 − `delta`."""
    sources: Annotated[int, Field(ge=2)] = 1024
    """Sampled: number of random source vertices behind the point values."""
    delta: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Sampled: probability that a bound may fail."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of everything that is drawn on the graph."""
    budget: Annotated[float, Field(ge=0)] = 600.0
    """Core-seconds up to which betweenness is computed exactly."""
    directory: Location | None = None
    """Path that the driver and all workers share, for a cluster. Without it, graphs up to 512 MB travel
    through the driver."""
    memory: Memory | None = None
    """Memory that a graph may take on a host. Left out, it is 75% of the host's."""
    pictures: Location | None = None
    """Folder of the pictures. Left out, it is below `lake.root` where that is a path of this machine."""


class FeatureSettings(Section):
    """What models take where a field is both delivered and measured on the graph."""

    result_keys: ClassVar[frozenset[str]] = frozenset({"graph_values"})
    graph_values: Literal["measured", "given"] = "measured"
    """Which `network_centrality` and `avg_connection_strength` models take. Indicators keep the delivered
    value."""


class QualitySettings(Section):
    """What a day's quality is compared with."""

    reference: Day | None = None
    """Day that `engage-spark quality drift` compares with. Left out, it is the published day before."""


class AnalyticsSettings(Section):
    """What analytics looks at."""

    result_keys: ClassVar[frozenset[str]] = frozenset({"correlation_rows"})
    correlation_rows: Annotated[int, Field(ge=100, le=1_000_000)] = 100_000
    """Number of customers, chosen by a hash, that metrics are correlated on at most."""


class ModelSettings(Section):
    """How models are trained and evaluated."""

    result_keys: ClassVar[frozenset[str]] = frozenset({
        "policy", "protected", "keep", "ranker", "candidates", "search_rows", "folds", "seed", "snapshots",
        "partitions", "fit_rows", "judged_rows", "bootstrap", "coverage", "gain", "smallest_group",
    })  # fmt: skip
    policy: Literal["strict", "permissive"] = "strict"
    """What happens to features that the contract says leak a target. `strict`: they are left out, and a
    finding of the audit stops training. `permissive`: they are only reported, except what the target's own
    formula uses, which no model takes."""
    protected: bool = True
    """Whether protected fields of role feature (age) may be inputs. The model card has the price of leaving
    them out."""
    keep: Annotated[int, Field(ge=1)] = 25
    """Number of features that selection keeps."""
    ranker: Literal["linear", "forest"] = "linear"
    """What selection ranks features by. `forest` is slower, and for targets that no line follows."""
    candidates: tuple[Literal["linear", "tweedie", "forest", "gbt", "xgboost"], ...] = (
        "linear",
        "tweedie",
        "forest",
        "gbt",
    )
    """Kinds of model that compete. `xgboost` needs its extra."""
    search_rows: Annotated[int, Field(ge=0)] = 0
    """Number of rows of a fit, such as 5000, up to which depth and rounds of `gbt` are searched for inside
    two folds, by two fits of 100 rounds each: minutes more. Beyond it, and with 0, they follow from the
    number of rows."""
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    """Number of folds of cross-validation."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seed of splits, folds and models."""
    snapshots: Annotated[int, Field(ge=1)] = 3
    """Number of matured snapshots to train on at most, a label window apart. Where there are others before
    it, the newest matured one is beside them: kept for testing first, and learnt by the model that serves."""
    partitions: Annotated[int, Field(ge=1)] | None = None
    """Number of partitions that the rows of a fit are put into. Left out, it follows from the number of
    rows."""
    parallelism: Annotated[int, Field(ge=1)] = 2
    """Number of fits at a time."""
    fit_rows: Annotated[int, Field(ge=100)] | None = None
    """Number of rows that a model is fitted on at most, up to chance; left out, all of them. Customers are
    drawn by hash; of two classes all rows of the rarer one are kept, and rows are weighted for it. Features
    are selected, and models calibrated and tested, on all rows."""
    judged_rows: Annotated[int, Field(ge=1000)] = 1_000_000
    """Number of rows that metrics are computed on at most."""
    bootstrap: Annotated[int, Field(ge=20)] = 200
    """Number of bootstrap samples behind the intervals of metrics."""
    coverage: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Share of values that prediction intervals and prediction sets promise to cover."""
    gain: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Confidence with which a model must be better than another to take its place."""
    smallest_group: Annotated[int, Field(ge=20)] = 100
    """Number of customers that a figure of a group needs behind its denominator to be compared and shown; no
    fewer than anything else shows that leaves the lake."""
    reasons: Annotated[int, Field(ge=0)] = 3
    """Number of reasons that each prediction carries."""


class TrackingSettings(Section):
    """Where MLflow records runs and models."""

    uri: Location | None = None
    """Tracking server or database. Left out, it is an SQLite file below `folder`."""
    registry: Location | None = None
    """Model registry other than `uri`'s, such as `databricks-uc`."""
    folder: Location = "engage-data/mlflow"
    """Folder of MLflow's local files."""
    experiment: Annotated[str, Field(min_length=1)] = "engage-spark"
    """Name of the experiment."""
    prefix: str = ""
    """Text before the names of models in the registry, such as `catalog.schema.`."""


class SynthSettings(Section):
    """What `engage-spark synth` makes."""

    result_keys: ClassVar[frozenset[str]] = frozenset(
        {"customers", "snapshots", "seed", "end_date", "faults"}
    )
    customers: Annotated[int, Field(ge=1)] = 10_000
    """Number of customers."""
    snapshots: Annotated[int, Field(ge=1)] = 1
    """Number of daily snapshots."""
    seed: Annotated[int, Field(ge=0)] = 42
    """Seed of the data: the same seed makes the same data."""
    end_date: Day = date(2025, 10, 21)
    """Day of the last snapshot."""
    faults: bool = False
    """Whether the data breaks rules of the contract, as an exercise for ingest."""
    out: Location = "raw"
    """Folder that the raw files are written to."""


class InsightSettings(Section):
    """What the tools that answer questions may show, to agents and to people."""

    without: tuple[str, ...] = ()
    """Tools that are not offered, such as `explain_customer`, `similar_customers` and `top_influencers` to
    those who must not look at single customers."""
    name_customers: bool = False
    """Whether customers are listed by their keys where the contract classifies those as personal."""


class LineageSettings(Section):
    """Where OpenLineage is told what runs. Left out, nobody is told."""

    url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    """Address of an OpenLineage endpoint, such as `http://localhost:5000`; events go to its
    `/api/v1/lineage`."""
    api_key: SecretStr | None = None
    """Key that is sent to `url`, as a bearer token."""
    file: Location | None = None
    """File of this machine that events are added to, one JSON object a line."""
    namespace: Annotated[str, Field(min_length=1)] = "engage-spark"
    """Namespace of the jobs, and of tables in a catalog."""


class LogSettings(Section):
    """What is logged, and where Spark's own log goes."""

    json_lines: bool = False
    """Whether progress is logged as one JSON object per line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is logged."""
    spark: str | None = None
    """Where Spark's own log goes: `stderr`, or a file. Left out, it is a temporary file, deleted when all
    went well."""


class Settings(_Masked, BaseSettings):
    """All settings of a run. Build one in code by naming sections, or read one with `load_settings`."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="ENGAGE_SPARK__",
        env_nested_delimiter="__",
        env_parse_none_str="null",
        use_attribute_docstrings=True,
    )

    env: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")] = "local"
    """Name of the environment. It stands for `{env}` in every other setting, and is the overlay's name
    unless it is set."""
    contract: Location | None = None
    """Path of the contract. Left out, it is the packaged one."""
    input: InputSettings = InputSettings()
    lake: LakeSettings = LakeSettings()
    spark: SparkSettings = SparkSettings()
    s3: S3Settings = S3Settings()
    ingest: IngestSettings = IngestSettings()
    quality: QualitySettings = QualitySettings()
    features: FeatureSettings = FeatureSettings()
    graph: GraphSettings = GraphSettings()
    models: ModelSettings = ModelSettings()
    analytics: AnalyticsSettings = AnalyticsSettings()
    insight: InsightSettings = InsightSettings()
    tracking: TrackingSettings = TrackingSettings()
    synth: SynthSettings = SynthSettings()
    lineage: LineageSettings = LineageSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 (pydantic-settings calls it with these names)
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what is passed in: `load_settings` merges the layers, so that an error can name the
        layer."""
        return (init_settings,)

    @property
    def paths(self) -> tuple[str, ...]:
        """Every configured location, from which follows which file systems are needed."""
        return tuple(
            p
            for p in (self.input.root, self.lake.root, self.lake.scratch, self.synth.out, self.contract)
            if p
        )

    @property
    def uses_s3(self) -> bool:
        """Whether a configured location is in S3."""
        return any(p.startswith(("s3a:", "s3:", "s3n:")) for p in self.paths)

    def redacted(self) -> dict[str, Any]:
        """Return all values as plain YAML types, with what is a secret, or looks like one, masked."""
        masked: dict[str, Any] = mask_values(self.model_dump(mode="json", by_alias=True))
        return masked

    def digest(self, *sections: str) -> str:
        """Return the SHA-256 of the values of these sections (default: all) that can change results.

        Locations, memory and logs are left out.
        """
        values: dict[str, Any] = {}
        for name in sorted(sections or type(self).model_fields):
            section = getattr(self, name)
            if isinstance(section, Section) and section.result_keys:
                values[name] = section.model_dump(mode="json", include=set(section.result_keys))
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
