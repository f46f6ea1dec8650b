"""Procrustes alignment, against scipy's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.stats import ortho_group

from undertext.probes import procrustes


@settings(max_examples=20)
@given(st.integers(2, 30), st.integers(1, 8), st.integers(0, 99))
def test_alignment_is_scipys(n, d, seed):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(2, 3, n, d)) + 5
    found = procrustes(torch.from_numpy(X), torch.from_numpy(Y))
    eye = torch.eye(d, dtype=torch.float64).expand(3, d, d)
    torch.testing.assert_close(found.rotation @ found.rotation.mT, eye)
    for i in range(3):
        x, y = X[i] - X[i].mean(0), Y[i] - Y[i].mean(0)
        R, _ = orthogonal_procrustes(x, y)
        if n > d:  # else it is not unique
            np.testing.assert_allclose(found.rotation[i], R, atol=1e-8)
        error = np.linalg.norm(x @ found.rotation[i].numpy() - y)
        assert error == pytest.approx(np.linalg.norm(x @ R - y))
        np.testing.assert_allclose(
            found.apply(torch.from_numpy(X))[i], x @ found.rotation[i].numpy() + Y[i].mean(0), atol=1e-9
        )


def test_an_alignment_fitted_on_some_rows_holds_on_others():
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(200, 9, generator=generator) * torch.linspace(1, 3, 9)
    Y = X @ torch.from_numpy(ortho_group.rvs(9, random_state=3)).float() - 7
    found = procrustes(X[:60], Y[:60])
    torch.testing.assert_close(found.apply(X[60:]), Y[60:], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(found.shift(X[:60]).mean(0), Y[:60].mean(0))
