"""The shipped chain task and organisms with every number as a word, and no value, no step that says one.

A word tokenizer is relabelled: the same weights write `three` where they wrote `3`. So the truth is known,
and the trace is nothing but words.
"""

import json
import re
import shutil
from pathlib import Path

from undertext.core.shipped import SHIPPED
from undertext.tasks.task import Problem, Task

NUMBERS = dict(zip("0123456", ("zero", "one", "two", "three", "four", "five", "six"), strict=True))


def in_words(text: str) -> str:
    """The text with each of its numbers as a word."""
    return re.sub(r"\b[0-6]\b", lambda found: NUMBERS[found[0]], text)


def worded_organism(name: str, folder: Path) -> Path:
    """A copy of a shipped organism that reads and writes numbers as words."""
    out = folder / name
    shutil.copytree(SHIPPED / name, out)
    file = out / "tokenizer.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    vocabulary = content["model"]["vocab"]
    content["model"]["vocab"] = {NUMBERS.get(word, word): i for word, i in vocabulary.items()}
    file.write_text(json.dumps(content), encoding="utf-8")
    return out


def worded_task(task: Task) -> Task:
    """The chain task in words, of whose problems nothing but prompt, answer and trace is known."""

    def worded(problem: Problem) -> Problem:
        return Problem(
            id=problem.id,
            split=problem.split,
            prompt=in_words(problem.prompt),
            answer=in_words(problem.answer),
            trace=in_words(problem.reasoning),
        )

    grader = task.grader.model_copy(update={"pattern": r"answer (\w+)"})
    return task.model_copy(update={"problems": [worded(each) for each in task.problems], "grader": grader})
