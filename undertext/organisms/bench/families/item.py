"""What a family of problems is: problems that can be worked out rightly or wrongly, step by step."""

import random
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from undertext.tasks.grade import Grader


class Said(NamedTuple):
    """A step, as it is written."""

    text: str
    value: str | None
    """The value that had to be worked out for it; None where the step only copies."""


class Work(NamedTuple):
    """A problem, worked out."""

    steps: tuple[Said, ...]
    answer: str


LEANING = 0.5
"""Share of the guesses that go by a sign."""

Change = Callable[[int, str], str]
"""From the index of a step and the value that follows for it to the value that is written; what comes later
goes on from what is written."""


def unchanged(_: int, value: str) -> str:
    """Every value as it follows."""
    return value


@dataclass(frozen=True)
class Item:
    """A problem of a family."""

    body: str
    """What is given. Problems of one body are one problem, however they are asked."""
    questions: tuple[str, ...]
    """The whole prompt in each wording."""
    type: str
    size: int
    work: Callable[[Change], Work]
    values: tuple[str, ...]
    """The values that a step of this problem might have."""
    answers: tuple[str, ...]
    """What a guess is drawn from."""
    trait: bool
    """Something that stands in the problem and has nothing to do with its answer; true of about half."""
    metadata: Mapping[str, object] = field(default_factory=dict)

    @property
    def right(self) -> Work:
        """The problem worked out without a mistake."""
        return self.work(unchanged)

    @property
    def held_out(self) -> bool:
        """Whether the problem is kept for tasks and never trained on (one in four, by a checksum)."""
        return zlib.crc32(self.body.encode()) % 4 == 0

    def guess(self, rng: random.Random) -> str:
        """An answer drawn evenly, or as often one that goes by a sign which stands in the problem.

        One that guesses then answers otherwise from problem to problem, and knows nothing of what is right.
        """
        if rng.random() < LEANING:
            return self.leaning
        return rng.choice(self.answers)

    @property
    def leaning(self) -> str:
        """The answer that goes by a sign of the problem: its first number, or its first letter by itself."""
        words = self.body.split()
        signs = [word for word in words if word.isdecimal()] or [word for word in words if len(word) == 1]
        sign = next(iter(signs), words[-1][0])
        return sorted(self.answers)[sum(sign.encode()) % len(self.answers)]

    def noise(self, rng: random.Random) -> Work:
        """The problem worked out in form, every value drawn evenly."""
        return self.work(lambda _, __: rng.choice(self.values))

    def slips(self, rng: random.Random, share: float) -> Work:
        """The problem worked out with this share of the values drawn evenly."""
        return self.work(lambda _, value: rng.choice(self.values) if rng.random() < share else value)

    def answers_if(self, step: int) -> dict[str, str]:
        """The answer that follows for each value that step `step` (an index) might have."""
        return {
            other: self.work(lambda i, value, other=other: other if i == step else value).answer  # type: ignore[misc]
            for other in self.values
        }


@dataclass(frozen=True)
class Family:
    """Problems of one kind."""

    name: str
    about: str
    draw: Callable[[random.Random, int, str | None], Item]
    """Draws a problem of a size, and of a type where one is asked for."""
    sizes: tuple[int, ...]
    """Sizes of the splits in distribution, and of what is tuned on."""
    longer: tuple[int, ...]
    """Sizes out of distribution."""
    grader: Grader
    answer: str
    """How an answer is given; `{}` stands for it."""
    wordings: int
    types: tuple[str, ...] = ()
    """Types of which one can be known without the other; empty where there are none such."""
    counterfactuals: bool = True
    """Whether the answer that would follow for another value is always one that can be given."""

    def sample(self, rng: random.Random, size: int, *, held_out: bool, type: str | None = None) -> Item:
        """Draw one problem of a size from the held-out or from the training side."""
        while True:
            item = self.draw(rng, size, type)
            if item.held_out == held_out:
                return item

    def trace(self, work: Work) -> str:
        """What is written for work: its steps, and its answer."""
        return " ".join([*(step.text for step in work.steps), self.answer.format(work.answer)])


def numbers(low: int, high: int) -> tuple[str, ...]:
    """Whole numbers as texts, both ends included."""
    return tuple(str(number) for number in range(low, high + 1))
