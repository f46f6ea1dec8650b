"""What can be read off activations: probes at every layer, their strength chosen on a second set."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from undertext.probes.logistic import LogisticProbe, logistic_path

STRENGTHS = (0.003, 0.03, 0.3)
"""Inverse penalties tried at every layer, on standardised features."""


@dataclass(frozen=True)
class SelectedProbe:
    """Fitted probes, one a layer, each at the strength that reads the choosing set best."""

    probe: LogisticProbe
    """Slices are layers."""
    strengths: Float[Tensor, " layer"]
    accuracy: Float[Tensor, " layer"]
    """On the choosing set."""

    @property
    def layer(self) -> int:
        """Index of the layer that reads the choosing set best; the earliest of equals."""
        return int(self.accuracy.argmax())

    def correct(self, X: Float[Tensor, "layer n d"], y: Int[Tensor, " n"]) -> Bool[Tensor, "layer n"]:
        """Whether each row is read right at each layer."""
        return self.probe.predict(X) == y


def fit_select(
    X: Float[Tensor, "layer n d"],
    y: Int[Tensor, " n"],
    X_choose: Float[Tensor, "layer m d"],
    y_choose: Int[Tensor, " m"],
    *,
    strengths: Sequence[float] = STRENGTHS,
) -> SelectedProbe:
    """Fit every layer at every strength on (X, y); keep each layer's best on (X_choose, y_choose).

    The strongest penalty wins among equals. Raises UserError as `LogisticProbe.fit` does.
    """
    fits = logistic_path(X, y, strengths)
    scores = torch.stack([fit.score(X_choose, y_choose) for fit in fits])
    best = scores.argmax(0)
    layers = torch.arange(len(X))
    # One fit serves as the frame for each layer's best.
    merged = fits[-1]
    merged.n_iter_ = max(fit.n_iter_ for fit in fits)
    merged.coef_ = torch.stack([fit.coef_ for fit in fits])[best, layers]
    merged.intercept_ = torch.stack([fit.intercept_ for fit in fits])[best, layers]
    return SelectedProbe(merged, torch.tensor(sorted(strengths))[best], scores[best, layers])
