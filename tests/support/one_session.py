"""Run several command lines in one Spark session, and SQL between them: `one_session.py STEPS.json
RESULTS.json`.

A session's jars are fixed when its JVM starts, so what needs other jars than the tests' shared session runs
in a process of its own; one process for all of it, because a JVM takes ten seconds to start. A step is
`{"argv": […]}`, `{"sql": "…"}`, `{"post": "…", "body": {…}}`, which sends JSON to an address, or
`{"export": {…}}`, which sets variables of the environment.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from engage_spark.cli import main
from engage_spark.settings import load_settings
from engage_spark.spark.session import open_session


def command(argv: list[str]) -> dict[str, Any]:
    out, err, code = io.StringIO(), io.StringIO(), 0
    started = time.monotonic()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(argv)
        except SystemExit as e:
            code = int(e.code or 0)
        except Exception as e:  # noqa: BLE001 (told to the test, which fails on it)
            code = 1
            err.write(f"{type(e).__name__}: {e}")
    return {"code": code, "out": out.getvalue(), "err": err.getvalue(), "seconds": time.monotonic() - started}


def command_lines() -> str:
    """The arguments of every process on this machine, as anybody on it can see them. Empty where there is no
    /proc.
    """
    shown = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            shown.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return "\n".join(shown)


def run(steps: Path, results: Path) -> None:
    plan = json.loads(steps.read_text(encoding="utf-8"))
    done: list[Any] = []
    with open_session(
        load_settings(plan["env"], conf=plan["conf_dir"], overrides=plan["overrides"])
    ) as spark:
        for step in plan["steps"]:
            if "post" in step:
                body = json.dumps(step["body"]).encode()
                with urllib.request.urlopen(step["post"], data=body, timeout=10) as answer:
                    done.append(json.loads(answer.read()))
            elif "export" in step:
                os.environ.update(step["export"])
                done.append(None)
            elif "sql" in step:
                try:
                    done.append([list(row) for row in spark.sql(step["sql"]).collect()])
                except Exception as e:  # noqa: BLE001 (plan to the test, which fails on it)
                    done.append(f"{type(e).__name__}: {e}")
            else:
                done.append(command(step["argv"]))
        processes = command_lines()
    exposed = [name for name, secret in plan["secrets"].items() if secret in processes]
    results.write_text(json.dumps({"steps": done, "exposed": exposed}, default=str), encoding="utf-8")


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]))
