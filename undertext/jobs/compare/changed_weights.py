"""Where tuning made it worse: what half of the change undone brings back, and whether a change of this size
can erase anything.

A change that is small beside the weights may hide a capability, and hardly erases one unless it was made for
that. It is small where the stronger checkpoint keeps what it can do under a change of the same size in every
weight, whose direction is drawn. There nothing that fails to open the weaker one tells a capability that is
gone from one that is locked.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from undertext.activations.between import moved_at_random, moved_towards, why_not_between
from undertext.activations.checkpoint import Checkpoint
from undertext.core.resume import Done
from undertext.core.statistics import Clusters, Estimate, Intervals, ratio_intervals
from undertext.core.terms import HALFWAY
from undertext.jobs.compare.guessed import guessed_anew
from undertext.jobs.compare.raw_line import RawLine
from undertext.measures.answers import Answers, greedy
from undertext.measures.decoding.controls import RANDOM_SEED
from undertext.tasks.output_grader import chance_note, chance_right
from undertext.tasks.task import Task


class OtherWeights(NamedTuple):
    """Answers to a split's problems under weights that neither checkpoint has."""

    undone: Answers
    """The weaker's, with half of the change undone."""
    at_random: Answers
    """The stronger's, every weight moved as far as tuning moved it, up or down."""


def ask_other_weights(
    weaker: Checkpoint,
    stronger: Checkpoint,
    task: Task,
    of_stronger: Task,
    split: str,
    batch_size: int,
    seed: int,
    done: Done,
) -> OtherWeights | str:
    """Ask both on a split, or say why no weights lie between the two."""
    if (why := why_not_between(weaker, stronger)) is not None:
        return (
            f"`undone` was not measured, nor whether a change of this size can erase anything, since no "
            f"weights lie between the two: {why}"
        )
    with moved_towards(weaker, stronger, HALFWAY):
        undone = greedy(weaker, task, task.split(split), batch_size=batch_size, progress=done)
    with moved_at_random(stronger, weaker, seed=seed + RANDOM_SEED):
        theirs = of_stronger.split(split)
        at_random = greedy(stronger, of_stronger, theirs, batch_size=batch_size, progress=done)
    return OtherWeights(undone, at_random)


def undone_line(
    own: Answers,
    task: Task,
    split: str,
    weaker: Answers,
    stronger: Answers,
    by_chance: Float[ndarray, " problem"],
) -> RawLine:
    """The line `undone`: accuracy with half of the change undone.

    Its null is what outputs reach that know as much as the weaker's (`guessed_anew`; `by_chance` is what
    those score on other problems). It is less than that of a key, which might leave the weaker's lucky
    answers as they are: other weights guess anew.
    """
    problems, before = task.split(split), weaker.lenient.astype(float)
    chance = chance_right(task, problems, own.texts, own.unfinished)
    cut = own.unfinished
    return RawLine(
        name="undone",
        problems=np.arange(len(problems)),
        clusters=weaker.clusters,
        weaker=own.lenient.astype(float),
        stronger=stronger.lenient.astype(float),
        null=guessed_anew(before, by_chance, chance),
        access="stronger's weights",
        note="recovered gap of the weights midway between the two checkpoints, half of the change undone; "
        "null: the same outputs graded against other problems' answers, over what the weaker knows itself"
        f"{f'; {cut.sum()} of {cut.size} outputs unfinished' if cut.any() else ''}"
        f"{chance_note(task, len(problems))}",
        unaided=before,
        unfinished=cut,
    )


@dataclass(frozen=True, eq=False)
class Withstood:
    """What the stronger checkpoint keeps under a change of the same size: figures of a split's problems."""

    kept: Float[ndarray, " n"]
    """Whether it is right with every weight moved as far as tuning moved it, up or down."""
    whole: Float[ndarray, " n"]
    """Whether it is right as it is."""
    null: Float[ndarray, " n"]
    """What the moved one's outputs score on other problems."""
    clusters: Clusters = None

    def shares(self, weights: Float[ndarray, "resample n"], level: float) -> Intervals:
        """The share of its accuracy over chance that it keeps, in each resample (Fieller's interval)."""
        kept, whole = self.kept - self.null, self.whole - self.null
        return ratio_intervals(kept, whole, weights, level, self.clusters)

    def share(self, level: float) -> Estimate:
        """The same of the problems themselves."""
        n = len(self.kept)
        return self.shares(np.ones((1, n)), level).estimate(n, level)


def withstood(at_random: Answers, of_stronger: Task, split: str, stronger: Answers) -> Withstood:
    """What the stronger keeps, from its answers under the moved weights and its own."""
    problems = of_stronger.split(split)
    null = chance_right(of_stronger, problems, at_random.texts, at_random.unfinished)
    return Withstood(at_random.lenient.astype(float), stronger.lenient.astype(float), null, stronger.clusters)


def too_small(kept: Estimate) -> str:
    """The flag where a change is too small for a verdict that something is there no more."""
    return (
        "small change: nothing that was tried opens the capability, and yet it need not be gone. With every "
        f"weight moved as far as tuning moved it, up or down at random, the base keeps {kept.value:.2f} "
        f"[{kept.low:.2f}, {kept.high:.2f}] of its accuracy over chance: a change of this size can hide a "
        "capability, and erases it only where it was made for that. A short tune on the task would tell"
    )
