"""Kinds of probe by name, each fitted to every layer at once, and how they read."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from undertext.measures.decoding.config import DecodingConfig, ProbeKind
from undertext.probes import (
    Labelled,
    LDAProbe,
    LogisticProbeCV,
    LowRankProbe,
    MeansProbe,
    RidgeProbe,
    RidgeProbeCV,
    fit_select,
    principal_directions,
)


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

    def only(self, layer: int) -> "Fitted":
        """The probe of one layer alone."""
        at = slice(layer, layer + 1)
        return Fitted(self.coef[at], self.intercept[at], self.classes, self.strength[at], 0)

    def span(self, most: int) -> Float[Tensor, "layer k d"]:
        """Orthonormal directions that are read: class - 1 of them, `most` or d if those are fewer."""
        return principal_directions(self.coef)[:, :most]


Fit = Callable[[Labelled, Labelled, DecodingConfig], Fitted]
"""From the rows that are fitted, and those that strength and layer are chosen on."""


def _logistic(rows: Labelled, choose: Labelled, config: DecodingConfig) -> Fitted:
    selected = fit_select(rows.X, rows.y, choose.X, choose.y, strengths=config.strengths)
    probe = selected.probe
    return Fitted(probe.coef_, probe.intercept_, probe.classes_, selected.strengths, selected.layer)


def _logistic_cv(rows: Labelled, choose: Labelled, config: DecodingConfig) -> Fitted:
    probe = LogisticProbeCV(Cs=config.strengths, seed=config.seed)
    probe.fit(rows.X, rows.y, groups=rows.problems)
    return _layer_chosen(probe.coef_, probe.intercept_, probe.classes_, probe.C_, choose)


def _low_rank(rows: Labelled, choose: Labelled, config: DecodingConfig) -> Fitted:
    Cs = sorted(config.strengths)
    fits = [LowRankProbe(rank=config.rank, C=C).fit(rows.X, rows.y) for C in Cs]
    coef, intercept = torch.stack([f.coef_ for f in fits]), torch.stack([f.intercept_ for f in fits])
    return _strength_chosen(coef, intercept, fits[0].classes_, Cs, choose)


def _ridge(rows: Labelled, choose: Labelled, config: DecodingConfig) -> Fitted:
    Cs = sorted(config.strengths)
    return _strength_chosen(*_least_squares(rows, Cs), Cs, choose)


def _ridge_cv(rows: Labelled, choose: Labelled, config: DecodingConfig) -> Fitted:
    Cs = sorted(config.strengths)
    _, indicators = _indicators(rows)
    scores = RidgeProbeCV(alphas=[1 / C for C in Cs], seed=config.seed)
    r_squared = scores.fit(rows.X, indicators, groups=rows.problems).scores_
    # A class that no held-out row of a fold shows has no R squared there. One strength serves all classes of
    # a layer, so that their values can be compared.
    finite = torch.isfinite(r_squared)
    total = torch.where(finite, r_squared, 0.0).sum((1, 3))
    best = (total / finite.sum((1, 3)).clamp(min=1)).argmax(-1)
    coef, intercept, classes = _least_squares(rows, Cs)
    layers = torch.arange(len(best))
    strength = torch.tensor(Cs)[best]
    return _layer_chosen(coef[best, layers], intercept[best, layers], classes, strength, choose)


def _means(rows: Labelled, choose: Labelled, config: DecodingConfig) -> Fitted:
    probe = MeansProbe().fit(rows.X, rows.y)
    return _layer_chosen(probe.coef_, probe.intercept_, probe.classes_, _none(probe.coef_), choose)


def _lda(rows: Labelled, choose: Labelled, config: DecodingConfig) -> Fitted:
    probe = LDAProbe().fit(rows.X, rows.y)
    return _layer_chosen(probe.coef_, probe.intercept_, probe.classes_, _none(probe.coef_), choose)


def _indicators(rows: Labelled) -> tuple[Int[Tensor, " class"], Float[Tensor, "n class"]]:
    classes, codes = rows.y.unique(return_inverse=True)
    return classes, torch.nn.functional.one_hot(codes).to(rows.X)


def _least_squares(rows: Labelled, Cs: Sequence[float]) -> tuple[Tensor, Tensor, Tensor]:
    """Ridge onto a column of ones and zeros a class, the highest of which is predicted: weights [strength,
    layer, class, d], intercepts and classes."""
    classes, indicators = _indicators(rows)
    fits = [RidgeProbe(alpha=1 / C).fit(rows.X, indicators) for C in Cs]
    return torch.stack([f.coef_ for f in fits]), torch.stack([f.intercept_ for f in fits]), classes


def _strength_chosen(
    coef: Float[Tensor, "strength layer class d"],
    intercept: Float[Tensor, "strength layer class"],
    classes: Int[Tensor, " class"],
    Cs: Sequence[float],
    choose: Labelled,
) -> Fitted:
    """Each layer at the strength that reads `choose` best, the strongest penalty among equals."""
    none = _none(coef[0])
    shares = [
        Fitted(c, b, classes, none, 0).right(choose.X, choose.y).double().mean(1)
        for c, b in zip(coef, intercept, strict=True)
    ]
    best, layers = torch.stack(shares).argmax(0), torch.arange(coef.shape[1])
    return _layer_chosen(coef[best, layers], intercept[best, layers], classes, torch.tensor(Cs)[best], choose)


def _layer_chosen(
    coef: Tensor, intercept: Tensor, classes: Tensor, strength: Tensor, choose: Labelled
) -> Fitted:
    probes = Fitted(coef, intercept, classes, strength.float().cpu(), 0)
    return probes._replace(layer=int(probes.right(choose.X, choose.y).double().mean(1).argmax()))


def _none(coef: Float[Tensor, "layer class d"]) -> Float[Tensor, " layer"]:
    return torch.full((len(coef),), float("nan"))


KINDS: Mapping[ProbeKind, Fit] = {
    "logistic": _logistic,
    "logistic_cv": _logistic_cv,
    "ridge": _ridge,
    "ridge_cv": _ridge_cv,
    "low_rank": _low_rank,
    "means": _means,
    "lda": _lda,
}
