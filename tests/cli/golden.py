"""What every command says and writes, kept in golden/: `python -m tests.cli.golden --write` after a change.

By command: the text of `--help`; and for each job, run on the smallest of tasks, the names of its files, the
keys of its result.json, the columns of its tables, and those of its rows in a joined table.
"""

import io
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from undertext.__main__ import COMMANDS, main
from undertext.activations.quiet import quiet
from undertext.core.output import RESULT, VERDICT
from undertext.jobs.runs.folders import open_run
from undertext.tasks.builtin.chain import new_chain
from undertext.tasks.importers.command import KINDS
from undertext.tasks.write import write_task

GOLDEN = Path(__file__).parent / "golden"
SUBCOMMANDS = {
    "sae": ("train", "features", "diff"),
    "task": ("new", "check", "from", *(f"from {kind}" for kind in KINDS)),
    "bench": ("build", "run", "calibrate", "score"),
    "zoo": ("list", "check", "build"),
}
HELPS = (
    "",
    *(name for name in COMMANDS),
    *(f"{name} {sub}" for name, subs in SUBCOMMANDS.items() for sub in subs),
)
"""Every command that has a `--help`."""
PAIR = "--base zoo:base --tuned zoo:elicited"
ENDS = "--checkpoint zoo:base --stronger zoo:elicited"
SEARCH = "--layers 2 --doses 1 2 --positions last_prompt --random-directions 1 --search-problems 8"
SEARCH += " --vector-problems 16"
JOBS = {
    "compare": f"compare {PAIR} {SEARCH} --samples 2",
    "compare_checkpoints": f"compare {PAIR} zoo:taught {SEARCH} --samples 2",
    "steer": f"steer {ENDS} {SEARCH} --sae SAE/sae --random-features 1",
    "routes": f"routes {ENDS} {SEARCH} --budget 2 --fit-steps 1 --rlvr-steps 1 --rlvr-prompts 4",
    "probe": "probe --checkpoints base zoo:base tuned zoo:elicited --tasks chain TASK "
    "--layers 2 3 --positions 0 --controls control shuffled --draws 1 --transfer layer checkpoint",
    "measure": f"measure all {PAIR} --problems 12 --fit-problems 40 --layers 3",
    "trace": "trace --checkpoint zoo:base --layers 2 --problems 8",
    "sae_train": "sae train --checkpoint zoo:base --d-sae 32 --k 4 --steps 20 --batch-size 32 "
    "--held-out 64 --loss-texts 4",
    "sae_features": "sae features --sae SAE/sae --checkpoint zoo:base --pages 1 --words so answer",
    "sae_diff": f"sae diff --sae SAE/sae {PAIR} --pages 1 --effects 1 --controls 1 --effect-problems 4",
}
"""By job, its command; TASK and SAE are folders, and every job gets `--task`, `--threads` and `--out`."""
SLOW = ("compare", "compare_checkpoints", "measure", "routes", "trace")
OTHERS = ("sae", "activations", "elicited", "taught")
"""Folders of an output folder whose files are no record: other formats, and reports of `compare` again."""


def help_text(command: str) -> str:
    """What a command says of itself on a terminal of 100 columns."""
    os.environ["COLUMNS"] = "100"
    return run([*command.split(), "--help"])


def run(args: Sequence[str]) -> str:
    """What a command prints; it must end well."""
    out, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(errors):
        try:
            main(args)
        except SystemExit as ended:
            if ended.code:
                raise RuntimeError(f"{' '.join(args)}: {errors.getvalue()}") from ended
    return out.getvalue()


def make_inputs(folder: Path) -> dict[str, str]:
    """A task of a few problems and an SAE of the base, under `folder`; their paths by placeholder."""
    write_task(new_chain(0, train=40, dev=24, test=24, ood=4), folder / "task")
    inputs = {"TASK": str(folder / "task"), "SAE": str(folder / "sae")}
    run_job("sae_train", inputs, folder / "sae")
    return inputs


def run_job(job: str, inputs: Mapping[str, str], out: Path) -> dict[str, Any]:
    """Run a job into `out`, and give what it has written: the record of golden/JOB.json."""
    words = shlex.split(JOBS[job])
    for name, path in inputs.items():
        words = [word.replace(name, path) for word in words]
    task = [] if job == "probe" else ["--task", inputs["TASK"]]
    splits = [] if job.startswith(("sae", "trace", "measure")) else ["--splits", "test"]
    with quiet():
        run([*words, *task, *splits, "--threads", "1", "--out", str(out)])
    written = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    shown = [path for path in written if path.parts[0] not in OTHERS]
    result = json.loads((out / (VERDICT if job == "compare" else RESULT)).read_text())
    tables = {
        path.stem: {field.name: str(field.type) for field in pq.read_schema(path)}
        for path in sorted(out.glob("tables/*.parquet"))
    }
    headline = open_run(out).result.headline()
    columns = list(dict.fromkeys(name for row in headline.rows for name in row))
    joined = {"keys": list(headline.keys), "figures": [name for name in columns if name not in headline.keys]}
    return {
        "files": [str(path) for path in shown],
        "joined": joined,
        "result": keys(result),
        "tables": tables,
    }


def keys(value: Any) -> Any:
    """The keys of nested mappings; `...` for a plain value.

    What the values of a list have in common is shown once, and so are mappings that are all alike.
    """
    if isinstance(value, Mapping):
        parts = {key: keys(part) for key, part in value.items()}
        nested = [part for part in parts.values() if part != "..."]
        if len(nested) == len(parts) > 1 and all(part == nested[0] for part in nested):
            return {"*": nested[0]}
        return parts
    if isinstance(value, list):
        merged: Any = "..."
        for part in map(keys, value):
            merged = merged | part if isinstance(merged, dict) and isinstance(part, dict) else part
        return [merged] if isinstance(merged, dict) else "..."
    return "..."


def as_text(record: Any) -> str:
    """A record as golden/ holds it."""
    return json.dumps(record, indent=1, sort_keys=True) + "\n"


def help_file(command: str) -> Path:
    """The file that holds a command's help."""
    return GOLDEN / f"{command.replace(' ', '_') or 'undertext'}.txt"


def write() -> None:
    """Write every record anew."""
    GOLDEN.mkdir(exist_ok=True)
    for old in GOLDEN.iterdir():
        old.unlink()
    for command in HELPS:
        help_file(command).write_text(help_text(command))
    with tempfile.TemporaryDirectory() as scratch:
        inputs = make_inputs(Path(scratch))
        for job in JOBS:
            print(job, flush=True)
            (GOLDEN / f"{job}.json").write_text(as_text(run_job(job, inputs, Path(scratch) / f"out-{job}")))


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("expected --write: the records in tests/cli/golden are then written anew")
    write()
