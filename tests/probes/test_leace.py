"""After LEACE no linear probe reads, and rows are moved as little as can be."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from sklearn.linear_model import LogisticRegression

from tests.checker import signatures_unchecked
from tests.probe_problems import tensors
from undertext.activations.errors import UserError
from undertext.probes import Labelled, LogisticProbe, leace, mean_ablated


def weak() -> LogisticProbe:
    return LogisticProbe(C=0.1)


def clouds(directions: int, seed: int = 0) -> Labelled:
    """Two classes apart along several axes, in one layer of two; another scale on each axis."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(1600) % 2
    X = torch.randn(2, 1600, 10, generator=generator)
    X[1, :, :directions] += 3.0 * y[:, None]
    return Labelled(X * torch.linspace(0.5, 3, 10) + 2, y)


def leace_as_written(X: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """With roots and pseudoinverses taken as the theorem has them."""
    x, z = X - X.mean(0), Z - Z.mean(0)
    W = np.linalg.pinv(sqrtm(x.T @ x / len(x)).real)
    A = W @ (x.T @ z / len(x))
    P = A @ np.linalg.pinv(A, rcond=1e-10)
    return X - x @ (np.linalg.pinv(W) @ P @ W).T


@settings(max_examples=20)
@given(st.integers(0, 99), st.integers(2, 4), st.integers(2, 6))
def test_leace_is_the_theorem_and_leaves_one_mean_to_all_classes(seed, classes, d):
    X, y = tensors(60, d, classes, seed)
    X = torch.stack([X, X @ torch.randn(d, d, dtype=X.dtype, generator=torch.Generator().manual_seed(seed))])
    eraser = leace(X, y)
    found = eraser.apply(X)
    onehot = torch.nn.functional.one_hot(y, classes).double()
    for i in range(2):
        np.testing.assert_allclose(
            found[i], leace_as_written(X[i].numpy(), onehot.numpy()), atol=1e-6 * float(X[i].std() + 1)
        )
        scale = X[i].std(0).max()
        for label in range(classes):
            torch.testing.assert_close(
                found[i][y == label].mean(0) / scale, X[i].mean(0) / scale, atol=1e-9, rtol=1e-9
            )
    torch.testing.assert_close(eraser.apply(found), found)  # nothing is left to erase
    values = leace(X, onehot)  # as values, classes are the same concept
    torch.testing.assert_close(values.apply(X), found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_linear_probe_reads_after_leace(dtype):
    X, y = tensors(400, 8, 3, 1)
    before = LogisticRegression(C=1e4, max_iter=10_000).fit(X / X.std(0), y).score(X / X.std(0), y)
    erased = leace(X.to(dtype), y).apply(X.to(dtype))
    assert erased.dtype == dtype
    Z = ((erased - erased.mean(0)) / erased.std(0)).double().numpy()
    sk = LogisticRegression(C=1e4, max_iter=10_000).fit(Z, y)
    counts = torch.bincount(y)
    assert before > 0.6 > float(counts.max()) / 400
    assert sk.score(Z, y) == pytest.approx(float(counts.max()) / 400, abs=1e-9)
    np.testing.assert_allclose(sk.predict_proba(Z).mean(0), counts / 400, atol=1e-3)
    assert np.abs(sk.coef_).max() < 1e-2


def test_leace_moves_rows_less_than_the_projection_that_erases_as_well():
    rows = clouds(3)
    X = rows.X.double()
    mean = X.mean(-2)
    moved = (leace(X, rows.y).apply(X) - X).square().sum((-2, -1))
    apart = X[:, rows.y == 1].mean(1) - X[:, rows.y == 0].mean(1)
    basis = torch.nn.functional.normalize(apart, dim=-1)[:, None]
    straight = (mean_ablated(X, basis, mean) - X).square().sum((-2, -1))
    assert (moved < 0.999 * straight).all()


def test_leace_holds_on_other_rows_and_beside_several_targets():
    rows = clouds(2)
    both = torch.stack([rows.y, (rows.X[1, :, 7] > 4.0).long()], 1)
    fit, read = torch.arange(1000), torch.arange(1000, 1600)
    erased = leace(rows.X[:, fit], both[fit]).apply(rows.X)
    for target in both.T:
        share = target.float().mean()
        score = weak().fit(erased[:, fit], target[fit]).score(erased[:, read], target[read])
        assert (score < torch.maximum(share, 1 - share) + 0.04).all()
    one = leace(rows.X[:, fit], rows.y[fit]).apply(rows.X)
    assert weak().fit(one[1][fit], both[fit, 1]).score(one[1][read], both[read, 1]) > 0.85


def test_fewer_rows_than_features_and_constant_ones():
    X, y = tensors(20, 30, 2, 0)
    X[:, 4] = 7.0
    found = leace(X, y).apply(X)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found[:, 4], X[:, 4])
    torch.testing.assert_close(found[y == 0].mean(0), found[y == 1].mean(0), atol=1e-6, rtol=1e-6)
    with pytest.raises(UserError, match="do not vary"):
        leace(torch.ones(4, 3), torch.tensor([0, 1, 0, 1]))
    with signatures_unchecked(), pytest.raises(UserError, match="expected activations"):
        leace(X, y[1:])
