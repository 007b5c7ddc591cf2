"""Run `engage-spark` and end its whole process group by SIGKILL before its n-th effect:
`killed_command.py N ARGUMENTS…`. N 0 kills nowhere. Each effect is a line on standard output.
"""

from __future__ import annotations

import os
import signal
import sys

from engage_spark.cli import main
from engage_spark.side_effects import listening


def run(number: int, argv: list[str]) -> None:
    effects = 0

    def kill(effect: str) -> None:
        nonlocal effects
        effects += 1
        print(f"effect {effects}: {effect}", flush=True)
        if effects == number:
            os.killpg(0, signal.SIGKILL)

    with listening(kill):
        main(argv)


if __name__ == "__main__":
    run(int(sys.argv[1]), sys.argv[2:])
