"""Build what spark-submit sends to a cluster: a wheel, a zip for --py-files, an environment for its archives.

The environment holds the package and what it needs, as they are installed here, so with the versions of the
lock. pyspark is left out: the cluster brings its own. The interpreter is left out too, as venv-pack does:
`bin/python` is a link to it, so each node needs the same Python at the same path.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGE = "engage-spark"
EXTRAS = ("s3", "ml")
"""Extras that the environment has unless it is said otherwise: every stage runs with them."""
OF_THE_CLUSTER = {"pyspark", "pyspark-client", "delta-spark", "py4j"}
"""Distributions that come with the cluster's Spark."""
SITE_PACKAGES = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"


def build_wheel(out: Path) -> Path:
    """Build the wheel into `out`, and return its path."""
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = out.glob(f"engage_spark-{metadata.version(PACKAGE)}-*.whl")
    return wheel


def build_zip(wheel: Path) -> Path:
    """Copy the wheel to a name that `--py-files` takes, and return its path."""
    archive = wheel.parent / "engage_spark.zip"
    shutil.copyfile(wheel, archive)
    return archive


def build_environment(wheel: Path, *, extras: Sequence[str] = (), compress: bool = True) -> Path:
    """Pack the wheel with the installed distributions that it needs, and return the path of the archive.

    `extras` are those of the package. Unpacked anywhere, `bin/python` runs with them.
    """
    ending, mode = ("tar.gz", "w:gz") if compress else ("tar", "w")
    path = wheel.parent / f"environment.{ending}"
    options = {"compresslevel": 1} if compress else {}
    with tarfile.open(path, mode, **options) as archive:  # type: ignore[call-overload]
        for name in needed_distributions(extras):
            for file in installed_files(name):
                archive.add(file.locate(), f"{SITE_PACKAGES}/{file}", recursive=False)
        with zipfile.ZipFile(wheel) as of_package:
            for member in of_package.infolist():
                _add(archive, f"{SITE_PACKAGES}/{member.filename}", of_package.read(member))
        interpreter = Path(sys.executable).resolve()
        version = ".".join(map(str, sys.version_info[:3]))
        settings = f"home = {interpreter.parent}\ninclude-system-site-packages = false\nversion = {version}\n"
        _add(archive, "pyvenv.cfg", settings.encode())
        for link in ("python", "python3"):
            entry = tarfile.TarInfo(f"bin/{link}")
            entry.type, entry.linkname = tarfile.SYMTYPE, str(interpreter)
            archive.addfile(entry)
    return path


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def needed_distributions(extras: Iterable[str] = ()) -> tuple[str, ...]:
    """Name the installed distributions that the package needs with these extras, itself not among them."""
    known = metadata.metadata(PACKAGE).get_all("Provides-Extra") or []
    if unknown := sorted(set(extras) - set(known)):
        raise SystemExit(f"{PACKAGE} has no extra {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    names: set[str] = set()
    ahead = [(PACKAGE, frozenset(extras))]
    seen = set(ahead)
    while ahead:
        name, wanted = ahead.pop()
        names.add(name)
        for text in metadata.requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker and not any(
                requirement.marker.evaluate({"extra": extra}) for extra in wanted | {""}
            ):
                continue
            following = (canonicalize_name(requirement.name), frozenset(requirement.extras))
            if following[0] not in OF_THE_CLUSTER and following not in seen:
                seen.add(following)
                ahead.append(following)
    return tuple(sorted(names - {PACKAGE}))


def installed_files(name: str) -> Iterator[metadata.PackagePath]:
    """List the files of a distribution that an interpreter imports: no scripts and no tests of its own."""
    for file in metadata.distribution(name).files or ():
        if ".." not in file.parts and "tests" not in file.parts and Path(str(file.locate())).is_file():
            yield file


def main() -> None:
    """Build all three into `dist`, or where the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument(
        "--extras",
        default=",".join(EXTRAS),
        help="extras of the package in the environment, between commas",
    )
    arguments = parser.parse_args()
    extras = [extra for extra in arguments.extras.split(",") if extra]
    wheel = build_wheel(arguments.out)
    built = [wheel, build_zip(wheel), build_environment(wheel, extras=extras)]
    for path in built:
        print(f"{path.stat().st_size / 1e6:8.1f} MB  {path}")


if __name__ == "__main__":
    main()
