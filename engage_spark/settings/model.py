"""The declared settings, their types and defaults."""

from __future__ import annotations

import hashlib
import json
import re
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

SECRET_NAME = re.compile(r"key|secret|token|password|passwd|credential", re.IGNORECASE)
MASK = "***"


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


ConfText = Annotated[str, BeforeValidator(_conf_text)]
Memory = Annotated[str, AfterValidator(_memory)]
Place = Annotated[str, Field(min_length=1), AfterValidator(_no_placeholder)]


class Section(BaseModel):
    """A part of the settings. `results` names the keys that can change what a stage computes, not just where
    or how fast.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    results: ClassVar[frozenset[str]] = frozenset()


class InputSettings(Section):
    """Raw data, one folder per input table of the contract: `{root}/{table}`."""

    root: Place = "raw"


class LakeSettings(Section):
    """Where tables are written: a path (`root`), or a catalog with a schema. `scratch` is for what a run
    throws away.
    """

    root: Place | None = None
    catalog: Place | None = None
    schema_name: Annotated[Place | None, Field(alias="schema")] = None
    scratch: Place | None = None

    @model_validator(mode="after")
    def _one_kind_of_place(self) -> LakeSettings:
        if self.root and (self.catalog or self.schema_name):
            raise ValueError(
                "root excludes catalog and schema: tables are named by path or by catalog, not both; set one side to null"
            )
        if bool(self.catalog) != bool(self.schema_name):
            raise ValueError("catalog and schema belong together: give both or neither")
        if self.catalog and not self.scratch:
            raise ValueError("scratch is needed beside a catalog: give a path such as a volume")
        return self

    @property
    def scratch_root(self) -> str | None:
        """The directory for temporary data; below `root` unless it is set."""
        return self.scratch or (f"{self.root.rstrip('/')}/_scratch" if self.root else None)


class SparkSettings(Section):
    """How a session is built where none exists yet. `packages` come on top of Delta (and hadoop-aws where a
    path is s3a:).
    """

    master: str | None = None
    remote: str | None = None
    app_name: str = "engage-spark"
    driver_memory: Memory | None = None
    shuffle_partitions: Annotated[int, Field(ge=1)] | None = None
    packages: tuple[str, ...] = ()
    conf: dict[str, ConfText] = {}


class S3Settings(Section):
    """Object storage behind `s3a:` paths. Without keys the AWS credential chain decides (role, profile,
    environment).
    """

    endpoint: str | None = None
    region: str | None = None
    path_style: bool = False
    ssl: bool = True
    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None
    session_token: SecretStr | None = None

    @model_validator(mode="after")
    def _keys_come_in_pairs(self) -> S3Settings:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key belong together: give both or neither")
        return self


class IngestSettings(Section):
    """How raw files are read, and what happens to a snapshot that exists already.

    `landed_at` is the moment a delivery counts as having landed, for a backfill or made-up data; left out, it
    is the moment of its first ingest. It is recorded with the first ingest of a delivery, and not changed by
    later ones.
    """

    results: ClassVar[frozenset[str]] = frozenset({"format", "csv_delimiter", "csv_null"})
    format: Literal["auto", "parquet", "csv"] = "auto"
    csv_delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    csv_null: str = ""
    on_existing: Literal["replace", "refuse"] = "replace"
    landed_at: AwareDatetime | None = None


class GraphSettings(Section):
    """How exactly the graph is measured, and what that may take. `budget`: core-seconds for which exact
    betweenness is computed.

    `directory`: a path that the driver and all workers share, for a cluster; `memory`: bytes that a graph may
    take on a host (default 75%); `pictures`: where the pictures go (default: below lake.root where that is a
    path of this machine).
    """

    results: ClassVar[frozenset[str]] = frozenset(
        {"method", "epsilon", "top_k", "relative_error", "sources", "delta", "seed", "budget"}
    )
    method: Literal["auto", "exact", "sampled"] = "auto"
    epsilon: Annotated[float, Field(gt=0, lt=1)] | None = None
    top_k: Annotated[int, Field(ge=1)] = 10
    relative_error: Annotated[float, Field(gt=0, lt=1)] = 0.2
    sources: Annotated[int, Field(ge=2)] = 1024
    delta: Annotated[float, Field(gt=0, lt=1)] = 0.1
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    budget: Annotated[float, Field(ge=0)] = 600.0
    directory: Place | None = None
    memory: Memory | None = None
    pictures: Place | None = None


class FeatureSettings(Section):
    """What models will take where a field is both delivered and measured on the graph. Indicators keep the
    delivered value.
    """

    results: ClassVar[frozenset[str]] = frozenset({"graph_values"})
    graph_values: Literal["measured", "given"] = "measured"


class QualitySettings(Section):
    """What days are compared with: `reference` pins one for `engage-spark quality drift`; left out, it is the
    published day before.
    """

    reference: date | None = None


class ModelSettings(Section):
    """How models are trained and judged. `policy`: what the contract says leaks is left out (strict), or only
    reported (permissive).

    `protected`: whether protected fields of role feature (age) may be inputs; `keep`: features that selection
    leaves; `ranker`: what it ranks by; `candidates`: which kinds of model compete; `parallelism`: fits at a
    time; `partitions`: into how many the rows of a fit are put (default: by their number); `snapshots`: how
    many matured ones are used at most; `judged_rows`: rows that metrics are computed on at most. `coverage`
    is promised by intervals and sets. Profit of one contact: success x value of a customer who stays, less
    cost; it is told for other `values` as well.
    """

    results: ClassVar[frozenset[str]] = frozenset({
        "policy", "protected", "keep", "ranker", "candidates", "folds", "seed", "snapshots", "partitions", "judged_rows", "bootstrap",
        "coverage", "gain", "value", "values", "cost", "success", "smallest_group",
    })  # fmt: skip
    policy: Literal["strict", "permissive"] = "strict"
    protected: bool = True
    keep: Annotated[int, Field(ge=1)] = 25
    ranker: Literal["linear", "forest"] = "linear"
    candidates: tuple[Literal["linear", "tweedie", "forest", "gbt", "xgboost"], ...] = (
        "linear",
        "tweedie",
        "forest",
        "gbt",
    )
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    snapshots: Annotated[int, Field(ge=1)] = 3
    partitions: Annotated[int, Field(ge=1)] | None = None
    parallelism: Annotated[int, Field(ge=1)] = 2
    judged_rows: Annotated[int, Field(ge=1000)] = 1_000_000
    bootstrap: Annotated[int, Field(ge=20)] = 200
    coverage: Annotated[float, Field(gt=0, lt=1)] = 0.9
    gain: Annotated[float, Field(gt=0, lt=1)] = 0.95
    value: Annotated[float, Field(gt=0)] = 125.0
    values: tuple[Annotated[float, Field(gt=0)], ...] = (50.0, 200.0)
    currency: str = "USD"
    cost: Annotated[float, Field(gt=0)] = 5.0
    success: Annotated[float, Field(gt=0, le=1)] = 0.2
    smallest_group: Annotated[int, Field(ge=1)] = 100
    reasons: Annotated[int, Field(ge=0)] = 3


class TrackingSettings(Section):
    """Where MLflow records runs and models: `uri` (left out: sqlite below `folder`), `folder` for local
    files, `experiment`.

    `registry` names another registry than `uri`'s, such as `databricks-uc`; `prefix` stands before the names
    of models there.
    """

    uri: Place | None = None
    registry: Place | None = None
    folder: Place = "engage-data/mlflow"
    experiment: Annotated[str, Field(min_length=1)] = "engage-spark"
    prefix: str = ""


class SynthSettings(Section):
    """What `engage-spark synth` makes."""

    results: ClassVar[frozenset[str]] = frozenset({"customers", "snapshots", "seed", "end_date", "faults"})
    customers: Annotated[int, Field(ge=1)] = 10_000
    snapshots: Annotated[int, Field(ge=1)] = 1
    seed: Annotated[int, Field(ge=0)] = 42
    end_date: date = date(2025, 10, 21)
    faults: bool = False
    out: Place = "raw"


class LogSettings(Section):
    """`json_lines` turns progress into one JSON object a line; `spark` is where Spark's own log goes
    (`stderr`, or a file).
    """

    json_lines: bool = False
    level: Literal["debug", "info", "warning", "error"] = "info"
    spark: str | None = None


class Settings(BaseSettings):
    """Everything a run is told. Build one in code by naming sections, or read one with `load_settings`."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="ENGAGE_SPARK__",
        env_nested_delimiter="__",
        env_parse_none_str="null",
    )

    env: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")] = "local"
    contract: Place | None = None
    input: InputSettings = InputSettings()
    lake: LakeSettings = LakeSettings()
    spark: SparkSettings = SparkSettings()
    s3: S3Settings = S3Settings()
    ingest: IngestSettings = IngestSettings()
    quality: QualitySettings = QualitySettings()
    features: FeatureSettings = FeatureSettings()
    graph: GraphSettings = GraphSettings()
    models: ModelSettings = ModelSettings()
    tracking: TrackingSettings = TrackingSettings()
    synth: SynthSettings = SynthSettings()
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
        """Only what is passed in: `load_settings` merges the layers itself, so that an error can name the
        layer.
        """
        return (init_settings,)

    @property
    def paths(self) -> tuple[str, ...]:
        """Every configured place, for deciding which file systems are needed."""
        return tuple(
            p
            for p in (self.input.root, self.lake.root, self.lake.scratch, self.synth.out, self.contract)
            if p
        )

    @property
    def uses_s3(self) -> bool:
        return any(p.startswith(("s3a:", "s3:", "s3n:")) for p in self.paths)

    def redacted(self) -> dict[str, Any]:
        """All values as plain YAML types; secrets, and Spark options that look like one, are masked."""
        shown: dict[str, Any] = self.model_dump(mode="json", by_alias=True)
        for key in ("access_key", "secret_key", "session_token"):
            shown["s3"][key] = MASK if getattr(self.s3, key) is not None else None
        shown["spark"]["conf"] = {k: MASK if SECRET_NAME.search(k) else v for k, v in self.spark.conf.items()}
        return shown

    def digest(self, *sections: str) -> str:
        """SHA-256 over the values of these sections (default: all) that can change results; places, memory
        and logs are left out.
        """
        chosen: dict[str, Any] = {}
        for name in sorted(sections or type(self).model_fields):
            section = getattr(self, name)
            if isinstance(section, Section) and section.results:
                chosen[name] = section.model_dump(mode="json", include=set(section.results))
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()
