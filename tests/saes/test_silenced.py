"""Features that go on firing and no longer tell what they told."""

import numpy as np
import pytest
import torch

from undertext.saes import FATES, FateCuts, Firings, PairFirings, follow, sort_fates

CUTS = FateCuts(alive=0.0005, gone=0.1, recall=0.5, precision=0.5, correlation=0.5, meaning=0.1)


@pytest.mark.parametrize("size", [0.1, 1.0, 10.0])
def test_firing_without_meaning_is_silence(size):
    """A value's feature; one that fires at as many rows by chance instead; one that tells it elsewhere."""
    n = 4000
    random = np.random.default_rng(2)
    labels = random.integers(0, 4, n)
    told = (labels == 1) * (1 + random.random(n))
    chance = random.permutation(told) * size
    half = told * (random.random(n) < 0.4) * size
    always = np.full(n, size)
    elsewhere = (labels == 2) * (1 + random.random(n)) * size
    base = np.stack([told, told, told, told, told, chance, always], 1)
    tuned = np.stack([told * size, chance, always, half, elsewhere, told * size, told * size], 1)
    firings = PairFirings(Firings.of(torch.tensor(base).float()), Firings.of(torch.tensor(tuned).float()))
    found = [FATES[i] for i in sort_fates(follow(firings, torch.tensor(labels)), CUTS).index]
    assert found == ["kept", "silenced", "silenced", "moved", "moved", "new", "new"]
    unlabelled = [FATES[i] for i in sort_fates(follow(firings), CUTS).index]
    assert unlabelled == ["kept", *["moved"] * 6]


def test_a_feature_that_told_little_is_not_silenced_by_telling_less():
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
