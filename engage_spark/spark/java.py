"""Find Java and its version without starting Spark."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from engage_spark.errors import ConfigurationError

OLDEST = 17
INSTALL = (
    "install Java 17 or newer (Debian: apt install openjdk-17-jre-headless; macOS: brew install openjdk@17), "
    "or set JAVA_HOME to one"
)


@dataclass(frozen=True)
class Java:
    """A Java that runs: the path of its launcher, its major version, its full version."""

    path: str
    major: int
    text: str


def launcher() -> str | None:
    """Return the path of the `java` that Spark will start, or None. It is not started here."""
    home = os.environ.get("JAVA_HOME")
    path = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    return path if path is not None and os.access(path, os.X_OK) else None


def require_java() -> Java:
    """Return the Java that Spark will start.

    Errors: ConfigurationError when there is none, it does not run, or it is older than 17.
    """
    home, path = os.environ.get("JAVA_HOME"), launcher()
    if path is None:
        reason = (
            f"JAVA_HOME is {home}, and it has no bin/java"
            if home
            else "there is no java on the PATH, and JAVA_HOME is not set"
        )
        raise ConfigurationError(f"Spark needs Java, and none was found: {reason}", hint=INSTALL)
    try:
        ran = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise ConfigurationError(f"{path} does not run: {e}", hint=INSTALL) from e
    output = (ran.stderr + ran.stdout).strip()
    version = re.search(r'version "(?:1\.)?(\d+)([^"]*)"', output)
    if ran.returncode != 0 or version is None:
        raise ConfigurationError(
            f"{path} -version does not answer with a version", hint=INSTALL, details=output.splitlines()[:3]
        )
    java = Java(path=path, major=int(version[1]), text=version[0].removeprefix("version ").strip('"'))
    if java.major < OLDEST:
        raise ConfigurationError(
            f"Java {java.text} at {path} is too old: Spark needs {OLDEST} or newer here", hint=INSTALL
        )
    return java
