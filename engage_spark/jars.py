"""The jars a session needs, and the one download of them. Starts no Spark session."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from engage_spark.errors import ConfigurationError

MEND = "check the network (behind a mirror: spark.conf may hold spark.jars.ivySettings), then run engage-spark doctor --fetch-jars"


def ivy_home(conf: dict[str, str]) -> Path:
    """Where Spark keeps what it downloads: `spark.jars.ivy`, else its own default."""
    return Path(conf.get("spark.jars.ivy") or Path.home() / ".ivy2.5.2")


def absent(coordinates: tuple[str, ...], *, ivy: Path) -> tuple[str, ...]:
    """Those of `group:artifact:version` whose jar is not in Spark's cache; what they depend on came along with them."""
    named = {c: "{}_{}-{}.jar".format(*c.split(":")) for c in coordinates}
    return tuple(c for c, name in named.items() if not (ivy / "jars" / name).is_file())


def fetch(coordinates: tuple[str, ...], *, ivy: Path, timeout_seconds: int = 1800) -> None:
    """Have Spark resolve the coordinates now, so that no later start waits for the network.

    Raises ConfigurationError with what Ivy could not find.
    """
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise ConfigurationError("pyspark is not installed", mend="pip install 'engage-spark[spark]'")
    home = Path(spec.origin).parent
    with tempfile.TemporaryDirectory() as scratch:
        script = Path(scratch) / "nothing.py"  # spark-submit resolves packages, then runs this and starts no Spark
        script.write_text("")
        command = [str(home / "bin" / "spark-submit"), "--packages", ",".join(coordinates), "--conf", f"spark.jars.ivy={ivy}", str(script)]
        env = os.environ | {"SPARK_HOME": str(home), "PYSPARK_PYTHON": sys.executable}
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=timeout_seconds, check=False, env=env, cwd=scratch)
        except (OSError, subprocess.TimeoutExpired) as e:
            raise ConfigurationError(f"the jars could not be fetched: {e}", mend=MEND) from e
    if ran.returncode != 0:
        told = [line.strip() for line in ran.stderr.splitlines() if "unresolved" in line or "not found" in line or "Exception" in line]
        raise ConfigurationError(f"the jars could not be fetched: {', '.join(coordinates)}", mend=MEND, details=told[:6])
