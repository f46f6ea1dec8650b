"""Truth values joined from left to right: two answers, and steps that do not say what they are made of."""

import random

from undertext.organisms.bench.families.item import Change, Family, Item, Said, Work
from undertext.tasks.grade import Grader

TRUE, FALSE = "true", "false"
BOTH = (TRUE, FALSE)


def _joined(before: str, sign: str, with_: str) -> str:
    held = {
        "and": before == with_ == TRUE,
        "or": TRUE in (before, with_),
        "xor": before != with_,
    }
    return TRUE if held[sign] else FALSE


def _draw(rng: random.Random, size: int, type: str | None) -> Item:
    start = rng.choice(BOTH)
    # Of values drawn evenly `xor` gives either one as often; after `and` and `or` alone most would be alike.
    joins = [(rng.choice(("and", "or", "xor", "xor")), rng.choice(BOTH)) for _ in range(size)]
    body = " ".join([start, *(f"{sign} {value}" for sign, value in joins)])

    def work(change: Change) -> Work:
        held, steps = start, []
        for i, (sign, value) in enumerate(joins):
            held = change(i, _joined(held, sign, value))
            steps.append(Said(f"{held} ;", held))
        return Work(tuple(steps), held)

    return Item(
        body=body,
        questions=(f"{body} gives :", f"what is {body} ?"),
        type=type or "mixed",
        size=size,
        work=work,
        values=BOTH,
        answers=BOTH,
        trait=start == TRUE,
    )


LOGIC = Family(
    name="logic",
    about="Truth values joined from left to right by and, or and xor; what comes out is asked for.",
    draw=_draw,
    sizes=(4, 5),
    longer=(6,),
    grader=Grader(kind="regex", pattern=r"answer (true|false)\b"),
    answer="answer {}",
    wordings=2,
)
