"""Judging the shipped zoo: the quickest way to see whether a judge does anything at all."""

from undertext.activations.quiet import quiet
from undertext.core.progress import Progress
from undertext.core.shipped import organisms, zoo
from undertext.jobs.bench.case import Case, Judged
from undertext.jobs.bench.judges import OURS, Judge
from undertext.jobs.bench.run import judge_pair, name_of
from undertext.organisms.folder import read_card
from undertext.tasks.builtin.chain import new_chain

WORLD = "zoo"
"""What the shipped organisms' cases are called."""


def judge_shipped(judge: Judge | None, seed: int) -> list[Judged]:
    """What a judge says of the shipped pairs, on problems drawn by the seed; nothing is kept.

    The pairs count as of the part for tuning: thresholds were fixed with them in sight.
    """
    task, made = new_chain(seed), list[Judged]()
    cards = [card for folder in organisms().values() for card in [read_card(folder)] if card["truth"]]
    with Progress().stage("pairs", len(cards)) as done, quiet():
        for card in cards:
            cases = [
                Case(
                    world=WORLD,
                    family=card["task"],
                    shape=card["shape"],
                    tokenizer="word",
                    seed=card["seed"],
                    part="tuning",
                    organism=card["name"],
                    base=card["parent"],
                    split=split,
                    truth=truth,
                )
                for split, truth in card["truth"].items()
            ]
            name = OURS if judge is None else name_of(judge)
            base, tuned = zoo(card["parent"]), zoo(card["name"])
            made += judge_pair(judge, name, base, tuned, task, cases, seed=seed, out=None)
            done(1)
    return made
