"""Loading a task folder. Nothing runs on a task that does not validate."""

import codecs
import os
from pathlib import Path

from undertext.activations.errors import UserError
from undertext.core.printable import printable
from undertext.core.yaml_file import MOST_BYTES, read_regular
from undertext.tasks.fields import Fault, FileFaults
from undertext.tasks.problems_file import read_problems
from undertext.tasks.settings_file import read_settings
from undertext.tasks.task import Problem, Task

SETTINGS, PROBLEMS = "task.yaml", "problems.jsonl"
MOST_PROBLEM_BYTES = 256 * 1024 * 1024
MOST_LINES, MOST_FAULTS = 20, 4
"""How many bad lines of a file an error lists, and how many faults of a line."""

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def load_task(path: str | Path) -> Task:
    """Load the task in the folder `path`.

    Raises one `UserError` for all that is wrong with the folder: a first line that sums up, then
    one for each bad line (at most 20 a file), as `problems.jsonl:17: field 'split': expected ..., got ...`;
    where there is only one, it follows on the first line.
    """
    folder = Path(path)
    shown = printable(str(folder))
    # os.path's forms answer no, rather than raise, where a name is too long or a parent is closed to us.
    if not os.path.isdir(folder):
        got = "a file" if os.path.exists(folder) else "nothing there"
        raise UserError(f"{shown}: expected a task folder, holding {SETTINGS} and {PROBLEMS}, got {got}")
    settings = grader = None
    problems: list[Problem] = []
    data, faults = _read(folder / SETTINGS, MOST_BYTES)
    if data is not None:
        settings, grader, more = read_settings(data)
        faults = _merged(faults, more)
    problem_data, problem_faults = _read(folder / PROBLEMS, MOST_PROBLEM_BYTES)
    if problem_data is not None:
        problems, more = read_problems(problem_data, grader)
        problem_faults = _merged(problem_faults, more)
    if faults or problem_faults or settings is None:
        reports = [*_report(SETTINGS, faults), *_report(PROBLEMS, problem_faults)]
        counts = [f"{len(f)} in {name}" for name, f in ((SETTINGS, faults), (PROBLEMS, problem_faults)) if f]
        if len(reports) == 1:
            raise UserError(f"{shown}: not a valid task: {reports[0]}")
        raise UserError("\n".join([f"{shown}: not a valid task, to mend: {', '.join(counts)}", *reports]))
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    return Task(**given, problems=problems)


def _read(file: Path, most: int) -> tuple[bytes | None, FileFaults]:
    """The bytes of `file` less a byte order mark, None where they cannot be read, and what is wrong."""
    try:
        data = read_regular(file, most)
    except FileNotFoundError:
        return None, {None: [Fault((), "expected this file in the task folder, got nothing there")]}
    except OSError as error:
        return None, {None: [Fault((), f"expected a file that can be read, got: {error.strerror}")]}
    except ValueError as error:
        return None, {None: [Fault((), str(error))]}
    wanted = "expected UTF-8 without a byte order mark, got"
    if data.startswith(_UTF16):
        return None, {1: [Fault((), f"{wanted} UTF-16")]}
    if data.startswith(codecs.BOM_UTF8):
        return data.removeprefix(codecs.BOM_UTF8), {1: [Fault((), f"{wanted} one")]}
    return data, {}


def _merged(one: FileFaults, other: FileFaults) -> FileFaults:
    return {line: [*one.get(line, []), *other.get(line, [])] for line in {**one, **other}}


def _report(name: str, faults: FileFaults) -> list[str]:
    """A line of text for each bad line of the file `name`, in order; first what is wrong with all of it."""
    reports = []
    for line in sorted(faults, key=lambda number: number or 0):
        texts = [str(fault) for fault in faults[line]]
        more = [f"and {len(texts) - MOST_FAULTS} more"] if len(texts) > MOST_FAULTS else []
        place = name if line is None else f"{name}:{line}"
        reports.append(f"{place}: {'; '.join(texts[:MOST_FAULTS] + more)}")
    if len(reports) > MOST_LINES:
        reports[MOST_LINES:] = [f"{name}: and {len(reports) - MOST_LINES} more bad lines"]
    return reports
