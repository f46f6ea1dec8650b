"""Random subspaces are orthonormal and uniform; principal directions are those of numpy's own."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from undertext.activations import UserError
from undertext.probes import principal_directions, random_subspaces


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**31))
@settings(max_examples=30)
def test_random_bases_are_orthonormal_and_the_seed_decides(k: int, d: int, seed: int) -> None:
    if k > d:
        with pytest.raises(UserError, match=f"from 1 to {d} of them, got {k}"):
            random_subspaces(3, k, d, seed=seed)
        return
    bases = random_subspaces(3, k, d, seed=seed)
    assert bases.shape == (3, k, d)
    torch.testing.assert_close(bases @ bases.mT, torch.eye(k).expand(3, k, k), atol=1e-5, rtol=0)
    assert torch.equal(bases, random_subspaces(3, k, d, seed=seed))
    if k < d:
        assert not torch.allclose(bases[0].T @ bases[0], bases[1].T @ bases[1], atol=1e-3)


def test_random_subspaces_are_uniform() -> None:
    # Of a uniform subspace, the share of a fixed direction in it follows Beta(k / 2, (d - k) / 2).
    k, d, n = 3, 8, 20_000
    bases = random_subspaces(n, k, d, seed=0)
    direction = torch.nn.functional.normalize(torch.linspace(-1, 2, d), dim=0)
    share = (bases @ direction).square().sum(1)
    a, b = k / 2, (d - k) / 2
    variance = a * b / ((a + b) ** 2 * (a + b + 1))
    assert abs(float(share.mean()) - k / d) < 5 * (variance / n) ** 0.5
    assert abs(float(share.var()) / variance - 1) < 0.05
    mean_projection = (bases.mT @ bases).mean(0)
    torch.testing.assert_close(mean_projection, torch.eye(d) * k / d, atol=0.015, rtol=0)


@given(st.integers(2, 6), st.integers(1, 9), st.integers(0, 2**31))
@settings(max_examples=30)
def test_principal_directions_are_those_of_the_centred_vectors(classes: int, d: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(2, classes, d)) + 5
    found = principal_directions(torch.from_numpy(vectors)).numpy()
    r = min(classes - 1, d)
    assert found.shape == (2, r, d)
    for basis, of in zip(found, vectors, strict=True):
        centred = of - of.mean(0)
        assert np.allclose(basis @ basis.T, np.eye(r))
        # All differences lie in the span, and the first direction carries the most of any.
        assert np.allclose(centred @ basis.T @ basis, centred)
        sizes = np.linalg.norm(centred @ basis.T, axis=0)
        assert np.allclose(sizes, np.linalg.svd(centred, compute_uv=False)[:r])


def test_one_class_has_no_directions() -> None:
    with pytest.raises(UserError, match=r"two classes or more, got \[1, 4\]"):
        principal_directions(torch.ones(1, 4))
