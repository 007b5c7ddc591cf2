"""Where compiled kernels are kept, and that none of it is able to stop a worker."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from engage_spark.numerics import jit
from tests.support.paths import ROOT

CODE = (
    "import numpy as np\n"
    "from engage_spark.numerics.jit import kernel\n"
    "from engage_spark.numerics.random_draws import mix\n"
    "print(int(mix(np.uint64(5))), mix.stats.cache_path)\n"
)


def run(tmp_path: Path, *, temporary: Path) -> tuple[str, str]:
    """What a worker prints whose package and home are files, not directories that could hold a cache."""
    package = tmp_path / "site" / "engage_spark"
    shutil.copytree(ROOT / "engage_spark", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "numerics" / "__pycache__").write_text("in the way")
    home = tmp_path / "home"
    home.write_text("no directory")
    environment = {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home),
        "PYTHONPATH": str(tmp_path / "site"),
        "TMPDIR": str(temporary),
        "PATH": "",
    }
    ran = subprocess.run(
        [sys.executable, "-c", CODE],
        env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    number, _, where = ran.stdout.strip().partition(" ")
    return number, where


def test_a_worker_that_can_write_nowhere_else_caches_in_a_private_temporary_directory(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    number, where = run(tmp_path, temporary=temporary)
    assert number == str(mix_in_python(5))
    assert where.startswith(str(temporary / f"engage-spark-numba-{os.getuid()}"))
    assert (temporary / f"engage-spark-numba-{os.getuid()}").stat().st_mode & 0o777 == 0o700


def test_a_worker_that_can_write_nowhere_at_all_compiles_without_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def njit(**options: object) -> object:
        return lambda function: SimpleNamespace(compiled=function, options=options)

    monkeypatch.setattr(jit.numba, "njit", njit)
    monkeypatch.setattr(jit, "_writable", lambda directory: False)
    monkeypatch.setattr(jit.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(jit, "cache_directory", jit.cache_directory.__wrapped__)
    made = jit.kernel(run)
    assert made.options == {"nogil": True}  # type: ignore[attr-defined]


def test_a_change_beside_any_kernel_starts_a_new_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel's compiled code contains that of the kernels it calls in other files, which numba does not
    watch.
    """
    package = tmp_path / "package"
    kernels, prose = package / "room" / "kernels", package / "room" / "prose"
    kernels.mkdir(parents=True)
    prose.mkdir()
    (kernels / "caller.py").write_text("from engage_spark.numerics.jit import kernel\nfrom callee import f")
    (kernels / "callee.py").write_text("def f(): return 1")
    (prose / "words.py").write_text("TEXT = 1")
    monkeypatch.setattr(jit.resources, "files", lambda name: package)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    before = jit.cache_directory.__wrapped__()
    assert before is not None
    assert before.parent == tmp_path / "cache"
    (prose / "words.py").write_text("TEXT = 2")
    assert jit.cache_directory.__wrapped__() == before
    (kernels / "callee.py").write_text("def f(): return 2")
    after = jit.cache_directory.__wrapped__()
    assert after is not None
    assert after.parent == tmp_path / "cache"
    assert after != before


def test_the_cache_watches_every_folder_with_a_kernel() -> None:
    watched = list(jit._kernel_sources(ROOT / "engage_spark"))
    compiled = [p for p in (ROOT / "engage_spark").rglob("*.py") if "@kernel" in p.read_text()]
    assert {"random_draws.py", "leiden.py", "source_tasks.py", "treeshap.py"} <= {p.name for p in compiled}
    for module in compiled:
        assert module.name.encode() + module.read_bytes() in watched, module


def test_a_cache_that_others_may_write_to_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jit.tempfile, "gettempdir", lambda: str(tmp_path))
    directory = jit.private_cache()
    assert directory is not None
    directory.chmod(0o777)
    assert jit.private_cache() is None


def test_a_cache_that_is_a_link_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / f"engage-spark-numba-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr(jit.tempfile, "gettempdir", lambda: str(tmp_path))
    assert jit.private_cache() is None


def mix_in_python(x: int) -> int:
    """SplitMix64's finaliser in Python's integers."""
    mask = 2**64 - 1
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)
