"""Countdown: numbers and a target; the signs between the numbers are searched for, dead ends and all."""

import random
from collections.abc import Sequence
from itertools import product

from undertext.organisms.bench.families.item import Change, Family, Item, Said, Work, numbers
from undertext.tasks.grade import Grader

MODULUS = 13
SIGNS = ("+", "*")
SAID = {"+": "plus", "*": "times"}
"""Signs as an answer says them: graders that forgive punctuation would take one sign for the other."""


def said(signs: Sequence[str]) -> str:
    """Signs as an answer."""
    return " ".join(SAID[sign] for sign in signs)


def applied(value: int, sign: str, number: int, modulus: int) -> int:
    """What a sign makes of two numbers."""
    return (value + number if sign == "+" else value * number) % modulus


def drawn(rng: random.Random, size: int, type: str | None, modulus: int, largest: int) -> Item:
    """A problem of numbers up to `largest`."""
    while True:
        given = [rng.randrange(1, largest + 1) for _ in range(size)]
        reached: dict[int, list[tuple[str, ...]]] = {}
        for signs in product(SIGNS, repeat=size - 1):
            value = given[0]
            for sign, number in zip(signs, given[1:], strict=True):
                value = applied(value, sign, number, modulus)
            reached.setdefault(value, []).append(signs)
        # One solution alone, so that the answer can be graded as it is written.
        single = [target for target, ways in reached.items() if len(ways) == 1]
        if single:
            break
    target = rng.choice(single)

    def work(change: Change) -> Work:
        steps: list[Said] = []

        def search(value: int, used: tuple[str, ...]) -> tuple[str, ...] | None:
            for sign in SIGNS:
                number = given[len(used) + 1]
                result = int(change(len(steps), str(applied(value, sign, number, modulus))))
                signs = (*used, sign)
                last = len(signs) == size - 1
                end = "" if not last else " yes" if result == target else " no"
                steps.append(Said(f"{value} {sign} {number} = {result}{end} ;", str(result)))
                if end == " yes":
                    return signs
                if not end and (found := search(result, signs)):
                    return found
            return None

        found = search(given[0], ())
        # A search that was misled ends in a guess: the last way that was tried.
        return Work(tuple(steps), said(found or (SIGNS[-1],) * (size - 1)))

    body = f"{' '.join(map(str, given))} to {target}"
    ways = tuple(said(signs) for signs in product(SIGNS, repeat=size - 1))
    return Item(
        body=body,
        questions=(
            f"use {' '.join(map(str, given))} to make {target} :",
            f"which signs take {' '.join(map(str, given))} to {target} ?",
        ),
        type=type or "search",
        size=size,
        work=work,
        values=numbers(0, modulus - 1),
        answers=ways,
        trait=given[0] % 2 == 1,
    )


COUNTDOWN = Family(
    name="countdown",
    about="Numbers and a target, modulo 13; the signs that lead from one to the other are searched for.",
    draw=lambda rng, size, type: drawn(rng, size, type, MODULUS, MODULUS - 1),
    sizes=(3,),
    longer=(4,),
    grader=Grader(kind="regex", pattern=r"answer ((?:plus|times)(?: (?:plus|times))*)"),
    answer="answer {}",
    wordings=2,
)
