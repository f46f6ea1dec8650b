"""Writing a task as a folder that `load_task` reads back to the same task."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import yaml

from undertext.activations.errors import UserError
from undertext.tasks.load import PROBLEMS, SETTINGS
from undertext.tasks.task import Task


def write_task(task: Task, folder: str | Path, *, beside: Mapping[str, bytes] | None = None) -> None:
    """Write `task` to `folder`, made with its parents where it does not exist; `beside` names further files.

    All is written beside the folder first and then moved there in one step, so no half of a task is
    ever found under its name. Raises `UserError` where `folder` is a file, holds anything, or cannot
    be written.
    """
    target = Path(folder).resolve()
    partial = target.parent / f".{uuid4().hex}.partial"
    wanted = "expected a new or an empty folder to write the task to"
    try:
        if target.exists() and not target.is_dir():
            raise UserError(f"{folder}: {wanted}, got a file")
        if target.exists() and any(target.iterdir()):
            raise UserError(f"{folder}: {wanted}, got one that holds files")
        partial.mkdir(parents=True)
        (partial / SETTINGS).write_text(_settings(task), encoding="utf-8", newline="\n")
        (partial / PROBLEMS).write_text(_problems(task), encoding="utf-8", newline="\n")
        for name, data in (beside or {}).items():
            (partial / name).write_bytes(data)
        if target.exists():
            target.rmdir()  # not every system moves one folder onto another
        partial.rename(target)
    except OSError as error:
        raise UserError(f"{folder}: the task cannot be written there: {error.strerror}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _settings(task: Task) -> str:
    fields = task.model_dump(exclude={"problems"}, exclude_defaults=True)
    if "max_new_tokens" in task.model_fields_set:
        fields["max_new_tokens"] = task.max_new_tokens
    readable, escaped = (
        yaml.safe_dump(fields, sort_keys=False, allow_unicode=unicode, width=100) for unicode in (True, False)
    )
    # PyYAML folds the rarer line ends (U+0085, U+2028) like spaces unless it escapes them.
    return readable if yaml.safe_load(readable) == fields else escaped


def _problems(task: Task) -> str:
    lines = [problem.model_dump(exclude_defaults=True) for problem in task.problems]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
