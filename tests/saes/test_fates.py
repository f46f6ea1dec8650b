"""What became of a feature: against scikit-learn and numpy, and on pairs in which it is known."""

import math
import warnings

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from sklearn.metrics import precision_score, recall_score, roc_auc_score

from undertext.activations.errors import UserError
from undertext.saes import FATES, FateCuts, Firings, PairFirings, follow, sort_fates

CUTS = FateCuts(alive=0.0005, gone=0.1, recall=0.5, precision=0.5, correlation=0.5, auroc=0.1)


@st.composite
def pairs(draw):
    n, d_sae = draw(st.integers(2, 30)), draw(st.integers(1, 4))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    rate = draw(st.sampled_from([0.0, 0.2, 0.7, 1.0]))
    acts = random.choice([0.25, 1.0, 3.0], (2, n, d_sae)) * (random.random((2, n, d_sae)) < rate)
    return torch.tensor(acts, dtype=torch.float32), torch.tensor(random.integers(0, 2, n))


def same(found, expected):
    assert (math.isnan(found) and math.isnan(expected)) or found == pytest.approx(expected, abs=1e-6)


@given(pairs())
def test_figures_are_those_of_plain_computations(given):
    acts, labels = given
    labelled = len(labels.unique()) == 2
    found = follow(PairFirings(Firings.of(acts[0]), Firings.of(acts[1])), labels if labelled else None)
    base, tuned = acts.double().numpy()
    for j in range(acts.shape[2]):
        x, y = base[:, j], tuned[:, j]
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            correlation = np.corrcoef(x, y)[0, 1]
            strength = x[x > 0].mean()
        same(found.correlation[j].item(), correlation)
        same(found.strength[0, j].item(), strength)
        same(found.frequency[1, j].item(), (y > 0).mean())
        same(found.precision[j].item(), precision_score(x > 0, y > 0, zero_division=np.nan))
        same(found.recall[j].item(), recall_score(x > 0, y > 0, zero_division=np.nan))
        if labelled:
            assert found.auroc is not None
            same(found.auroc[1, 1, j].item(), roc_auc_score(labels, y))


def firings_of(base, tuned):
    return PairFirings(Firings.of(torch.tensor(base).float()), Firings.of(torch.tensor(tuned).float()))


def planted(n=4000, each=12, seed=0):
    """Features of every fate, and the fates; the strengths in tuned are noisy and of another size."""
    random = np.random.default_rng(seed)
    kinds = [fate for fate in FATES for _ in range(each)]
    base = random.exponential(1, (n, len(kinds))) * (random.random((n, len(kinds))) < 0.05)
    tuned = 1.7 * base * np.exp(0.2 * random.standard_normal(base.shape))
    for j, kind in enumerate(kinds):
        if kind == "moved":
            tuned[:, j] = random.permutation(tuned[:, j])
        if kind in ("silenced", "dead"):
            tuned[:, j] = 0
        if kind in ("new", "dead"):
            base[:, j] = 0
        if kind in ("silenced", "new"):  # it is not quite gone
            weak = tuned if kind == "silenced" else base
            weak[random.integers(0, n, 5), j] = 0.1
    return firings_of(base, tuned), kinds


def test_fates_that_were_planted_are_recognised():
    firings, kinds = planted()
    found = sort_fates(follow(firings), CUTS)
    assert [FATES[i] for i in found.index] == kinds
    assert found.shares() == {"stable": 0.25, "moved": 0.25, "silenced": 0.25, "new": 0.25}
    assert found.features("new").tolist() == list(range(36, 48))


def test_every_cut_counts():
    firings, kinds = planted()
    stable = [j for j, kind in enumerate(kinds) if kind == "stable"]
    gone = [j for j, kind in enumerate(kinds) if kind in ("silenced", "new")]
    fates = follow(firings)
    for name in ("recall", "precision", "correlation"):
        assert not len(sort_fates(fates, CUTS._replace(**{name: 1.01})).features("stable"))
    assert [FATES[i] for i in sort_fates(fates, CUTS._replace(gone=0.001)).index[gone]] == ["moved"] * len(
        gone
    )
    assert set(sort_fates(fates, CUTS._replace(alive=0.5)).index.tolist()) == {FATES.index("dead")}
    assert sort_fates(fates, CUTS._replace(alive=0.5)).shares()["stable"] != 0  # of none: not a number
    assert [FATES[i] for i in sort_fates(fates, CUTS).index[stable]] == ["stable"] * len(stable)


def test_a_feature_that_fires_as_before_and_tells_something_else_has_moved():
    """The strong firings mark the label in the base, the weak ones in tuned; the rows are the same."""
    n = 2000
    random = np.random.default_rng(1)
    fires, labels = random.random(n) < 0.5, random.integers(0, 2, n)
    base = fires * (1 + 0.2 * labels + 0.5 * random.random(n))
    tuned = fires * (1 + 0.2 * (1 - labels) + 0.5 * random.random(n))
    firings = firings_of(base[:, None], tuned[:, None])
    cuts = CUTS._replace(auroc=0.05)
    assert sort_fates(follow(firings), cuts).shares()["stable"] == 1
    assert sort_fates(follow(firings, torch.tensor(labels)), cuts).shares()["moved"] == 1
    unrelated = torch.tensor(random.integers(0, 2, n))
    assert sort_fates(follow(firings, unrelated), cuts).shares()["stable"] == 1


def test_a_feature_that_always_fires_alike_is_stable():
    ones = Firings.of(torch.full((50, 1), 0.3))
    fates = follow(PairFirings(ones, ones))
    assert math.isnan(fates.correlation.item())
    assert sort_fates(fates, CUTS).shares()["stable"] == 1


def test_different_rows_are_refused():
    with pytest.raises(UserError, match=r"got \[4, 2\] of the base and \[5, 2\] of tuned"):
        follow(PairFirings(Firings.of(torch.rand(4, 2)), Firings.of(torch.rand(5, 2))))


@pytest.mark.parametrize("size", [0.1, 1.0, 10.0])
def test_a_feature_that_fires_without_predicting_is_silenced(size):
    """A value's feature; one that fires at as many rows by chance; one that predicts another value."""
    n = 4000
    random = np.random.default_rng(2)
    labels = random.integers(0, 4, n)
    value = (labels == 1) * (1 + random.random(n))
    chance = random.permutation(value) * size
    half = value * (random.random(n) < 0.4) * size
    always = np.full(n, size)
    elsewhere = (labels == 2) * (1 + random.random(n)) * size
    base = np.stack([value, value, value, value, value, chance, always], 1)
    tuned = np.stack([value * size, chance, always, half, elsewhere, value * size, value * size], 1)
    firings = PairFirings(Firings.of(torch.tensor(base).float()), Firings.of(torch.tensor(tuned).float()))
    found = [FATES[i] for i in sort_fates(follow(firings, torch.tensor(labels)), CUTS).index]
    assert found == ["stable", "silenced", "silenced", "moved", "moved", "new", "new"]
    unlabelled = [FATES[i] for i in sort_fates(follow(firings), CUTS).index]
    assert unlabelled == ["stable", *["moved"] * 6]


def test_a_feature_that_predicted_little_is_not_silenced_by_predicting_less():
    n = 20_000
    random = np.random.default_rng(3)
    labels = random.integers(0, 2, n)
    little = (random.random(n) < 0.5 + 0.12 * (labels - 0.5) * 2) * 1.0
    less = (random.random(n) < 0.5 + 0.08 * (labels - 0.5) * 2) * 1.0
    columns = [Firings.of(torch.tensor(each[:, None]).float()) for each in (little, less)]
    firings = PairFirings(columns[0], columns[1])
    fates = follow(firings, torch.tensor(labels))
    assert fates.auroc is not None
    assert fates.auroc[0, 1, 0] > 0.6 > fates.auroc[1, 1, 0]
    assert FATES[sort_fates(fates, CUTS).index[0]] == "moved"
