"""How much each step of a trace tells of the answer: information gain, in two forms, both reported.

Answer form: `IG_i = log p(answer | question, steps <= i) - log p(answer | question, steps < i)`, in nats,
over the answer's tokens alone. It telescopes: a trace's total is `log p_T - log p_0`.

Published code's form (Wu et al., arXiv 2506.02126): `sum_i (PPL_{i-1} - PPL_i) / (T + 1)`, with the
perplexity over question, steps and answer. It telescopes to `(PPL_0 - PPL_T) / (T + 1)`, and so depends on
length and fluency.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from undertext.measures.trace.along import AnswerAlong
from undertext.measures.trace.trails import Trail


@dataclass(frozen=True, eq=False)
class Gain:
    """What one trace tells of one answer."""

    steps: Float[ndarray, " step"]
    """Answer form, step by step, in nats."""
    total: float
    """Answer form, all steps together; NaN without a step."""
    unsaid: float
    """The same up to the step that says the answer itself; NaN where that is the first step."""
    published_steps: Float[ndarray, " step"]
    """Published code's form, step by step: each fall of the perplexity over T + 1."""
    published: float
    """The published code's form, all steps together; NaN without a step."""
    before: float
    """Probability of the answer before the first step."""
    after: float
    """Probability of the answer after the last step."""


def gain(trail: Trail, read: AnswerAlong, answer: str) -> Gain:
    """The information gain of one trace for the answer that was read along it."""
    steps = np.diff(read.log_probs)
    n = len(steps)
    said = trail.first_says(answer)
    upto = n if said is None else said
    return Gain(
        steps=steps,
        total=float(steps.sum()) if n else np.nan,
        unsaid=float(steps[:upto].sum()) if n and upto else np.nan,
        published_steps=-np.diff(read.perplexities) / (n + 1),
        published=float(read.perplexities[0] - read.perplexities[-1]) / (n + 1) if n else np.nan,
        before=float(read.probability[0]),
        after=float(read.probability[-1]),
    )


def rationalised(gains: Sequence[Gain | None]) -> Float[ndarray, "problem 2"]:
    """Of each problem the answer's probability before the first step and after the last one.

    The rationalisation index is the mean of the first over the mean of the second: the share of the final
    confidence that was there before any step. NaN for a problem without a trace or without a step. Where k
    answers are equally likely the index of a checkpoint that knows nothing beforehand is about 1 / k.
    """
    rows = [
        (each.before, each.after) if each is not None and len(each.steps) else (np.nan, np.nan)
        for each in gains
    ]
    return np.array(rows, float).reshape(-1, 2)
