"""Start the JVM of a session sooner: by an archive of the classes that it loads (class-data sharing).

A JVM of Spark reads thousands of classes from jars, checks and links them, anew at every start. An
archive has them as they lie in memory, and the JVM maps it. It belongs to one Java, one Spark and one class
path: a JVM that it does not fit leaves it aside and starts as without it. No session is started in this
process: `make` lets another do it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from engage_spark.errors import ConfigurationError
from engage_spark.spark.java import launcher

OPTION = "spark.driver.extraJavaOptions"
SILENT = "-Xlog:cds=off -Xlog:cds+dynamic=off -Xlog:class+path=off"
"""What the JVM would say, on standard output, of an archive that does not fit it."""
SECONDS = 300
"""Time limit of the process that writes an archive."""
HINT = "nothing needs it: sessions only start some seconds later without"
FOREIGN = ("SPARK_REMOTE", "SPARK_HOME", "SPARK_CONF_DIR", "PYSPARK_SUBMIT_ARGS", "PYSPARK_GATEWAY_PORT")
"""What would let that process start another Spark."""


def archive_path(jars: Sequence[Path]) -> Path | None:
    """Return where the archive for these jars lies, or would: in this Python environment, which it goes with.

    None where there is no Java or no Spark. Another Java, Spark or jar has another name.
    """
    java, spark = launcher(), find_spec("pyspark")
    if java is None or spark is None or spark.origin is None or not jars:
        return None
    shipped = Path(spark.origin).parent / "jars"
    try:
        seen = [
            (str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in (Path(java).resolve(), shipped, *jars)
        ]
    except OSError:
        return None
    names, state = (hashlib.sha256(repr(v).encode()).hexdigest()[:16] for v in ([p for p, *_ in seen], seen))
    return Path(sys.prefix) / "share" / "engage-spark" / f"{names}-{state}.jsa"


def is_whole(archive: Path) -> bool:
    """Return whether an archive is there with all its bytes: a JVM crashes on one that was cut off, as by a
    full disk.
    """
    try:
        return archive.stat().st_size == int(_size_file(archive).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return False


def _size_file(archive: Path) -> Path:
    return archive.with_suffix(".bytes")


def with_archive(conf: Mapping[str, str], jars: Sequence[Path]) -> dict[str, str]:
    """Return the options of a session with the one that maps the archive, where `make` has written it.

    Options of the JVM that name an archive of their own, or want none (`-Xshare:off`), stay as they are.
    """
    archive, own = archive_path(jars), conf.get(OPTION, "")
    if archive is None or not is_whole(archive) or "-Xshare" in own or "SharedArchiveFile" in own:
        return dict(conf)
    return {**conf, OPTION: f'{own} -XX:SharedArchiveFile="{archive}" {SILENT}'.strip()}


def make(jars: Sequence[Path]) -> Path | None:
    """Write the archive for sessions with these jars, once, and return where it lies.

    That of an older Java or Spark is removed. None where there is no Java or no Spark.
    Cost: a Spark session in a process of its own, about a minute, and 0.2 GB on disk.
    Errors: ConfigurationError where the folder cannot be written, or Java wrote no archive.
    """
    archive = archive_path(jars)
    if archive is None or is_whole(archive):
        return archive
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=archive.parent) as scratch:
            unfinished = Path(scratch) / archive.name
            _write(unfinished, jars, scratch)
            unfinished.replace(archive)
        _size_file(archive).write_text(str(archive.stat().st_size), encoding="ascii")
    except (OSError, subprocess.TimeoutExpired) as e:
        raise ConfigurationError(f"{archive.parent}: no archive of Spark's classes: {e}", hint=HINT) from e
    for older in archive.parent.glob(f"{archive.name.partition('-')[0]}-*"):
        if older.stem != archive.stem:
            older.unlink(missing_ok=True)
    return archive


def _write(archive: Path, jars: Sequence[Path], scratch: str) -> None:
    class_path = os.pathsep.join(map(str, jars))
    env = {k: v for k, v in os.environ.items() if k not in FOREIGN} | {"PYSPARK_PYTHON": sys.executable}
    ran = subprocess.run(
        [sys.executable, "-m", "engage_spark.spark.warm_up", class_path, str(archive), scratch],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env=env,
        cwd=scratch,
    )
    if ran.returncode != 0 or not archive.is_file():
        lines = (ran.stderr + ran.stdout).strip().splitlines()
        raise ConfigurationError("Java wrote no archive of Spark's classes", hint=HINT, details=lines[-6:])
