"""The controls in closed form, and read against them."""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checker import signatures_unchecked
from undertext.activations.errors import UserError
from undertext.probes import Labelled, Surface, control_draws, control_labels, shuffled_draws

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


def test_every_target_and_draw_has_control_labels_of_its_own():
    generator = torch.Generator().manual_seed(1)
    y = torch.randint(-1, 2, (90, 3), generator=generator)
    keys = torch.randint(12, (150,), generator=generator).tolist()
    fit, read = control_draws(y, keys[:90], keys[90:], seeds=(5, 6))
    assert fit.shape == (90, 3, 2)
    for target in range(3):
        for draw, seed in enumerate((5, 6)):
            wanted = control_labels(keys, y[:, target], seed=seed * 3 + target)
            assert torch.equal(fit[:, target, draw], wanted[:90])
            assert torch.equal(read[:, target, draw], wanted[90:])


@settings(max_examples=25)
@given(st.lists(st.integers(0, 7), min_size=12, max_size=40), st.integers(0, 9), st.booleans())
def test_shuffling_keeps_what_is_alike_in_a_problem_together(problems, seed, alike):
    problem = torch.tensor([*problems, 0, 1])
    y = problem % 2 if alike else torch.arange(len(problem)) % 2
    drawn = shuffled_draws(Labelled(torch.randn(len(y), 2), y, problem), seeds=(seed,))[:, 0, 0]
    if bool((y == (problem % 2)).all()):
        pairs = set(zip(problem.tolist(), drawn.tolist(), strict=True))
        assert len(pairs) == len(set(problem.tolist()))
    else:
        assert sorted(drawn.tolist()) == sorted(y.tolist())


def test_mistakes_are_named():
    y = torch.arange(10) % 2
    with pytest.raises(UserError, match="a key for each of 10 rows, got 9"):
        control_draws(y, list(range(9)), [])
    with pytest.raises(UserError, match="one class alone: the fitted rows have 1 distinct keys"):
        control_draws(y, [0] * 10, [0] * 10)
    with signatures_unchecked(), pytest.raises(UserError, match="a problem for each row"):
        Labelled(torch.randn(10, 3), torch.arange(10), torch.arange(9))
    with signatures_unchecked(), pytest.raises(UserError, match="expected activations"):
        Labelled(torch.randn(10, 3), torch.arange(9))
