"""The controls in closed form, and read against them."""

from collections import Counter

import torch
from hypothesis import given
from hypothesis import strategies as st

from undertext.probes import Surface, control_labels

KEYS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=60)


@given(KEYS, st.lists(st.integers(-2, 6), min_size=1, max_size=20), st.integers(0, 50))
def test_a_key_has_one_label_and_it_is_one_of_those_there(keys, labels, seed):
    drawn = control_labels(keys, torch.tensor(labels), seed=seed)
    assert len(set(zip(keys, drawn.tolist(), strict=True))) == len(set(keys))
    assert set(drawn.tolist()) <= set(labels)
    assert torch.equal(drawn, control_labels(keys, torch.tensor(labels), seed=seed))


def test_labels_come_with_the_frequencies_of_the_real_ones_and_differ_by_seed():
    y = torch.tensor([0] * 70 + [1] * 25 + [9] * 5)
    keys = list(range(20_000))
    counts = Counter(control_labels(keys, y, seed=0).tolist())
    for label, share in {0: 0.70, 1: 0.25, 9: 0.05}.items():
        assert abs(counts[label] / len(keys) - share) < 0.015
    assert not torch.equal(control_labels(keys, y, seed=0), control_labels(keys, y, seed=1))


def test_surface_features_by_hand():
    surface = Surface([[5, 5, 8], [5, 8, 3]], window=2, vocabulary=2)  # 5 and 8 are counted, 3 is not
    found = surface.features([[5, 8, 8, 3], [8], [3, 4, 5]])
    counts = [[1, 2, 1], [0, 1, 0], [1, 0, 2]]  # 5, 8, any other
    last = [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    before_last = [[0, 1, 0], [0, 0, 0], [0, 0, 1]]
    lengths = [[4], [1], [3]]
    wanted = [[*a, *b, *c, *d] for a, b, c, d in zip(counts, last, before_last, lengths, strict=True)]
    assert found.tolist() == wanted


@given(st.lists(st.lists(st.integers(0, 40), max_size=30), min_size=1, max_size=6), st.integers(1, 5))
def test_surface_counts_every_token_once(texts, window):
    surface = Surface(texts, window=window, vocabulary=4)
    width = len(surface.index) + 1
    features = surface.features(texts)
    assert features.shape == (len(texts), width * (1 + window) + 1)
    for text, row in zip(texts, features, strict=True):
        assert row[:width].sum() == row[-1] == len(text)
        assert row[width:-1].sum() == min(window, len(text))
        for token, column in surface.index.items():
            assert row[column] == text.count(token)
