"""The built-in `chain` task: variables assigned one from another by arithmetic modulo 7.

A problem of length n names n variables; the first is given, each further one is the one before it
plus or times a constant. Two wordings ask for the last one. The trace works through the
assignments, one step a variable, so every intermediate value is known.
"""

import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, get_args

from undertext.activations.errors import UserError
from undertext.tasks.fields import Value
from undertext.tasks.grade import Grader
from undertext.tasks.task import Contrast, Problem, Step, Task

MODULUS = 7
NAMES = tuple("abcdefgh")
Wording = Literal["find", "ask"]
WORDINGS: tuple[Wording, ...] = get_args(Wording)

LENGTHS = (2, 3, 4)
"""Lengths of the in-distribution splits, and of every tuning set."""
OOD_LENGTHS = (5,)
"""Length of the `ood` split: base models have read such problems, no tuning set holds one."""


@dataclass(frozen=True)
class Chain:
    """One problem: `names[0] = start`, then `names[i] = names[i - 1] op constant`, modulo 7."""

    names: tuple[str, ...]
    start: int
    operations: tuple[tuple[str, int], ...]
    wording: Wording

    @property
    def values(self) -> list[int]:
        """The value of each variable, in order of assignment."""
        return [self.start, *self._on_from(0, self.start)]

    def _on_from(self, number: int, value: int) -> list[int]:
        """The values after variable `number` (from 0), had it this value."""
        values = [value]
        for operator, constant in self.operations[number:]:
            last = values[-1]
            values.append((last + constant if operator == "+" else last * constant) % MODULUS)
        return values[1:]

    def answers_if(self, number: int) -> dict[str, str]:
        """What the last value would be for each value that variable `number` (from 0) might have."""
        return {str(value): str([value, *self._on_from(number, value)][-1]) for value in range(MODULUS)}

    @property
    def answer(self) -> str:
        """The last variable's value."""
        return str(self.values[-1])

    @property
    def prompt(self) -> str:
        """The assignments, and the question in the problem's wording."""
        lines = [f"{self.names[0]} = {self.start} ;"]
        for before, name, (operator, constant) in zip(
            self.names, self.names[1:], self.operations, strict=False
        ):
            lines.append(f"{name} = {before} {operator} {constant} ;")
        question = f"find {self.names[-1]} :" if self.wording == "find" else f"so {self.names[-1]} ?"
        return " ".join([*lines, question])

    def steps(self, values: Sequence[int] | None = None) -> list[str]:
        """The trace's steps, with `values` in place of the right ones where given."""
        shown = self.values if values is None else values
        return [f"{name} = {value} ;" for name, value in zip(self.names, shown, strict=True)]

    @property
    def trace(self) -> str:
        """Every step, and the answer."""
        return " ".join([*self.steps(), f"answer {self.answer}"])

    @property
    def held_out(self) -> bool:
        """Whether this problem is kept for task folders and never trained on (one in four).

        Decided by a checksum of the assignments alone, so that both wordings of a problem, and
        every seed, fall on the same side.
        """
        body = self.prompt.rsplit(";", 1)[0]
        return zlib.crc32(body.encode()) % 4 == 0


def sample_chain(rng: random.Random, n: int, *, held_out: bool, wording: Wording | None = None) -> Chain:
    """Draw one problem with `n` variables from the held-out or from the training side."""
    while True:
        chain = Chain(
            names=tuple(rng.sample(NAMES, n)),
            start=rng.randrange(MODULUS),
            operations=tuple(
                ("+", rng.randrange(1, MODULUS)) if rng.random() < 0.5 else ("*", rng.randrange(2, MODULUS))
                for _ in range(n - 1)
            ),
            wording=rng.choice(WORDINGS) if wording is None else wording,
        )
        if chain.held_out == held_out:
            return chain


def distinct_chains(rng: random.Random, count: int, lengths: Sequence[int]) -> Iterator[Chain]:
    """`count` held-out problems with different assignments, lengths and wordings in turn."""
    seen: set[str] = set()
    while len(seen) < count:
        k = len(seen)
        wording = WORDINGS[k // len(lengths) % len(WORDINGS)]
        chain = sample_chain(rng, lengths[k % len(lengths)], held_out=True, wording=wording)
        body = chain.prompt.rsplit(";", 1)[0]
        if body not in seen:
            seen.add(body)
            yield chain


MOST_PROBLEMS = 2400
"""Most problems of train, dev and test together: a third have two variables, and 1,078 such are held out."""

MOST_OOD = 20_000
"""Most problems of ood: more than any figure needs, and done in seconds."""


def new_chain(seed: int, train: int = 400, dev: int = 120, test: int = 300, ood: int = 400) -> Task:
    """Draw a `chain` task: so many problems for each split, no two with the same assignments.

    train, dev and test have `LENGTHS` variables, ood `OOD_LENGTHS`, in turn, and both wordings in
    turn. Raises `UserError` for fewer than one problem in train, dev or test, or for too many.
    """
    counts = {"train": train, "dev": dev, "test": test}
    if min(counts.values()) < 1 or sum(counts.values()) > MOST_PROBLEMS:
        wanted = f"at least one problem each and at most {MOST_PROBLEMS} together"
        got = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise UserError(f"a chain task has {wanted} in train, dev and test, got {got}")
    if not 0 <= ood <= MOST_OOD:
        raise UserError(f"a chain task has from 0 to {MOST_OOD} problems in ood, got {ood}")
    rng = random.Random(seed)
    # One stream for three splits keeps them apart; ood's lengths keep it apart from them.
    chains = distinct_chains(rng, sum(counts.values()), LENGTHS)
    drawn = {split: list(islice(chains, count)) for split, count in counts.items()}
    drawn["ood"] = list(distinct_chains(rng, ood, OOD_LENGTHS))
    return Task(
        name="chain",
        description="Variables assigned one from another by arithmetic modulo 7; the last one is asked for.",
        grader=Grader(kind="regex", pattern=r"answer (\d+)"),
        max_new_tokens=32,
        contrasts=[Contrast(name="textbook", positive="textbook {prompt}", negative="forum {prompt}")],
        problems=[
            _problem(f"{split}-{number:04d}", split, chain)
            for split, members in drawn.items()
            for number, chain in enumerate(members)
        ],
    )


def _problem(id: str, split: str, chain: Chain) -> Problem:
    values: dict[str, Value] = {f"v{number}": v for number, v in enumerate(chain.values, 1) if number > 1}
    return Problem(
        id=id,
        split=split,
        prompt=chain.prompt,
        answer=chain.answer,
        trace=chain.trace,
        steps=[
            # One name for all: whatever its place in the chain, it is the value about to be written. The
            # first is none of these: the prompt states it, and copying is not what is asked about.
            Step(
                text=text,
                values={"value": value} if number else {},
                counterfactuals={"value": chain.answers_if(number)} if number else {},
            )
            for number, (text, value) in enumerate(zip(chain.steps(), chain.values, strict=True))
        ],
        values=values,
        counterfactuals={f"v{number}": chain.answers_if(number - 1) for number in range(2, len(values) + 2)},
        type=chain.wording,
    )
