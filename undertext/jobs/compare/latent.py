"""The share of a gap that was latent: how much of it some key opens, more than empty outputs would."""

from collections.abc import Mapping, Sequence
from math import inf, nan
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from undertext.core.statistics import Clusters, Estimate, among, mean_intervals
from undertext.core.terms import LineName
from undertext.measures.answers import Answers, Samples
from undertext.measures.recovery.search import SteeredAnswers
from undertext.tasks.output_grader import chance_any, others_held_against
from undertext.tasks.task import Task

MOST_CHANCE = 0.9
"""Where outputs that know nothing of a problem open it with more than this chance, that it opens says
nothing: no further key is counted that brings a problem of the gap so far."""


class Opened(NamedTuple):
    """How much of a gap keys open: what knows nothing of a problem, and solves it."""

    latent: Estimate
    """The share of the gap that keys open otherwise than by chance; NaN, from -inf to inf, where answers are
    so few that one key alone leaves no room."""
    by_key: Mapping[LineName, float]
    """The share of the gap that each kind of key opens by itself, chance included."""
    counted: tuple[LineName, ...]
    """The kinds of keys that `latent` counts: all, or the best on dev where answers are few."""


def opened(
    samples: Samples,
    k: int,
    keyed: Mapping[LineName, Answers | SteeredAnswers],
    greedy: Answers,
    task: Task,
    split: str,
    gap: Sequence[int],
    level: float,
    units: Clusters = None,
) -> Opened:
    """How much of the gap is opened by the answers under each kind of key to the split's problems, and by
    k of the `samples` of its problems, together. `keyed` has the best on dev first; `greedy` are the weaker's
    own answers, wrong in the gap.

    Outputs that know nothing of a problem are all wrong with probability 1 - c: c is the share of other
    problems, of those whose answer the greedy output does not match either, for which one of them is right;
    the problem itself counts among these. So each problem that stays shut stands for 1 / (1 - c) that nothing
    opens (Horvitz and Thompson 1952), and neither more keys nor keys that all guess alike raise the share. As
    many kinds of keys count as leave room for that. `units` are the groups of the split's problems.
    """
    problems, rows = task.split(split), np.asarray(gap)
    own = [problems[i] for i in gap]
    wrong = [[] if greedy.unfinished[i] else [greedy.texts[i]] for i in gap]
    right: dict[LineName, Bool[ndarray, " problem"]] = {
        **{kind: answers.lenient[rows] for kind, answers in keyed.items()},
        "behaviour": np.any(samples.right[:, :k], axis=1),
    }
    outputs: dict[LineName, list[list[str]]] = {
        kind: [[] if answers.unfinished[i] else [answers.texts[i]] for i in gap]
        for kind, answers in keyed.items()
    }
    outputs["behaviour"] = [
        [text for text, cut in zip(texts[:k], cuts, strict=False) if not cut]
        for texts, cuts in zip(samples.texts, samples.unfinished.tolist(), strict=True)
    ]
    whole: list[list[str]] = [[] for _ in gap]
    counted: list[LineName] = []
    chance = np.zeros(len(gap))
    for kind, texts in outputs.items():
        more = [[*held, *new] for held, new in zip(whole, texts, strict=True)]
        found = chance_any(task, own, more, problems, wrong)
        if (found <= MOST_CHANCE).all():
            whole, chance = more, found
            counted.append(kind)
    by_key = {kind: float(each.mean()) for kind, each in right.items()}
    if not counted:
        return Opened(Estimate(nan, -inf, inf, len(gap), level), by_key, ())
    shut = ~np.any([right[kind] for kind in counted], axis=0)
    others = others_held_against(task, len(problems))
    weight = (1 + others) / (1 + others * (1 - chance))
    # `mean_intervals` takes what lies between -1 and 1, with imagined problems at either end.
    most = float(weight.max())
    shares = mean_intervals(shut * weight / most, np.ones((1, len(gap))), level, among(units, rows))
    closed = shares.estimate(len(gap), level)
    latent = Estimate(
        1 - most * closed.value, 1 - most * closed.high, min(1.0, 1 - most * closed.low), len(gap), level
    )
    return Opened(latent, by_key, tuple(counted))
