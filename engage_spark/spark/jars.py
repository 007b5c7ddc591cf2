"""Find the jars that a session needs, and download them once. Starts no Spark session.

Left to itself, Spark asks Ivy at every start what the packages depend on, and copies every jar to its own
executor, on one machine too: seconds for Delta, 0.7 GB for S3. `fetch` asks Ivy once and keeps the answer
beside its cache; `resolved` returns it as long as every file in it is there, and a session on this machine
puts it on its class path. What Spark ships itself is left out: an older copy would win there.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from engage_spark.errors import ConfigurationError, EngageError
from engage_spark.spark import class_archive, versions
from engage_spark.text_files import write_text

HINT = (
    "check the network (behind a mirror: spark.conf may hold spark.jars.ivySettings), "
    "then run engage-spark doctor --fetch-jars"
)

# spark-submit resolves the packages before it runs this, which starts no Spark and writes down the jars.
SCRIPT = """
import sys
from pyspark.java_gateway import launch_gateway
jars = launch_gateway().jvm.System.getProperty("spark.jars") or ""
with open(sys.argv[1], "w") as out:
    out.write("\\n".join(jars.split(",")))
"""


def ivy_home(conf: Mapping[str, str]) -> Path:
    """Return the folder of Spark's downloads: `spark.jars.ivy`, else Spark's default."""
    return Path(conf.get("spark.jars.ivy") or Path.home() / ".ivy2.5.2")


def resolved(coordinates: tuple[str, ...], *, ivy: Path) -> tuple[Path, ...]:
    """Return the jar files of these `group:artifact:version`, as `fetch` found them.

    Empty when it has not run, or a file is gone.
    """
    try:
        listed = tuple(
            Path(line) for line in _answer(coordinates, ivy).read_text(encoding="utf-8").splitlines()
        )
    except OSError:
        return ()
    return listed if all(path.is_file() for path in listed) else ()


def fetch(coordinates: tuple[str, ...], *, ivy: Path, timeout_seconds: int = 1800) -> tuple[Path, ...]:
    """Let Spark resolve the coordinates now, so that no later start waits for it, and return the jar files.

    Errors: ConfigurationError with what Ivy could not find.
    """
    if files := resolved(coordinates, ivy=ivy):
        return files
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise ConfigurationError("pyspark is not installed", hint="pip install 'engage-spark[spark]'")
    home = Path(spec.origin).parent
    with tempfile.TemporaryDirectory() as scratch:
        script, answer = Path(scratch) / "ask.py", Path(scratch) / "answer"
        script.write_text(SCRIPT, encoding="utf-8")
        command = [
            str(home / "bin" / "spark-submit"),
            "--packages",
            ",".join(coordinates),
            "--conf",
            f"spark.jars.ivy={ivy}",
        ]
        env = {k: v for k, v in os.environ.items() if k != "SPARK_REMOTE"} | {
            "SPARK_HOME": str(home),
            "PYSPARK_PYTHON": sys.executable,
        }
        try:
            ran = subprocess.run(
                [*command, str(script), str(answer)],
                capture_output=True,
                text=True,
                timeout=timeout_seconds,
                check=False,
                env=env,
                cwd=scratch,
            )
        except (OSError, subprocess.TimeoutExpired) as e:
            raise ConfigurationError(f"the jars could not be fetched: {e}", hint=HINT) from e
        if ran.returncode != 0 or not answer.is_file():
            reasons = [
                line.strip()
                for line in ran.stderr.splitlines()
                if "unresolved" in line or "not found" in line or "Exception" in line
            ]
            raise ConfigurationError(
                f"the jars could not be fetched: {', '.join(coordinates)}", hint=HINT, details=reasons[:6]
            )
        files = _not_shipped(
            [
                Path(unquote(urlsplit(line).path))
                for line in answer.read_text(encoding="utf-8").splitlines()
                if line
            ],
            home,
        )
    write_text(_answer(coordinates, ivy), "\n".join(map(str, files)))
    return files


def _not_shipped(files: list[Path], spark_home: Path) -> tuple[Path, ...]:
    """Ivy names files `group_artifact-version.jar`, Spark's own jars are `artifact-version.jar`."""
    shipped = {_artifact(path.name) for path in (spark_home / "jars").glob("*.jar")}
    return tuple(path for path in files if _artifact(path.name.partition("_")[2]) not in shipped)


def _artifact(name: str) -> str:
    return re.split(r"-\d", name, maxsplit=1)[0]


def _answer(coordinates: tuple[str, ...], ivy: Path) -> Path:
    """Another Spark ships other jars, so its version is part of the name."""
    spark = versions.installed_spark() or "none"
    return (
        ivy
        / "engage-spark"
        / f"{hashlib.sha256(','.join([spark, *coordinates]).encode()).hexdigest()[:16]}.jars"
    )


if __name__ == "__main__":  # the Makefile's way: python -m engage_spark.spark.jars [s3] [classes]
    try:
        pair = versions.installed_pair()
        s3 = (pair.line.s3a_package,) if "s3" in sys.argv[1:] else ()
        files = fetch((pair.delta_package, *s3), ivy=ivy_home({}))
        if "classes" in sys.argv[1:]:
            class_archive.make(files)
    except EngageError as failure:
        sys.exit(str(failure))
