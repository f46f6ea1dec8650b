"""AUROC and mutual information of every feature, against scikit-learn one feature at a time."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from sklearn.metrics import mutual_info_score, roc_auc_score

from undertext.activations.errors import UserError
from undertext.saes import Firings, label_association

# Few distinct strengths, so that there are ties; 0 is silence.
LEVELS = [0.0, 0.0, 0.0, 0.1, 0.5, 0.5000001, 2.0, 1e-30, 1e30]


@st.composite
def labelled(draw):
    n, d_sae = draw(st.integers(4, 40)), draw(st.integers(1, 5))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    labels = random.integers(-1, draw(st.integers(1, 4)), n)
    labels[:2] = 0, 5
    acts = random.choice(LEVELS, (n, d_sae)) if draw(st.booleans()) else random.exponential(1, (n, d_sae))
    return torch.tensor(acts, dtype=torch.float32), torch.tensor(labels)


def binned(column, bins):
    """0 where silent, else by the share of firings that are weaker."""
    active = column[column > 0]
    return [0 if x == 0 else 1 + int((active < x).sum()) * (bins - 1) // len(active) for x in column]


@given(labelled(), st.integers(2, 5))
def test_as_scikit_learn_says(given, bins):
    acts, labels = given
    found = label_association(Firings.of(acts), labels, bins=bins)
    kept = labels >= 0
    x, y = acts[kept].double().numpy(), labels[kept].numpy()
    assert found.rows == len(y)
    assert found.classes.tolist() == sorted(set(y))
    assert found.entropy == pytest.approx(mutual_info_score(y, y))
    for feature, column in enumerate(x.T):
        for row, value in enumerate(found.classes.tolist()):
            expected = roc_auc_score(y == value, column)
            assert found.auroc[row, feature].item() == pytest.approx(expected, abs=1e-12)
        cells = binned(column, bins)
        plug_in = mutual_info_score(cells, y)
        assert found.plug_in[feature].item() == pytest.approx(plug_in, abs=1e-12)
        used = len(set(cells)) + len(set(y)) - len(set(zip(cells, y, strict=True)))
        miller_madow = plug_in + (used - 1) / (2 * len(y))
        assert found.information[feature].item() == pytest.approx(miller_madow, abs=1e-12)


def test_firing_bits_are_two_bins():
    acts = torch.tensor([[0.0, 1.0], [2.0, 0.5], [0.0, 0.0], [1.0, 3.0]])
    labels = torch.tensor([0, 1, 0, 1])
    found = label_association(Firings.of(acts), labels)
    for feature in range(2):
        bits = (acts[:, feature] > 0).numpy()
        assert found.plug_in[feature].item() == pytest.approx(mutual_info_score(bits, labels))
    assert found.auroc[1].tolist() == [1.0, 0.75]


def test_the_correction_takes_away_what_chance_tells():
    """Features that know nothing: plug-in information is above zero, corrected it is zero on average."""
    noise = torch.Generator().manual_seed(0)
    acts = torch.rand(300, 400, generator=noise) * (torch.rand(300, 400, generator=noise) < 0.5)
    labels = torch.randint(0, 6, (300,), generator=noise)
    found = label_association(Firings.of(acts), labels, bins=4)
    error = float(found.information.std()) / 20
    assert float(found.plug_in.mean()) > 20 * error
    assert abs(float(found.information.mean())) < 4 * error


@pytest.mark.slow
def test_ranks_are_exact_for_many_rows():
    """Half ranks beyond 2^24, which float32 does not hold."""
    n = 2**24 + 4
    strengths = torch.ones(n)
    strengths[-1] = 2.0
    firings = Firings(n, torch.tensor([0, n]), torch.arange(n), strengths)
    labels = torch.zeros(n, dtype=torch.long)
    labels[-1] = 1
    assert label_association(firings, labels).auroc[1].item() == 1.0
    labels[:-1][0] = 1
    expected = (1 + 0.5) / 2  # one above all, one in the tie
    assert label_association(firings, labels).auroc[1].item() == pytest.approx(expected, abs=1e-9)


def test_what_cannot_be_measured_is_refused():
    firings = Firings.of(torch.rand(4, 2))
    with pytest.raises(UserError, match="a label for each of 4 rows, got 3"):
        label_association(firings, torch.tensor([0, 1, 0]))
    with pytest.raises(UserError, match="two labels or more, got 1"):
        label_association(firings, torch.tensor([1, 1, -1, -1]))
    with pytest.raises(UserError, match="two labels or more, got 0"):
        label_association(firings, torch.tensor([-1, -1, -1, -1]))
    with pytest.raises(UserError, match="two bins"):
        label_association(firings, torch.tensor([0, 1, 0, 1]), bins=1)
