"""Intervals over trained models and problems together: the problems of one model depend on one another.

The hierarchical bootstrap draws models with replacement, and within each model drawn its problems (Davison
and Hinkley 1997, section 3.8). Models are few: with k of them the spread of a draw's mean falls short of the
mean's own by `sqrt((k - 1) / k)`, and the normal's quantile of Student's with k - 1 degrees of freedom. So
what models differ by is widened by both factors; the problems' part is left as it is.
"""

from collections.abc import Callable, Sequence
from math import sqrt

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import norm
from scipy.stats import t as student

from undertext.activations.errors import UserError
from undertext.core.statistics import RESAMPLES, Estimate, resample_weights

FEWEST = 2
"""Fewest models that say anything of other models."""


def over_seeds(
    statistic: Callable[[Float[ndarray, "... column"]], Float[ndarray, "..."]],
    models: Sequence[Float[ndarray, "problem column"]],
    *,
    seed: int,
    level: float = 0.95,
) -> Estimate:
    """A figure with its interval over models and their problems; models weigh alike.

    A model's rows are its problems and its columns the conditions, which a resample keeps together.
    `statistic` maps the columns' means [..., column] to [...]; draws in which it is not finite are left out.
    `n` of the estimate counts the problems of all models. Raises UserError for fewer than two models, and for
    a model without problems.
    """
    if len(models) < FEWEST:
        raise UserError(f"expected {FEWEST} models or more for an interval over models, got {len(models)}")
    if not all(len(rows) for rows in models):
        raise UserError("expected problems of every model, got a model without any")
    k = len(models)
    means = np.stack([rows.mean(0) for rows in models])
    centre = means.mean(0)
    # within[model]: what the drawn problems change of a model's means, in each resample.
    within = np.stack(
        [
            (weights @ rows) / weights.sum(-1, keepdims=True) - mean
            for i, (rows, mean) in enumerate(zip(models, means, strict=True))
            for weights in [resample_weights(len(rows), seed * 1009 + i)]
        ]
    )
    drawn = np.random.default_rng([seed, k]).integers(0, k, size=(RESAMPLES, k))
    tail = (1 - level) / 2
    wider = sqrt(k / (k - 1)) * float(student.isf(tail, k - 1) / norm.isf(tail))
    between = wider * (means[drawn].mean(1) - centre)
    problems = within[drawn, np.arange(RESAMPLES)[:, None]].mean(1)
    value = float(statistic(centre))
    draws = np.asarray(statistic(centre + between + problems))
    draws = draws[np.isfinite(draws)]
    n = sum(map(len, models))
    if not len(draws):
        return Estimate(value, float("-inf"), float("inf"), n, level)
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Estimate(value, min(float(low), value), max(float(high), value), n, level)
