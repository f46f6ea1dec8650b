"""The share of a gap that was latent: how much of it some key opens, more than empty outputs would."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from undertext.core.statistics import Clusters, Estimate, among, mean_intervals
from undertext.core.terms import LineName
from undertext.measures.answers import Answers, Samples
from undertext.measures.recovery.search import SteeredAnswers
from undertext.tasks.output_grader import chance_any
from undertext.tasks.task import Task


class Opened(NamedTuple):
    """How much of a gap keys open: what knows nothing of a problem, and solves it."""

    latent: Estimate
    """The share of the gap that keys open otherwise than by chance."""
    by_key: Mapping[LineName, float]
    """The share of the gap that each kind of key opens by itself, chance included."""


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
    """How much of the gap is opened by k of the `samples` of its problems, and by the answers under each
    kind of key to the split's problems, together. `greedy` are the weaker's own answers to these, wrong in
    the gap.

    Outputs that know nothing of a problem are all wrong with probability 1 - c: c is the share of other
    problems, of those whose answer the greedy output does not match either, for which one of them is right.
    So each problem that stays shut stands for 1 / (1 - c) that nothing opens (Horvitz and Thompson 1952), and
    neither more keys nor keys that all guess alike raise the share. `units` are the groups of the split's
    problems.
    """
    problems, rows = task.split(split), np.asarray(gap)
    right: dict[LineName, Bool[ndarray, " problem"]] = {"behaviour": np.any(samples.right[:, :k], axis=1)}
    whole: list[list[str]] = [
        [text for text, cut in zip(texts[:k], cuts, strict=False) if not cut]
        for texts, cuts in zip(samples.texts, samples.unfinished.tolist(), strict=True)
    ]
    for kind, answers in keyed.items():
        right[kind] = answers.lenient[rows]
        for texts, i in zip(whole, gap, strict=True):
            if not answers.unfinished[i]:
                texts.append(answers.texts[i])
    wrong = [[] if greedy.unfinished[i] else [greedy.texts[i]] for i in gap]
    chance = chance_any(task, [problems[i] for i in gap], whole, problems, wrong)
    shut = ~np.any(list(right.values()), axis=0)
    # Where nothing but the problem's own answer is left, one problem in as many would be shut.
    share = 1.0 - shut / np.maximum(1.0 - chance, 1 / len(problems))
    intervals = mean_intervals(share, np.ones((1, len(gap))), level, among(units, rows))
    return Opened(
        intervals.estimate(len(gap), level), {kind: float(each.mean()) for kind, each in right.items()}
    )
