"""Problems that generators of reasoning-gym make and grade, worked out step by step."""

import random
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from undertext.organisms.bench.families.item import Change, Family, Item, Said, Work, numbers
from undertext.tasks.grade import Grader
from undertext.tasks.importers.source import plain_json
from undertext.tasks.reasoning_gym import constants_of, generator

POOL = 20_000
"""Problems drawn from a generator for each size: draws repeat beyond that."""

Solve = Callable[[Mapping[str, Any]], tuple[Callable[[Change], Work], tuple[str, ...], bool]]
"""From a problem's metadata: how it is worked out, the values that it might have, and its trait."""


def _family(
    name: str,
    about: str,
    options: Callable[[int], Mapping[str, Any]],
    solve: Solve,
    sizes: tuple[int, ...],
    longer: tuple[int, ...],
    answers: Callable[[Mapping[str, Any], random.Random], tuple[str, ...]],
) -> Family:
    @cache
    def made(size: int) -> Any:
        return generator(name, {**options(size), "size": POOL, "seed": size})

    @cache
    def item(size: int, number: int) -> Item:
        entry = made(size)[number]
        metadata = entry["metadata"]
        work, values, trait = solve(metadata)
        question = entry["question"].strip()
        return Item(
            body=question.lower(),  # in other letters it is the same problem
            questions=(question,),
            type=name,
            size=size,
            work=work,
            values=values,
            answers=answers(metadata, random.Random(number)),
            trait=trait,
            metadata=plain_json(metadata),
        )

    return Family(
        name=name,
        about=about,
        draw=lambda rng, size, _: item(size, rng.randrange(POOL)),
        sizes=sizes,
        longer=longer,
        grader=Grader(kind="reasoning_gym", dataset=name),
        answer="answer: {}",
        wordings=1,
    )


def _sum(
    metadata: Mapping[str, Any],
) -> tuple[Callable[[Change], Work], tuple[str, ...], bool]:
    first, *rest = metadata["expression"].split()
    pairs = list(zip(rest[::2], rest[1::2], strict=True))

    def work(change: Change) -> Work:
        value, steps = int(first), []
        for i, (sign, number) in enumerate(pairs):
            before = value
            value = int(change(i, str(value + int(number) if sign == "+" else value - int(number))))
            steps.append(Said(f"{before} {sign} {number} = {value} ;", str(value)))
        return Work(tuple(steps), str(value))

    return work, numbers(-9, 18), int(first) % 2 == 1


def _backward(
    metadata: Mapping[str, Any],
) -> tuple[Callable[[Change], Work], tuple[str, ...], bool]:
    word = metadata["word"]

    def work(change: Change) -> Work:
        letters = [change(i, letter) for i, letter in enumerate(reversed(word))]
        return Work(tuple(Said(f"{letter} ;", letter) for letter in letters), "".join(letters))

    return work, tuple("abcdefghijklmnopqrstuvwxyz"), word[0] < "m"


@cache
def _legs_of() -> dict[str, int]:
    return dict(constants_of("leg_counting")["ANIMALS"])


def _legs(
    metadata: Mapping[str, Any],
) -> tuple[Callable[[Change], Work], tuple[str, ...], bool]:
    animals, legs_of = list(metadata["animals"].items()), _legs_of()

    def work(change: Change) -> Work:
        total = 0
        steps: list[Said] = []
        for animal, count in animals:
            legs = change(len(steps), str(count * legs_of[animal]))
            steps.append(Said(f"{count} {animal} {legs} ;", legs))
            if len(steps) == 1:
                total = int(legs)
                continue
            before, total = total, int(change(len(steps), str(total + int(legs))))
            steps.append(Said(f"{before} + {legs} = {total} ;", str(total)))
        return Work(tuple(steps), str(total))

    return work, numbers(0, 40), animals[0][0] < "g"


CHAIN_SUM = _family(
    "chain_sum",
    "Sums and differences of small numbers.",
    lambda size: {"min_terms": size, "max_terms": size, "min_digits": 1, "max_digits": 1},
    _sum,
    (3, 4),
    (5,),
    lambda metadata, rng: numbers(-9, 18),
)
BACKWARD = _family(
    "spell_backward",
    "Words spelled backward.",
    lambda size: {"min_word_len": size, "max_word_len": size},
    _backward,
    (3, 4),
    (5,),
    lambda metadata, rng: tuple(
        "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in metadata["word"]) for _ in range(8)
    ),
)
LEGS = _family(
    "leg_counting",
    "Legs of animals, counted together.",
    lambda size: {"min_animals": size, "max_animals": size, "min_instances": 1, "max_instances": 2},
    _legs,
    (2,),
    (3,),
    lambda metadata, rng: numbers(0, 40),
)
