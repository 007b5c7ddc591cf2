"""Know which Spark and which Delta go together, without importing either.

One table says for each line of Spark what belongs to it: Scala, Delta, Hadoop's S3 client, and what a line
lacks as a whole. What single functions a Spark lacks, and what takes their place, is in `compat`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.abc import ResourceLoader
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import cast

from engage_spark.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class SparkLine:
    """A line of Spark, such as 4.2, and what belongs to it.

    `spark` and `delta` are the versions that were run together, `deltas` the lines of Delta that are
    published for this Spark. `hadoop` is the version that Spark ships, which hadoop-aws has to share, `extra`
    the extra of this package that installs the pair. `connect`: whether Spark Connect can do all stages.
    """

    line: str
    scala: str
    spark: str
    delta: str
    deltas: tuple[str, ...]
    hadoop: str
    extra: str
    connect: bool = True

    @property
    def install(self) -> str:
        """The command that installs the pair that was run together."""
        return f"pip install 'engage-spark[{self.extra}]'"

    @property
    def conditional_put(self) -> bool:
        """Whether Hadoop's S3 client can put an object only where there is none: since 3.4.2."""
        return tuple(map(int, self.hadoop.split("."))) >= (3, 4, 2)

    @property
    def s3a_package(self) -> str:
        """Maven coordinates of Hadoop's S3 client."""
        return f"org.apache.hadoop:hadoop-aws:{self.hadoop}"

    def delta_package(self, delta: str | None = None) -> str:
        """Return Maven coordinates of Delta. Since Delta 4.1 its names carry the line of Spark."""
        wanted = delta or self.delta
        suffix = f"_{self.line}" if _numbers(wanted) >= (4, 1) else ""
        return f"io.delta:delta-spark{suffix}_{self.scala}:{wanted}"


_LINES = (
    SparkLine(
        line="3.5",
        scala="2.12",
        spark="3.5.9",
        delta="3.3.2",
        deltas=("3.2", "3.3"),
        hadoop="3.3.4",
        extra="spark35",
        connect=False,
    ),
    SparkLine(
        line="4.0",
        scala="2.13",
        spark="4.0.5",
        delta="4.0.1",
        deltas=("4.0", "4.1", "4.2", "4.3", "4.4"),
        hadoop="3.4.1",
        extra="spark40",
    ),
    SparkLine(
        line="4.1",
        scala="2.13",
        spark="4.1.1",
        delta="4.3.1",
        deltas=("4.1", "4.2", "4.3", "4.4"),
        hadoop="3.4.2",
        extra="spark41",
    ),
    SparkLine(
        line="4.2",
        scala="2.13",
        spark="4.2.0",
        delta="4.4.0",
        deltas=("4.4",),
        hadoop="3.5.0",
        extra="spark",
    ),
)
LINES: Mapping[str, SparkLine] = MappingProxyType({entry.line: entry for entry in _LINES})
"""The lines of Spark that this package runs on, oldest first."""
DEFAULT = LINES["4.2"]
"""The line that the extra `spark` installs."""


@dataclass(frozen=True)
class SparkPair:
    """A Spark and the Delta beside it: its line, the version of Spark, that of Delta's Python package.

    Nothing here needs that package. Where it is installed, its version says which jars are wanted.
    """

    line: SparkLine
    spark: str
    delta: str | None

    @property
    def delta_package(self) -> str:
        """Maven coordinates of the Delta that belongs to both."""
        return self.line.delta_package(self.delta)

    @property
    def tried(self) -> bool:
        """Whether these two were run together, by their versions."""
        return (self.spark, self.delta or self.line.delta) == (self.line.spark, self.line.delta)


def installed_spark() -> str | None:
    """Return the version of the pyspark that an import would take, by its own file; None without pyspark.

    A cluster has its pyspark on the path, often in a zip, without the metadata of a package.
    """
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        return None
    try:
        data = cast(ResourceLoader, spec.loader).get_data(str(Path(spec.origin).parent / "version.py"))
    except OSError:
        data = b""
    match = re.search(r"""__version__[^=\n]*=\s*["']([^"']+)""", data.decode("utf-8", "replace"))
    return match[1] if match else "of unknown version"


def installed_delta() -> str | None:
    """Return the version of the installed delta-spark, or None."""
    try:
        return version("delta-spark")
    except PackageNotFoundError:
        return None


def line_of(spark: str) -> SparkLine:
    """Return the line of a version of Spark.

    Errors: ConfigurationError for a line that this package was not run on.
    """
    name = ".".join(map(str, _numbers(spark)))
    if name in LINES:
        return LINES[name]
    known = ", ".join(LINES)
    raise ConfigurationError(
        f"Spark {spark} is not known here: this version of engage-spark runs on Spark {known}",
        hint=f"{DEFAULT.install} brings Spark {DEFAULT.spark} and the Delta that belongs to it",
    )


def is_newer(spark: str) -> bool:
    """Return whether a version of Spark is of a later line than every one that is known."""
    return _numbers(spark) > max(map(_numbers, LINES))


def installed_pair() -> SparkPair:
    """Return the Spark and the Delta of this Python environment.

    Errors: ConfigurationError without pyspark, with a Spark that is not known, and with a Delta that is not
    published for it. Delta's jars would end in NoSuchMethodError, somewhere in the middle.
    """
    spark, delta = installed_spark(), installed_delta()
    if spark is None:
        raise ConfigurationError("pyspark is not installed", hint=DEFAULT.install)
    line = line_of(spark)
    if delta is not None and ".".join(map(str, _numbers(delta))) not in line.deltas:
        raise ConfigurationError(
            f"delta-spark {delta} does not go with Spark {spark}: Delta publishes {_listed(line.deltas)} for "
            f"Spark {line.line}",
            hint=f"{line.install} installs Delta {line.delta}; for another Spark it is "
            + " or ".join(f"[{x.extra}] (Spark {x.line})" for x in LINES.values() if x is not line),
        )
    return SparkPair(line, spark, delta)


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _numbers(text: str) -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)
