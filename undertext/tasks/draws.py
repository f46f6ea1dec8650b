"""Which problems are drawn, whatever the order of a file's lines, and which prompts splits have in common."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from undertext.activations.errors import UserError
from undertext.core.config import config_values
from undertext.core.printable import printable
from undertext.core.shipped import config_file
from undertext.core.statistics import Clusters
from undertext.core.terms import CHOOSE, FIT
from undertext.tasks.same_steps import one_spaced
from undertext.tasks.task import Problem, Task


def drawn(problems: Iterable[Problem], seed: int, count: int | None = None) -> list[Problem]:
    """`count` of these problems (all where None), in an order that depends on the seed and their ids alone.

    The same problems come out in the same order wherever their lines stand, and a smaller count's are the
    first of a larger one's.
    """
    return sorted(problems, key=lambda problem: _rank(problem.id, seed))[:count]


def seeds(problems: Iterable[Problem], seed: int) -> list[int]:
    """A seed for each problem, from the seed and its id alone, whatever stands beside it."""
    return [int.from_bytes(_rank(problem.id, seed)[:8], "big") for problem in problems]


def _rank(id: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\n{id}".encode()).digest()


def clusters(problems: Sequence[Problem]) -> Clusters:
    """The number of each problem's group; one without is its own. None where no problem has a group."""
    if not any(problem.group for problem in problems):
        return None
    keys = [("group", p.group) if p.group else ("id", p.id) for p in problems]
    numbers = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys])


def shared_prompts(task: Task) -> dict[str, int]:
    """By split with reported figures: how many of its problems have a prompt that train or dev has as well.

    Prompts that differ in spacing alone are the same. Splits without such a problem are left out.
    """
    fitted = {one_spaced(p.prompt) for p in task.problems if p.split in (FIT, CHOOSE)}
    counts = {
        split: sum(one_spaced(problem.prompt) in fitted for problem in task.split(split))
        for split in task.splits
        if split not in (FIT, CHOOSE)
    }
    return {split: count for split, count in counts.items() if count}


def prompt_warnings(task: Task, splits: Sequence[str] | None = None) -> list[str]:
    """A warning for each split that shares prompts or groups with train or dev, of the `splits` named or of
    all."""
    groups = {p.group for p in task.problems if p.group and p.split in (FIT, CHOOSE)}
    warnings = []
    for split in task.splits if splits is None else splits:
        problems = task.split(split)
        if count := shared_prompts(task).get(split, 0):
            warnings.append(
                f"{count} of {len(problems)} prompts in {split!r} stand in {FIT} or {CHOOSE} as well"
            )
        own = sum(problem.group in groups for problem in problems) if split not in (FIT, CHOOSE) else 0
        if own:
            warnings.append(
                f"{own} of {len(problems)} problems in {split!r} are of groups that {FIT} or {CHOOSE} has too"
            )
    return warnings


def check_prompts(task: Task, splits: Sequence[str] | None = None) -> list[str]:
    """The warnings of `prompt_warnings`.

    Raises UserError where all prompts of such a split are shared: its figures say nothing of new problems.
    """
    for split, count in shared_prompts(task).items():
        if count == len(task.split(split)) and (splits is None or split in splits):
            raise UserError(
                f"task {printable(task.name)!r}: expected prompts of its own in {split!r}, got {count} that "
                f"{FIT} or {CHOOSE} has as well"
            )
    return prompt_warnings(task, splits)


def few_problems(task: Task) -> list[str]:
    """A warning for each split with reported figures that has too few problems, or groups, for a line of
    evidence to say anything."""
    fewest = config_values(config_file("verdict.yaml"))["min_problems"]
    warnings = []
    for split in task.splits:
        if split in (FIT, CHOOSE):
            continue
        groups = clusters(task.split(split))
        n, what = (len(task.split(split)), "problems") if groups is None else (len(set(groups)), "groups")
        if n < fewest:
            warnings.append(
                f"{n} {what} in {split!r}: a line of evidence says nothing on fewer than {fewest} "
                "(`min_problems`), and most lines count those in the gap alone"
            )
    return warnings
