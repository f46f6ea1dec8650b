"""Task folders, whole or broken, and what loading a broken one reports."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from undertext.activations.errors import UserError
from undertext.tasks import load_task

SETTINGS = "name: sums\ndescription: Adding up.\ngrader:\n  kind: number\n"
PROBLEM = {"id": "p", "split": "test", "prompt": "3 + 4 =", "answer": "7"}
NEEDED = [{**PROBLEM, "id": f"good-{split}", "split": split} for split in ("train", "dev", "test")]


@pytest.fixture
def folder_of(tmp_path: Path) -> Callable[..., Path]:
    """Writes a task folder: a valid one where nothing is given.

    `lines` come after three valid ones; each is a line's text, or what a valid problem has in place
    of its own fields (`...` leaves a field out). `problems` stands for the whole file instead.
    """

    def write(
        *lines: str | dict[str, Any],
        settings: str | bytes = SETTINGS,
        problems: str | bytes | None = None,
        encoding: str = "utf-8",
    ) -> Path:
        if problems is None:
            changed = [line if isinstance(line, str) else {**PROBLEM, **line} for line in lines]
            problems = "".join(f"{_text(line)}\n" for line in [*NEEDED, *changed])
        for name, content in (("task.yaml", settings), ("problems.jsonl", problems)):
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return tmp_path

    return write


def _text(line: str | dict[str, Any]) -> str:
    if isinstance(line, str):
        return line
    return json.dumps({name: value for name, value in line.items() if value is not ...})


@pytest.fixture
def reports_of() -> Callable[[Path], list[str]]:
    """The lines of the error that loading a folder raises, the one that sums up left out."""

    def load(folder: Path) -> list[str]:
        with pytest.raises(UserError) as caught:
            load_task(folder)
        summary, *reports = str(caught.value).split("\n")
        if not reports:
            start = f"{folder}: not a valid task: "
            assert summary.startswith(start)
            return [summary.removeprefix(start)]
        assert summary.startswith(f"{folder}: not a valid task, to mend: ")
        return reports

    return load
