"""Chains of assignments: the built-in task's problems, and the same with two values."""

import random

from undertext.organisms.bench.families.item import Change, Family, Item, Said, Work, numbers
from undertext.tasks.builtin.chain import LENGTHS, MODULUS, NAMES, OOD_LENGTHS
from undertext.tasks.grade import Grader

ADD, TIMES = "add", "times"
GRADER = Grader(kind="regex", pattern=r"answer (\d+)")


def _draw(rng: random.Random, size: int, type: str | None, modulus: int) -> Item:
    names = tuple(rng.sample(NAMES, size))
    start = rng.randrange(modulus)
    operations = [_operation(rng, type, modulus) for _ in names[1:]]
    lines = [f"{names[0]} = {start} ;"]
    for before, name, (sign, constant) in zip(names, names[1:], operations, strict=False):
        lines.append(f"{name} = {before} {sign} {constant} ;")
    body = " ".join(lines)

    def work(change: Change) -> Work:
        value = start
        steps = [Said(f"{names[0]} = {start} ;", None)]
        for i, (name, (sign, constant)) in enumerate(zip(names[1:], operations, strict=True), 1):
            follows = (value + constant if sign == "+" else value * constant) % modulus
            value = int(change(i, str(follows)))
            steps.append(Said(f"{name} = {value} ;", str(value)))
        return Work(tuple(steps), str(value))

    domain = numbers(0, modulus - 1)
    return Item(
        body=body,
        questions=(f"{body} find {names[-1]} :", f"{body} so {names[-1]} ?"),
        type=type or "mixed",
        size=size,
        work=work,
        values=domain,
        answers=domain,
        trait=names[0] < "e",
    )


def _operation(rng: random.Random, type: str | None, modulus: int) -> tuple[str, int]:
    if modulus == 2:
        return "+", rng.randrange(2)
    if type == ADD or (type is None and rng.random() < 0.5):
        return "+", rng.randrange(1, modulus)
    return "*", rng.randrange(2, modulus)


CHAIN = Family(
    name="chain",
    about="Variables assigned one from another by arithmetic modulo 7; the last one is asked for.",
    draw=lambda rng, size, type: _draw(rng, size, type, MODULUS),
    sizes=LENGTHS,
    longer=OOD_LENGTHS,
    grader=GRADER,
    answer="answer {}",
    wordings=2,
    types=(ADD, TIMES),
)
PARITY = Family(
    name="parity",
    about="Variables assigned one from another by addition modulo 2; the last one is asked for.",
    draw=lambda rng, size, type: _draw(rng, size, type, 2),
    sizes=(3, 4),
    longer=(5,),
    grader=GRADER,
    answer="answer {}",
    wordings=2,
)
