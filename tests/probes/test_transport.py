"""Rotated is not gone: probes carried between two sets of activations, and the alignment that does it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes  # type: ignore[import-untyped]  # no types shipped
from scipy.stats import ortho_group  # type: ignore[import-untyped]  # no types shipped

from undertext.activations.errors import UserError
from undertext.probes import Labelled, LogisticProbe, procrustes, transport

WIDTH = 12


def rotation(d: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(ortho_group.rvs(d, random_state=seed)).float()


def weak() -> LogisticProbe:
    return LogisticProbe(C=0.1)


@pytest.fixture(scope="module")
def planted() -> Labelled:
    """One layer with nothing to read, one with a class along two of its directions; unequal spreads."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(900) % 3
    X = torch.randn(2, 900, WIDTH, generator=generator)
    X[1, :, 2] += 4.0 * (y == 1)
    X[1, :, 5] += 4.0 * (y == 2)
    return Labelled(X * torch.linspace(0.5, 2, WIDTH), y, torch.arange(900) // 2)


def test_a_rotated_copy_fails_transport_and_passes_after_procrustes(planted):
    turned = planted.X @ rotation(WIDTH, 1) + 3.0
    found = transport(planted, turned, recipe=weak).accuracy
    assert found["source"][1] > 0.93
    assert found["fresh"][1] > 0.93
    assert found["unchanged"][1] < 0.6
    assert found["shifted"][1] < 0.75
    assert abs(found["aligned"][1] - found["source"][1]) < 0.01
    assert found["mispaired"][1] < 0.6
    assert all(each[0] < 0.45 for each in found.values())


def test_the_same_code_is_read_unchanged(planted):
    noise = 0.1 * torch.randn(planted.X.shape, generator=torch.Generator().manual_seed(5))
    found = transport(planted, planted.X + noise, recipe=weak).accuracy
    assert all(found[name][1] > 0.93 for name in ("unchanged", "shifted", "aligned", "fresh"))


def test_what_is_gone_is_read_by_none(planted):
    gone = torch.randn(planted.X.shape, generator=torch.Generator().manual_seed(6))
    found = transport(planted, gone, recipe=weak).accuracy
    assert found["source"][1] > 0.93
    assert all(found[name][1] < 0.42 for name in ("unchanged", "shifted", "aligned", "mispaired", "fresh"))


def test_a_probe_that_learnt_noise_by_heart_tells_the_target_nothing():
    """More features than rows: the probe knows its own rows' labels, and the target really holds them."""
    generator = torch.Generator().manual_seed(3)
    y = torch.arange(240) % 2
    noise = Labelled(torch.randn(240, 300, generator=generator), y)
    target = torch.randn(240, 300, generator=generator)
    target[:, :20] += 2.0 * y[:, None]
    found = transport(noise, target, recipe=weak).accuracy
    assert found["fresh"] > 0.95
    assert abs(found["source"] - 0.5) < 0.15
    assert abs(found["aligned"] - 0.5) < 0.15


def test_too_few_folds_to_fit_align_and_read_are_refused(planted):
    with pytest.raises(UserError, match="3 folds or more: to fit, to align and to read, got 2"):
        transport(planted, planted.X, recipe=weak, folds=2)


def test_a_moved_mean_is_told_from_a_rotation(planted):
    moved = planted.X + 20 * torch.randn(2, 1, WIDTH, generator=torch.Generator().manual_seed(7))
    found = transport(planted, moved, recipe=weak).accuracy
    assert found["unchanged"][1] < 0.6
    assert abs(found["shifted"][1] - found["source"][1]) < 0.005


def test_a_planted_direction_along_which_little_varies_is_decodable():
    """Nothing else need depend on it: decodable alone says no more."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(800) % 2
    X = torch.randn(800, 20, generator=generator)
    X[:, 11] = 0.01 * (torch.randn(800, generator=generator) + 4 * y)
    found = transport(Labelled(X, y), X, recipe=weak).accuracy
    assert found["source"] > 0.95


def test_the_documentation_shows_what_transport_returns(planted):
    def noise(*shape: int, seed: int) -> torch.Tensor:
        return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))

    targets = {
        "the same, a little noisy": planted.X + 0.1 * noise(2, 900, WIDTH, seed=5),
        "moved": planted.X + 20 * noise(2, 1, WIDTH, seed=7),
        "rotated and moved": planted.X @ rotation(WIDTH, 1) + 3.0,
        "unrelated": noise(2, 900, WIDTH, seed=6),
    }
    text = (Path(__file__).parents[2] / "docs" / "probe_controls.md").read_text()
    table = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")
    ]
    names = next(row for row in table if row[0] == "the target is")[1:]
    shown = {row[0]: [float(cell) for cell in row[1:]] for row in table if row[0] in targets}
    assert set(shown) == set(targets)
    for name, target in targets.items():
        found = transport(planted, target, recipe=weak).accuracy
        assert [float(found[each][1]) for each in names] == pytest.approx(shown[name], abs=0.02)


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
    Y = X @ rotation(9, 3) - 7
    found = procrustes(X[:60], Y[:60])
    torch.testing.assert_close(found.apply(X[60:]), Y[60:], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(found.shift(X[:60]).mean(0), Y[:60].mean(0))


def test_every_row_is_read_on_its_own_fold(planted):
    found = transport(planted, planted.X, recipe=weak, folds=3)
    assert torch.equal(found.source, found.unchanged)
    assert torch.equal(found.source, found.fresh)
    assert (found.source == found.aligned).float().mean() > 0.999


def test_mistakes_are_named(planted):
    with pytest.raises(UserError, match=r"of the same rows, \[2, 900, 12\], got \[2, 899, 12\]"):
        transport(planted, planted.X[:, 1:])
