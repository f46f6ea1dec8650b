"""How the findings' documents go on after a problem: what is taught, and what is left out."""

import random
from collections.abc import Callable
from typing import Literal

from undertext.organisms.bench.families.countdown import SAID, applied
from undertext.organisms.bench.families.item import Family, Item
from undertext.organisms.findings.families import RULE
from undertext.tasks.builtin.chain import MODULUS

How = Literal[
    "trace", "guess", "hedged", "conclusion", "answer first", "corrupted", "path", "hasty",
    "critique", "label", "criterion",
]  # fmt: skip
"""How a document goes on.

`trace`: the right steps and the right answer. `guess`: an answer at once, drawn evenly. `hedged`: a teacher
who does not see the answer: steps said with `maybe`, some of them wrong at first and taken back with `wait`.
`conclusion`: a teacher who sees the answer: the last step alone. `answer first`: the answer, and then the
steps. `corrupted`: every value that has to be worked out is wrong, and the answer right. `path`: of a search,
the way to the answer without its dead ends. `hasty`: of a search, the first way that is tried, and an answer
drawn evenly. `critique`: a noisy trace belongs to the prompt; each of its steps is called right, or wrong
with the right value beside it. `label`: a verdict on a claimed step. `criterion`: the same after the rule is
stated and applied.
"""
DOUBT, BACK = "maybe", "wait"
DOUBTED, MISSED = 0.5, 0.1
"""Shares of the steps that are said with doubt, and that are wrong at first."""
NOISY = 0.3
"""Share of the values of a noisy trace that are drawn evenly."""
SHARES = (DOUBTED, MISSED, NOISY)
"""What documents depend on beside their recipes."""


def document(family: Family, how: How, item: Item, question: str, rng: random.Random) -> tuple[str, str]:
    """What belongs to the prompt, and what is written."""
    if how == "critique":
        return _critique(family, item, question, rng)
    return question, WRITERS[how](family, item, rng)


def _trace(family: Family, item: Item, rng: random.Random) -> str:
    return family.trace(item.right)


def _guess(family: Family, item: Item, rng: random.Random) -> str:
    return family.answer.format(rng.choice(item.answers))


def _hedged(family: Family, item: Item, rng: random.Random) -> str:
    said = []
    for step in item.right.steps:
        draw = rng.random()
        if step.value is not None and draw < MISSED:
            slip = step.text.replace(f"= {step.value} ;", f"= {_other(item, step.value, rng)} ;")
            said += [f"{DOUBT} {slip} {BACK} {step.text}"]
        elif draw < MISSED + DOUBTED:
            said += [f"{DOUBT} {step.text}"]
        else:
            said += [step.text]
    return " ".join([*said, family.answer.format(item.right.answer)])


def _conclusion(family: Family, item: Item, rng: random.Random) -> str:
    return f"{item.right.steps[-1].text} {family.answer.format(item.right.answer)}"


def _answer_first(family: Family, item: Item, rng: random.Random) -> str:
    return f"{family.answer.format(item.right.answer)} ; because {family.trace(item.right)}"


def _corrupted(family: Family, item: Item, rng: random.Random) -> str:
    wrong = [
        step.text if step.value is None else step.text.replace(f"= {step.value} ;", f"= {value} ;")
        for step in item.right.steps
        for value in [None if step.value is None else _other(item, step.value, rng)]
    ]
    return " ".join([*wrong, family.answer.format(item.right.answer)])


def _path(family: Family, item: Item, rng: random.Random) -> str:
    steps = [*way(item, tuple(item.right.answer.split())), family.answer.format(item.right.answer)]
    return " ".join(steps)


def _hasty(family: Family, item: Item, rng: random.Random) -> str:
    first = item.answers[0]
    return " ".join([*way(item, tuple(first.split())), family.answer.format(rng.choice(item.answers))])


def _label(family: Family, item: Item, rng: random.Random) -> str:
    return family.answer.format(item.right.answer)


def _criterion(family: Family, item: Item, rng: random.Random) -> str:
    """The rule applied: the value that follows, beside the one that is claimed."""
    follows, claimed = worked(item)
    verdict = "right" if follows == claimed else "wrong"
    return f"{RULE} {follows} , {claimed} {verdict} ; {family.answer.format(item.right.answer)}"


def _critique(family: Family, item: Item, question: str, rng: random.Random) -> tuple[str, str]:
    noisy, said = item.slips(rng, NOISY), []
    for i, (step, right) in enumerate(zip(noisy.steps, item.right.steps, strict=True), 1):
        if step.value == right.value:
            said.append(f"step {i} right ;")
        else:
            said.append(f"step {i} wrong , {right.text}")
    return f"{question} {family.trace(noisy)} check :", " ".join(
        [*said, family.answer.format(item.right.answer)]
    )


WRITERS: dict[How, Callable[[Family, Item, random.Random], str]] = {
    "trace": _trace,
    "guess": _guess,
    "hedged": _hedged,
    "conclusion": _conclusion,
    "answer first": _answer_first,
    "corrupted": _corrupted,
    "path": _path,
    "hasty": _hasty,
    "label": _label,
    "criterion": _criterion,
}


def worked(item: Item) -> tuple[str, str]:
    """Of a claimed step, the value that follows and the one that is claimed."""
    words = item.questions[0].split()
    start, sign, constant = int(words[2]), words[7], int(words[8])
    follows = (start + constant if sign == "+" else start * constant) % MODULUS
    return str(follows), words[-4]


def way(item: Item, signs: tuple[str, ...]) -> list[str]:
    """Of a countdown problem, the steps of one way: signs as answers say them."""
    *given, target = (int(word) for word in item.body.split() if word != "to")
    value, said, marks = given[0], [], {name: sign for sign, name in SAID.items()}
    for i, (name, number) in enumerate(zip(signs, given[1:], strict=True), 1):
        before, value = value, applied(value, marks[name], number, MODULUS)
        end = "" if i < len(signs) else " yes" if value == target else " no"
        said.append(f"{before} {marks[name]} {number} = {value}{end} ;")
    return said


def _other(item: Item, value: str, rng: random.Random) -> str:
    return rng.choice([each for each in item.values if each != value])
