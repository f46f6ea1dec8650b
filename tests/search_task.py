"""Countdown with search traces: numbers and a target, dead ends and all; for tests of what reads them."""

import random
from typing import Any

from undertext.tasks import Grader, Problem, Task

MODULUS = 7
SAYS = "no ;$"
"""What a step ends in that says that its branch is dead."""


def search(given: list[int], target: int) -> list[dict[str, Any]] | None:
    """The steps of a depth-first search, each with whether a way on reaches the target; None without one."""

    def reaches(value: int, rest: list[int]) -> bool:
        if not rest:
            return value == target
        return any(reaches((value + way * rest[0]) % MODULUS, rest[1:]) for way in (1, 2))

    steps: list[dict[str, Any]] = []

    def visit(value: int, rest: list[int]) -> bool:
        if not rest:
            return value == target
        for sign, way in (("+", 1), ("*", 2)):
            result = (value + way * rest[0]) % MODULUS
            last = len(rest) == 1
            end = f" {'so' if result == target else 'no'}" if last else ""
            steps.append(
                {"text": f"{value} {sign} {rest[0]} = {result}{end} ;", "dead": not reaches(result, rest[1:])}
            )
            if visit(result, rest[1:]):
                return True
        return False

    return steps if visit(given[0], given[1:]) else None


def search_task(**counts: int) -> Task:
    """So many problems of three numbers a split; the answer is the target."""
    rng, problems = random.Random(0), []
    for split, n in ({"train": 60, "dev": 30, "test": 24} | counts).items():
        for k in range(n):
            steps = None
            while steps is None:
                given = [rng.randrange(1, MODULUS) for _ in range(3)]
                target = rng.randrange(MODULUS)
                steps = search(given, target)
            asked = " ".join(map(str, given))
            trace = " ".join([*(step["text"] for step in steps), f"answer {target}"])
            problems.append(
                Problem.model_validate(
                    {"id": f"{split}{k}", "split": split, "prompt": f"{asked} find {target} :",
                     "trace": trace, "answer": str(target), "steps": steps}
                )
            )  # fmt: skip
    grader = Grader(kind="regex", pattern=r"answer (\d+)")
    return Task(
        name="countdown", description="For a test.", grader=grader, problems=problems, max_new_tokens=8
    )
