"""Subspaces, their angles and CKA against scipy and the formulas as they are written."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import subspace_angles

from tests.checker import signatures_unchecked
from tests.probe_problems import tensors
from undertext.activations.errors import UserError
from undertext.activations.operators import OPERATORS, Parameters
from undertext.probes import (
    LogisticProbe,
    LowRankProbe,
    RidgeProbe,
    linear_cka,
    mean_ablated,
    orthonormal_rows,
    principal_angles,
    span_of,
)


@settings(max_examples=40)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(4, 9), st.integers(0, 99), st.floats(1e-9, 1.0))
def test_angles_are_scipys(k, l, d, seed, near):  # noqa: E741 - as in the formula
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(2, k, d))
    B = rng.normal(size=(2, l, d))
    m = min(k, l)
    B[1, :m] = A[1, :m] + near * B[1, :m]  # small angles, whose cosines have no digits
    found = principal_angles(torch.from_numpy(A), torch.from_numpy(B))
    for i in range(2):
        # scipy takes some of those that are zero by their cosines, to half the digits.
        np.testing.assert_allclose(found[i], subspace_angles(A[i].T, B[i].T), atol=1e-7, rtol=1e-6)


def test_angles_by_hand():
    turn = 0.3
    A = torch.eye(4)[:2]
    B = torch.tensor([[np.cos(turn), 0, np.sin(turn), 0], [0, 0, 0, 1.0]], dtype=torch.float32)
    torch.testing.assert_close(principal_angles(A, B), torch.tensor([np.pi / 2, turn], dtype=torch.float32))
    tiny = torch.tensor([[1, 0, 1e-12, 0], [0, 1, 0, 1e-5]], dtype=torch.float64)
    wanted = torch.tensor([1e-5, 1e-12], dtype=torch.float64).atan()
    torch.testing.assert_close(principal_angles(A.double(), tiny), wanted, atol=1e-16, rtol=1e-4)
    torch.testing.assert_close(principal_angles(A, 5 * A.flip(0) + A[:1]), torch.zeros(2), atol=1e-6, rtol=0)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_span_of_a_probe_is_what_it_reads(classes):
    X, y = tensors(80, 6, classes, 0)
    X = torch.stack([X, X.flip(0)])
    probe = LogisticProbe().fit(X, y)
    basis = span_of(probe)
    assert basis.shape == (2, classes - 1, 6)
    torch.testing.assert_close(basis @ basis.mT, torch.eye(classes - 1).double().expand(2, -1, -1))
    moved = torch.randn(2, 80, 6, dtype=torch.float64)
    blind = X + moved - (moved @ basis.mT) @ basis  # moved outside the span alone
    torch.testing.assert_close(probe.predict_proba(blind), probe.predict_proba(X))
    low = LowRankProbe(rank=1).fit(X, y)
    assert span_of(low).shape == (2, 1, 6)
    ridge = RidgeProbe().fit(X, y)
    torch.testing.assert_close(span_of(ridge)[:, 0].abs(), ridge.direction_.abs())
    many = LogisticProbe().fit(X, torch.stack([y, y.flip(0)], 1))
    assert span_of(many).shape == (2, 2, classes - 1, 6)


def test_mean_ablation_is_the_operator_affine():
    generator = torch.Generator().manual_seed(0)
    X, mean = torch.randn(2, 7, 5, generator=generator), torch.randn(2, 5, generator=generator)
    basis = orthonormal_rows(torch.randn(2, 3, 5, generator=generator))
    found = mean_ablated(X, basis, mean)
    wanted = OPERATORS["affine"](X, torch.ones(2, 7, 1), Parameters(mean, basis, mean))
    torch.testing.assert_close(found, wanted)
    inside = (mean[:, None] @ basis.mT).expand(-1, 7, -1)
    torch.testing.assert_close(found @ basis.mT, inside)
    torch.testing.assert_close(found - (found @ basis.mT) @ basis, X - (X @ basis.mT) @ basis)


def cka_as_written(X: np.ndarray, Y: np.ndarray, debiased: bool) -> float:
    """From Gram matrices: HSIC with centring matrices, or Song and others' unbiased estimate."""
    n = len(X)
    H, one = np.eye(n) - 1 / n, np.ones(n)

    def hsic(K, L):
        if not debiased:
            return np.trace(K @ H @ L @ H)
        K, L = K - np.diag(np.diag(K)), L - np.diag(np.diag(L))
        total = (one @ K @ one) * (one @ L @ one) / ((n - 1) * (n - 2))
        return (np.trace(K @ L) + total - 2 / (n - 2) * one @ K @ L @ one) / (n * (n - 3))

    K, L = X @ X.T, Y @ Y.T
    return float(hsic(K, L) / np.sqrt(hsic(K, K) * hsic(L, L)))


@settings(max_examples=30)
@given(st.integers(5, 25), st.integers(1, 8), st.integers(1, 8), st.integers(0, 99), st.booleans())
def test_cka_is_the_formula_with_gram_matrices(n, d, e, seed, debiased):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(2, n, d)) + 3, rng.normal(size=(4, n, e))
    Y[:, :, 0] += X[0, :, 0]
    found = linear_cka(torch.from_numpy(X)[:, None], torch.from_numpy(Y), debiased=debiased)
    assert found.shape == (2, 4)
    wanted = [[cka_as_written(x, y, debiased) for y in Y] for x in X]
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("debiased", [False, True])
def test_cka_knows_a_rotated_copy_and_the_debiased_one_what_is_unrelated(debiased):
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(40, 300, generator=generator) + 2
    turned = 3 * X @ torch.linalg.qr(torch.randn(300, 300, generator=generator)).Q - 5
    assert float(linear_cka(X, turned, debiased=debiased)) == pytest.approx(1, abs=1e-4)
    other = linear_cka(X, torch.randn(40, 300, generator=generator), debiased=debiased)
    assert abs(other) < 0.1 if debiased else other > 0.8


def test_mistakes_are_named():
    X = torch.randn(6, 4)
    with signatures_unchecked(), pytest.raises(UserError, match="widths 4 and 5"):
        principal_angles(X[:1], torch.randn(1, 5))
    with pytest.raises(UserError, match="2 independent vectors of 4 entries"):
        orthonormal_rows(torch.stack([X[0], 2 * X[0]]))
    with pytest.raises(UserError, match="6 independent vectors of 4 entries"):
        orthonormal_rows(X)
    with pytest.raises(UserError, match="do not vary over rows"):
        linear_cka(X, torch.full((6, 3), 0.1))
    with (
        signatures_unchecked(),
        pytest.raises(UserError, match="2 rows or more that correspond, got 6 and 5"),
    ):
        linear_cka(X, X[1:])
    with pytest.raises(UserError, match="4 rows or more that correspond, got 3 and 3"):
        linear_cka(X[:3], X[:3], debiased=True)
