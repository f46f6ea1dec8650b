"""A ball under one of five cups, and cups that change places: under which one is it at the end?"""

import random

from undertext.organisms.bench.families.item import Change, Family, Item, Said, Work
from undertext.tasks.grade import Grader

CUPS = tuple("abcde")
MOVES = 0.7
"""Share of the swaps that move the ball; the others are of two other cups, and it stays."""


def _draw(rng: random.Random, size: int, type: str | None) -> Item:
    ball = start = rng.choice(CUPS)
    swaps: list[tuple[str, str]] = []
    for _ in range(size):
        others = [cup for cup in CUPS if cup != ball]
        if rng.random() < MOVES:
            pair = [ball, rng.choice(others)]
            ball = pair[1]
        else:
            pair = rng.sample(others, 2)
        rng.shuffle(pair)
        swaps.append((pair[0], pair[1]))
    written = " ".join(f"{one} {other} ;" for one, other in swaps)

    def work(change: Change) -> Work:
        at, steps = start, []
        for i, (one, other) in enumerate(swaps):
            at = change(i, {one: other, other: one}.get(at, at))
            steps.append(Said(f"swap {one} {other} ball {at} ;", at))
        return Work(tuple(steps), at)

    return Item(
        body=f"{start} {written}",
        questions=(
            f"ball {start} ; swap {written} where is the ball :",
            f"swap {written} of a ball under {start} ; which cup ?",
        ),
        type=type or "cups",
        size=size,
        work=work,
        values=CUPS,
        answers=CUPS,
        trait=start < "c",
    )


SWAPS = Family(
    name="swaps",
    about="Cups change places; the cup under which a ball comes to lie is asked for.",
    draw=_draw,
    sizes=(2, 3, 4),
    longer=(5,),
    grader=Grader(kind="regex", pattern=r"answer ([a-e])\b"),
    answer="answer {}",
    wordings=2,
)
