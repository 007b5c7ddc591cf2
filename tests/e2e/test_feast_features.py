"""The features in examples/feast, registered by Feast's own classes in an environment of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engage_spark.contract import load_contract
from tests.support.commands import run
from tests.support.paths import ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]
FEAST = "feast==0.67.0"


@pytest.fixture(scope="module")
def python() -> Path:
    """The Python of an environment with Feast, which is made once per version; ours follows after its own."""
    home = ROOT / "build" / "feast"
    python, done = home / "bin" / "python", home / ".installed"
    if not done.is_file() or done.read_text(encoding="utf-8") != FEAST:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", FEAST], check=True)
        shared = next(p for p in sys.path if p.endswith("site-packages"))
        own = next(home.glob("lib/python*/site-packages"))
        (own / "zz_shared.pth").write_text(f"{shared}\n", encoding="utf-8")
        done.write_text(FEAST, encoding="utf-8")
    return python


def test_feast_registers_a_view_per_table_of_features_known_when_its_day_has_ended(python: Path) -> None:
    script = ROOT / "tests" / "support" / "read_feast_repo.py"
    folder = ROOT / "examples" / "feast"
    ran = run([str(python), str(script), str(folder)], cwd=folder)
    assert ran.code == 0, ran.transcript
    views = json.loads(ran.out.splitlines()[-1])
    assert set(views) == {"customer_features", "graph_features"}
    for name, view in views.items():
        table = load_contract().table(name)
        assert view["keys"] == ["customer_id"] and view["time"] == "known_at"
        assert f"FROM engagement_dev.engage_published.`{name}`" in view["query"]
        assert "CAST(date_add(`snapshot_date`, 1) AS TIMESTAMP) AS known_at" in view["query"]
        types = {f.name: f.spark_type for f in table.fields if not f.is_key}
        assert set(view["fields"]) == set(types), "every feature has a type of Feast"
        wanted = {"double": "Float64", "bigint": "Int64", "int": "Int32", "string": "String"}
        assert {n: t for n, t in view["fields"].items() if types[n] in wanted} == {
            n: wanted[t] for n, t in types.items() if t in wanted
        }
