"""The runs below some folders, opened as results of their jobs."""

import os
import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from undertext.activations.errors import UserError, shown
from undertext.activations.files import one_line, read_json
from undertext.core.output import LAST, OURS, RUN
from undertext.core.publish import STAGING
from undertext.core.result import Result
from undertext.core.resume import FOLDER, JOB

JOINED = "report"
"""Name of the job that joins runs: a folder with its report is looked into like one with none."""
# By name: the jobs do not know each other, and none is loaded for another.
KINDS = {
    "compare": "compare.result.Comparison",
    "compare checkpoints": "compare.checkpoints.result.CheckpointComparisons",
    "steer": "steer.result.SteerResult",
    "routes": "routes.result.RoutesResult",
    "probe": "probe.result.ProbeResult",
    "trace": "trace.result.TraceResult",
    "measure": "measure.result.MeasureResult",
    "sae train": "sae_train.result.TrainedDictionary",
    "sae features": "sae_features.result.FeatureTable",
    "sae diff": "sae_diff.result.FeatureDiff",
}
"""Class of a job's result, by the name of the job in run.json."""
MOST_FOLDERS = 10_000
_BESIDE = {FOLDER, *OURS}
"""Folders of a run that hold no other runs."""


class Opened(NamedTuple):
    """A run that was found."""

    job: str
    result: Result


def find_runs(folders: Sequence[str | Path]) -> list[Path]:
    """The run folders that are given, or are below those given, each once: those of a folder in the order of
    their names, with numbers in them as numbers.

    A run is what holds files of a run, whole or not, or parts of one that is not finished. Folders within a
    run are not looked into, and neither are links. Raises UserError for a folder that is not there or holds
    no run, and where there are more than `MOST_FOLDERS` folders.
    """
    found: dict[Path, Path] = {}
    looked = 0
    for given in map(Path, folders):
        if not given.is_dir():
            raise UserError(f"expected a folder with runs in it, got {shown(given)}")
        own, waiting = [], [given]
        while waiting:
            folder = waiting.pop()
            if (looked := looked + 1) > MOST_FOLDERS:
                raise UserError(f"more than {MOST_FOLDERS:,} folders are below those given: give fewer")
            if _is_run(folder):
                own.append(folder)
                continue
            waiting += sorted(_below(folder), reverse=True, key=_by_number)
        if not own:
            raise UserError(f"expected a run, or runs below it, in {shown(given)}: there is none")
        for folder in own:
            found.setdefault(folder.resolve(), folder)
    return list(found.values())


def open_run(folder: Path) -> Opened:
    """The run in a folder. Raises UserError for one that is not finished, damaged, of files of several runs,
    or of a job whose runs are not joined."""
    if not (folder / RUN).is_file():
        begun = (folder / FOLDER / JOB).is_file() and not any((folder / name).is_file() for name in LAST)
        raise UserError(f"{shown(folder)} holds a run that {'is not finished' if begun else f'has no {RUN}'}")
    job = read_json(folder / RUN).get("job")
    if not isinstance(job, str) or job not in KINDS:
        raise UserError(f"{shown(folder)} holds a run of the job {shown(job)}; joined are {', '.join(KINDS)}")
    module, _, name = KINDS[job].rpartition(".")
    kind = getattr(import_module(f"undertext.jobs.{module}"), name)
    return Opened(job, kind.load(folder))


def _is_run(folder: Path) -> bool:
    says = next((path for path in (folder / RUN, folder / FOLDER / JOB) if path.is_file()), None)
    if says is None:
        return any((folder / name).exists() for name in LAST)
    try:
        return read_json(says).get("job") != JOINED
    except UserError:
        return True


def _below(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [each.name for each in entries if each.is_dir(follow_symlinks=False)]
    except OSError as error:
        raise UserError(f"cannot look into {shown(folder)}: {one_line(error)}") from error
    return [folder / name for name in names if name not in _BESIDE and not name.startswith(STAGING)]


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Key that sorts `seed=2` before `seed=10`."""
    parts = re.split(r"([0-9]{1,15})", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
