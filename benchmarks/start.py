"""start.*: how long the first command of docs/start.md takes, as that page gives it.

Each round is a new process in an empty folder. Processor seconds are those of all its threads: on free cores
the command cannot end before them divided by the number of cores, and other work on the machine adds to the
seconds alone.
"""

import json
import os
import re
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).parents[1]
ROUNDS = 2


def command() -> list[str]:
    """The first `undertext compare` of the page."""
    found = re.search(r"^undertext (compare .*)$", (ROOT / "docs" / "start.md").read_text(), re.MULTILINE)
    assert found is not None
    return shlex.split(found[1])


def spent() -> float:
    """Processor seconds of the processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Run it, print the table and the figures."""
    args = command()
    print(f"undertext {shlex.join(args)}\n")
    print("| round | seconds | processor seconds | load before |\n|---|---|---|---|", flush=True)
    rows = []
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    for turn in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            load, before, start = os.getloadavg()[0], spent(), perf_counter()
            run = [sys.executable, "-m", "undertext", *args]
            subprocess.run(run, cwd=folder, env=env, check=True, capture_output=True)
            rows.append((perf_counter() - start, spent() - before))
        print(f"| {turn + 1} | {rows[-1][0]:.0f} | {rows[-1][1]:.0f} | {load:.1f} |", flush=True)
    seconds, processor = (statistics.median(each) for each in zip(*rows, strict=True))
    print(json.dumps({"start.seconds": round(seconds, 1), "start.processor_seconds": round(processor, 1)}))


if __name__ == "__main__":
    main()
