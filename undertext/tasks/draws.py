"""Drawing problems so that the order of a file's lines moves no figure."""

import hashlib
from collections.abc import Iterable

from undertext.tasks.task import Problem


def drawn(problems: Iterable[Problem], seed: int, count: int | None = None) -> list[Problem]:
    """`count` of these problems (all where None), in an order that hangs on the seed and their ids alone.

    The same problems come out in the same order wherever their lines stand, and a smaller count's are the
    first of a larger one's.
    """
    return sorted(problems, key=lambda problem: _rank(problem.id, seed))[:count]


def seeds(problems: Iterable[Problem], seed: int) -> list[int]:
    """A seed for each problem, from the seed and its id alone, whatever stands beside it."""
    return [int.from_bytes(_rank(problem.id, seed)[:8], "big") for problem in problems]


def _rank(id: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\n{id}".encode()).digest()
