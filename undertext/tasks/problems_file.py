"""Reading problems.jsonl: its problems, or everything that is wrong with it, by line."""

import json
from collections import defaultdict
from typing import Any

from pydantic import ValidationError

from undertext.core.printable import shown
from undertext.tasks.fields import Fault, FileFaults, faults_in
from undertext.tasks.grade import Grader
from undertext.tasks.task import Problem, answer_faults, missing_splits, repeats


def read_problems(data: bytes, grader: Grader | None) -> tuple[list[Problem], FileFaults]:
    """Read the bytes of a problems.jsonl; answers are checked when the `grader` is known.

    Blank lines are skipped, and lines may end in a carriage return.
    """
    faults: FileFaults = defaultdict(list)
    read: dict[int, dict[str, Any]] = {}
    problems = []
    # Split at newlines alone: str.splitlines would also cut at U+2028, which JSON allows in text.
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            read[number] = parse_object(line)
            problem = Problem.model_validate(read[number])
        except ValidationError as error:
            faults[number] += faults_in(error, Problem)
        except ValueError as error:
            faults[number].append(Fault((), str(error)))
        else:
            problems.append(problem)
            if grader and (wrong := answer_faults(problem, grader)):
                faults[number] += [Fault(*each) for each in wrong]
    _check_together(read, faults)
    return problems, faults


def parse_object(line: bytes) -> dict[str, Any]:
    """The JSON object that `line` is; `ValueError` says what else it is."""
    wanted = "expected one JSON object"
    try:
        found = json.loads(line.decode("utf-8"), **_HOOKS)
    except UnicodeDecodeError as error:
        raise ValueError(f"expected UTF-8, got byte 0x{line[error.start]:02x} at {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{wanted}, got text that is not JSON: {error.msg} (column {error.colno})") from None
    except RecursionError:
        raise ValueError(f"{wanted}, got one nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError(f"{wanted}, got {shown(found)}")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for i in repeats([key for key, _ in pairs]):
        raise ValueError(f"expected each field once, got {shown(pairs[i][0])} twice")
    return dict(pairs)


def _refuse(constant: str) -> None:
    raise ValueError(f"expected finite numbers, got {constant}")


def _integer(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:  # Python's guard against quadratic time
        raise ValueError(f"expected shorter numbers, got one of {len(digits)} digits") from None


_HOOKS: dict[str, Any] = {"object_pairs_hook": _once, "parse_constant": _refuse, "parse_int": _integer}


def _check_together(read: dict[int, dict[str, Any]], faults: FileFaults) -> None:
    """Add the faults that show only when all lines are seen together."""
    numbers = list(read)
    # 3 and "3" are the same id, since numbers are turned into text.
    ids = [str(read[n]["id"]) if isinstance(read[n].get("id"), str | int | float) else None for n in numbers]
    for later, first in repeats(ids).items():
        got = f"{shown(ids[later])}, which line {numbers[first]} has"
        faults[numbers[later]].append(Fault(("id",), f"expected an id of its own, got {got}"))
    splits = [fields["split"] for fields in read.values() if isinstance(fields.get("split"), str)]
    legible = len(splits) == len(set(read) | set(faults))
    if legible and (missing := missing_splits(splits)):
        faults[None].append(Fault((), missing))
