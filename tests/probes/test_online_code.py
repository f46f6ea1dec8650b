"""The online code against closed forms, and against the fits done one block and strength at a time."""

from math import log2

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tests.probe_problems import tensors
from undertext.activations.errors import UserError
from undertext.probes import Labelled, online_code


def test_one_label_alone_takes_laplaces_rule_of_one_class():
    X = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    found = online_code(Labelled(X, torch.full((100,), 3)), classes=[1, 3, 8], fractions=[0.1, 0.2, 0.5, 1.0])
    wanted = [10 * log2(3), 10 * log2(13 / 11), 30 * log2(23 / 21), 50 * log2(53 / 51)]
    np.testing.assert_allclose(found.block_lengths, wanted, rtol=1e-12)
    assert float(found.length) == pytest.approx(sum(wanted), rel=1e-12)
    assert float(found.uniform) == pytest.approx(100 * log2(3))
    assert float(found.compression) == pytest.approx(100 * log2(3) / sum(wanted))


@settings(max_examples=30)
@given(st.lists(st.integers(0, 3), min_size=8, max_size=60), st.integers(0, 5))
def test_where_x_says_nothing_it_is_laplaces_rule_in_blocks(labels, seed):
    y = torch.tensor([*labels, 0, 1])
    rows = Labelled(torch.full((2, len(y), 3), 7.0, dtype=torch.float64), y)
    found = online_code(rows, seed=seed, fractions=[0.05, 0.3, 0.6, 1.0])
    wanted = torch.zeros(len(y), dtype=torch.float64)
    classes = y.unique()
    assert int(found.classes) == len(classes)
    for block in range(int(found.block.max()) + 1):
        past, now = found.block < block, found.block == block
        for row in now.nonzero()[:, 0]:
            count = int((y[past] == y[row]).sum())
            wanted[row] = -np.log2((count + 1) / (int(past.sum()) + len(classes)))
    torch.testing.assert_close(found.bits, wanted.expand(2, -1), atol=1e-5, rtol=1e-5)


def test_labels_drawn_at_random_do_not_compress_and_planted_ones_do():
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(2000, 20, generator=generator)
    y = torch.stack([torch.randint(4, (2000,), generator=generator), X[:, :4].argmax(1)], 1)
    found = online_code(Labelled(X, y))
    assert found.uniform.tolist() == [4000, 4000]
    assert 0.96 < found.compression[0] < 1
    assert found.compression[1] > 2
    assert found.block_lengths[1, -1] < 1000 * 0.6


def test_it_is_the_code_of_probes_fitted_one_at_a_time():
    X, y = tensors(160, 5, 3, 4)
    both = torch.stack([y, 1 * (y > 0)], 1)
    Cs, fractions = [0.01, 1.0], [0.2, 0.4, 1.0]
    found = online_code(Labelled(X[None], both), Cs=Cs, fractions=fractions, seed=3)
    assert torch.bincount(found.block).tolist() == [32, 32, 96]
    for target, classes in enumerate((3, 2)):
        label, total = both[:, target].numpy(), []
        for C in Cs:
            bits = 32 * log2(classes)
            for block in (1, 2):
                past, now = (found.block < block).numpy(), (found.block == block).numpy()
                scaler = StandardScaler().fit(X[past])
                sk = LogisticRegression(C=C, tol=1e-10, max_iter=10_000)
                sk.fit(scaler.transform(X[past]), label[past])
                p = sk.predict_proba(scaler.transform(X[now]))[np.arange(now.sum()), label[now]]
                bits -= np.log2((past.sum() * p + 1) / (past.sum() + classes)).sum()
            total.append(bits)
        mixed = -logsumexp(-np.log(2) * np.array(total)) / np.log(2) + 1
        assert float(found.length[0, target]) == pytest.approx(mixed, rel=1e-4)
        assert min(total) - 1e-3 <= mixed <= min(total) + 1 + 1e-3


@settings(max_examples=30)
@given(st.lists(st.integers(0, 9), min_size=10, max_size=50), st.integers(0, 9))
def test_no_problem_is_in_two_blocks(problems, seed):
    problem = torch.tensor(problems)
    y = torch.arange(len(problem)) % 2
    rows = Labelled(torch.ones(len(y), 1), y, problem)
    found = online_code(rows, seed=seed, fractions=[0.1, 0.2, 0.5, 1.0], Cs=[1.0])
    pairs = set(zip(problems, found.block.tolist(), strict=True))
    assert len(pairs) == len(set(problems))
    assert set(found.block.tolist()) == set(range(int(found.block.max()) + 1))


def test_a_class_that_comes_late_has_a_finite_code_and_targets_do_not_mix():
    generator = torch.Generator().manual_seed(1)
    X, y = torch.randn(120, 3, generator=generator), torch.arange(120) % 2
    rare = y.clone()
    rare[:2] = torch.tensor([5, 6])
    found = online_code(Labelled(X, torch.stack([y, rare], 1)), Cs=[0.1, 1.0])
    assert found.bits.isfinite().all()
    assert found.classes.tolist() == [2, 4]
    torch.testing.assert_close(
        found.bits[0], online_code(Labelled(X, y), Cs=[0.1, 1.0]).bits, atol=1e-3, rtol=0
    )


def test_mistakes_are_named():
    rows = Labelled(torch.randn(10, 3), torch.zeros(10, dtype=torch.long))
    with pytest.raises(UserError, match="two classes or more"):
        online_code(rows)
    with pytest.raises(UserError, match=r"among the classes \[1, 2\]"):
        online_code(rows, classes=[1, 2])
    for fractions in ([], [0.0, 1.0], [0.5, 0.2, 1.0], [0.5]):
        with pytest.raises(UserError, match="fractions ascending"):
            online_code(rows, fractions=fractions)
    with pytest.raises(UserError, match="expected Cs"):
        online_code(rows, Cs=[])
