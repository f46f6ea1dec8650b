"""Made-up activations and labels for the tests of probes."""

from typing import Any

import numpy as np
import torch

from undertext.probes import LDAProbe, LogisticProbe, LogisticProbeCV, LowRankProbe, MeansProbe

TIGHT: dict[str, Any] = {"tol": 1e-15}

CLASSIFIERS: dict[str, Any] = {
    "logistic": lambda: LogisticProbe(C=0.5, tol=1e-14),
    "logistic, balanced": lambda: LogisticProbe(C=0.5, tol=1e-14, class_weight="balanced"),
    "means": MeansProbe,
    "lda, fixed": lambda: LDAProbe(shrinkage=0.2),
    "lda, auto": lambda: LDAProbe(shrinkage="auto"),
    "low rank": lambda: LowRankProbe(rank=2, C=0.5, tol=1e-13),
}
"""Name -> a classifier that takes sample weights."""

CHOOSING: dict[str, Any] = {"logistic, chosen": lambda: LogisticProbeCV(Cs=(0.01, 1.0), cv=3, tol=1e-14)}


def drawn(n: int, d: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features of very different scales and means, and labels that depend on two of them, noisily."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * rng.uniform(0.01, 50, d) + 10 * rng.normal(size=d)
    Z = (X - X.mean(0)) / X.std(0)
    scores = rng.normal(size=(2, classes))
    y = (Z[:, :2] @ scores + rng.gumbel(size=(n, classes))).argmax(1)
    y[:classes] = range(classes)
    return X, y


def tensors(n: int, d: int, classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The same as float64 tensors [n, d] and [n]."""
    X, y = drawn(n, d, classes, seed)
    return torch.from_numpy(X), torch.from_numpy(y)


def close(found: Any, wanted: Any, tolerance: float = 1e-4) -> None:
    """No further apart than `tolerance` of the largest value wanted."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= tolerance * np.abs(wanted).max()
