"""Kinds of probe by name, each fitted to every layer at once, and how they read."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from probes import LDAProbe, MeansProbe, read
from probes.estimator import Classifier
from undertext.probing.config import ProbeKind


class Fitted(NamedTuple):
    """Fitted probes, one a layer."""

    coef: Float[Tensor, "layer class d"]
    intercept: Float[Tensor, "layer class"]
    classes: Int[Tensor, " class"]
    strength: Float[Tensor, " layer"]
    """Inverse penalty; NaN for a kind that has none."""
    layer: int
    """Index of the layer that reads dev best; the earliest of equals."""

    def right(self, X: Float[Tensor, "layer n d"], y: Int[Tensor, " n"]) -> Bool[Tensor, "layer n"]:
        """Whether each row is read right at each layer."""
        logits = X @ self.coef.mT + self.intercept[:, None]
        return self.classes[logits.argmax(-1)] == y


Fit = Callable[[Tensor, Tensor, Tensor, Tensor, Sequence[float]], Fitted]
"""From activations and labels of train, then of dev, and strengths."""


def _logistic(X: Tensor, y: Tensor, X_dev: Tensor, y_dev: Tensor, strengths: Sequence[float]) -> Fitted:
    found = read(X, y, X_dev, y_dev, strengths=strengths)
    probe = found.probe
    return Fitted(probe.coef_, probe.intercept_, probe.classes_, found.strengths, found.layer)


def _means(X: Tensor, y: Tensor, X_dev: Tensor, y_dev: Tensor, strengths: Sequence[float]) -> Fitted:
    return _without_strength(MeansProbe().fit(X, y), X_dev, y_dev)


def _lda(X: Tensor, y: Tensor, X_dev: Tensor, y_dev: Tensor, strengths: Sequence[float]) -> Fitted:
    return _without_strength(LDAProbe().fit(X, y), X_dev, y_dev)


def _without_strength(probe: Classifier, X_dev: Tensor, y_dev: Tensor) -> Fitted:
    none = torch.full((len(probe.coef_),), float("nan"))
    layer = int(probe.score(X_dev, y_dev).argmax())
    return Fitted(probe.coef_, probe.intercept_, probe.classes_, none, layer)


KINDS: Mapping[ProbeKind, Fit] = {"logistic": _logistic, "means": _means, "lda": _lda}
