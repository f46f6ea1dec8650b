"""Internal uncertainty against voiced uncertainty, and how well each is calibrated.

Internal: a probe's probability, read at the prompt's last token, that the greedy answer will be wrong. It is
fitted on train, its layer and strength chosen on dev. Voiced: the probability that an output is wrong by its
rate of doubt words alone, by a logistic regression fitted on the same problems. Both are then read on
problems that neither has seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint
from undertext.probes import fit_select

BINS = 10
"""Bins of equal width for the expected calibration error."""
LEAST = 5
"""Fewest right and wrong answers, each, that a reading is fitted on or chosen by."""


@dataclass(frozen=True, eq=False)
class Read:
    """A probability of being wrong, for each problem that is read."""

    wrong: Float[ndarray, " problem"]
    layer: int | None = None
    """The layer that was chosen; None of a reading that has none."""


def enough(*wrong: Bool[ndarray, " _"]) -> bool:
    """Whether each of these sets of answers holds `LEAST` right ones and wrong ones."""
    return all(min(int(each.sum()), int((~each).sum())) >= LEAST for each in wrong)


def internal(
    checkpoint: Checkpoint,
    prompts: tuple[Sequence[str], Sequence[str], Sequence[str]],
    wrong: tuple[Bool[ndarray, " n"], Bool[ndarray, " m"]],
    layers: Sequence[int],
) -> Read:
    """The probe's reading of the third prompts; fitted on the first, chosen on the second."""
    points = [HookPoint(layer, "resid_post") for layer in layers]
    fit, choose, read = (capture(checkpoint, list(each), points).activations for each in prompts)
    labels = [torch.from_numpy(each.astype(np.int64)) for each in wrong]
    chosen = fit_select(fit, labels[0], choose, labels[1])
    best = chosen.layer
    p = chosen.probe.predict_proba(read)[best, :, 1]
    return Read(p.double().cpu().numpy(), layers[best])


def voiced(
    doubt: tuple[Float[ndarray, " n"], Float[ndarray, " m"], Float[ndarray, " k"]],
    wrong: tuple[Bool[ndarray, " n"], Bool[ndarray, " m"]],
) -> Read:
    """What the rate of doubt words says of the third outputs; fitted on the first, chosen on the second.

    Where the first voice none, or all alike, the rate says nothing: every output has the share that is wrong.
    """
    if np.ptp(doubt[0]) == 0:
        return Read(np.full(len(doubt[2]), float(wrong[0].mean())))
    scale = float(doubt[0].std())
    fit, choose, read = (_column(each / scale) for each in doubt)
    labels = [torch.from_numpy(each.astype(np.int64)) for each in wrong]
    probe = fit_select(fit, labels[0], choose, labels[1]).probe
    return Read(probe.predict_proba(read)[0, :, 1].double().numpy())


def brier(p: Float[ndarray, " n"], wrong: Bool[ndarray, " n"]) -> Float[ndarray, " n"]:
    """Squared error of each probability; their mean is the Brier score (Brier 1950)."""
    return (p - wrong.astype(float)) ** 2


def binned(p: Float[ndarray, " n"], wrong: Bool[ndarray, " n"]) -> Float[ndarray, "n bin"]:
    """Of each problem, probability less what was, in the column of the probability's bin, 0 in the others.

    The sum of the absolute means of the columns is the calibration error.
    """
    bins = np.minimum((p * BINS).astype(int), BINS - 1)
    rows = np.zeros((len(p), BINS))
    rows[np.arange(len(p)), bins] = p - wrong.astype(float)
    return rows


def calibration_error(p: Float[ndarray, " n"], wrong: Bool[ndarray, " n"]) -> float | None:
    """Expected calibration error: `sum_b n_b / n |mean p in b - share wrong in b|` over `BINS` bins of equal
    width (Guo et al., arXiv 1706.04599); None of no problems."""
    if not len(p):
        return None
    return float(np.abs(binned(p, wrong).mean(0)).sum())


def area_under_roc(p: Float[ndarray, " n"], wrong: Bool[ndarray, " n"]) -> float | None:
    """Chance that a wrong answer's probability is above a right one's, ties as halves; None without both."""
    a, b = p[wrong], p[~wrong]
    if not len(a) or not len(b):
        return None
    ordered = np.sort(b)
    below, upto = (np.searchsorted(ordered, a, side) for side in ("left", "right"))
    return float((below + upto).sum() / (2 * len(a) * len(b)))


def _column(values: Float[ndarray, " n"]) -> Float[Tensor, "1 n 1"]:
    return torch.from_numpy(values).float()[None, :, None]
