"""Ridge, discriminant analysis, means and low rank, against scikit-learn and closed forms."""

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import StandardScaler

from tests.checker import signatures_unchecked
from tests.probe_problems import close, tensors
from undertext.activations.errors import UserError
from undertext.probes import (
    LDAProbe,
    LogisticProbe,
    LowRankProbe,
    MeansProbe,
    RidgeProbe,
    RidgeProbeCV,
    folds_of,
)


def values(X: torch.Tensor, targets: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    Z = (X - X.mean(0)) / X.std(0)
    W = torch.randn(X.shape[1], targets, generator=generator, dtype=X.dtype)
    return 3 + Z @ W + torch.randn(len(X), targets, generator=generator, dtype=X.dtype)


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_ridge_is_scikit_learns(standardize, weighted):
    X, _ = tensors(70, 9, 2, 0)
    Y = values(X, 4)
    weight = torch.linspace(0.1, 3, 70, dtype=X.dtype) if weighted else None
    probe = RidgeProbe(alpha=5.0, standardize=standardize).fit(torch.stack([X, X.flip(1)]), Y, weight)
    scaler = StandardScaler(with_mean=standardize, with_std=standardize).fit(X, sample_weight=weight)
    Z = scaler.transform(X)
    wanted = Ridge(alpha=5.0).fit(Z, Y, sample_weight=weight)
    close(probe.coef_[0], wanted.coef_ / (scaler.scale_ if standardize else 1))
    close(probe.coef_[1].flip(-1), probe.coef_[0])
    close(probe.predict(torch.stack([X, X.flip(1)]))[0], wanted.predict(Z))
    each = probe.score(torch.stack([X, X.flip(1)]), Y, weight)
    assert each.shape == (2, 4)
    assert float(each[0].mean()) == pytest.approx(wanted.score(Z, Y, sample_weight=weight))
    torch.testing.assert_close(probe.direction_.norm(dim=-1), torch.ones(2, 4, dtype=X.dtype))
    single = RidgeProbe(alpha=5.0, standardize=standardize).fit(X, Y[:, 1], weight)
    close(single.coef_, probe.coef_[0, 1])
    assert single.predict(X).shape == (70,)
    assert float(single.score(X, Y[:, 1], weight)) == pytest.approx(float(each[0, 1]))


def test_ridge_penalties_are_chosen_by_folds():
    X, _ = tensors(60, 25, 2, 1)
    Y = values(X, 3)
    Y[:, 2] = torch.randn(60, generator=torch.Generator().manual_seed(9), dtype=X.dtype)
    groups = torch.arange(60) // 3
    alphas = [1.0, 1e4, 30.0]
    probe = RidgeProbeCV(alphas=alphas, cv=4).fit(X, Y, groups=groups)
    assert probe.alphas_.tolist() == sorted(alphas, reverse=True)
    fold = folds_of(60, 4, groups=groups)
    for i, alpha in enumerate(probe.alphas_.tolist()):
        for k in range(4):
            fitted = RidgeProbe(alpha=alpha).fit(X[fold != k], Y[fold != k])
            close(probe.scores_[:, i, k], fitted.score(X[fold == k], Y[fold == k]), 1e-8)
    assert len(set(probe.alpha_.tolist())) > 1
    for t in range(3):
        assert probe.alpha_[t] == probe.alphas_[probe.scores_[t].mean(-1).argmax()]
        close(probe.coef_[t], RidgeProbe(alpha=float(probe.alpha_[t])).fit(X, Y[:, t]).coef_, 1e-8)


def test_ridge_where_it_is_hard():
    X, _ = tensors(20, 50, 2, 2)
    X[:, 3], X[:, 4] = 7.0, X[:, 5]
    Y = values(X[:, 5:], 1)[:, 0]
    probe = RidgeProbe(alpha=1e-3).fit(X, Y)
    assert probe.coef_[3] == 0
    assert probe.coef_[4] == pytest.approx(float(probe.coef_[5]))
    assert probe.score(X, Y) > 0.99
    for broken, told in ((Y * float("nan"), "finite values"), (Y[:-1], "expected activations")):
        with pytest.raises(UserError, match=told), signatures_unchecked():
            RidgeProbe().fit(X, broken)
    with pytest.raises(UserError, match="alpha must be positive"):
        RidgeProbe(alpha=0.0).fit(X, Y)
    with pytest.raises(UserError, match="weight zero alone"):
        RidgeProbeCV(cv=2).fit(X, Y, (torch.arange(20) < 10).double(), groups=torch.arange(20) // 10)


@pytest.mark.parametrize("solver", ["lsqr", "eigen"])
@pytest.mark.parametrize("shrinkage", [None, 0.1, 1.0, "auto"])
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("standardize", [True, False])
def test_lda_is_scikit_learns(solver, shrinkage, classes, standardize):
    X, y = tensors(90, 12, classes, 3)
    scaler = StandardScaler(with_mean=standardize, with_std=standardize).fit(X)
    Z = scaler.transform(X)
    wanted = LinearDiscriminantAnalysis(solver=solver, shrinkage=shrinkage).fit(Z, y)
    probe = LDAProbe(shrinkage=shrinkage, standardize=standardize).fit(X, y)
    coef = np.asarray(probe.coef_) * (scaler.scale_ if standardize else 1)
    close(probe.predict_proba(X), wanted.predict_proba(Z))
    if classes == 2:
        close(coef[1:] - coef[:1], wanted.coef_)
    else:
        close(coef - coef.mean(0), wanted.coef_ - wanted.coef_.mean(0))


def test_the_covariances_share_is_ledoit_and_wolfs():
    from sklearn.covariance import ledoit_wolf

    X, y = tensors(80, 15, 3, 4)
    stack = torch.stack([X, X**2])
    probe = LDAProbe().fit(stack, torch.stack([y, 1 * (y > 0)], 1))
    for s in range(2):
        for c in range(3):
            rows = StandardScaler().fit_transform(stack[s][y == c])
            assert float(probe.shrinkage_[s, 0, c]) == pytest.approx(ledoit_wolf(rows)[1], rel=1e-6)
    assert (probe.shrinkage_[:, 1, 2] == 0).all()  # the second target has two of the classes
    assert (probe.intercept_[:, 1, 2] == -torch.inf).all()


def test_lda_of_a_singular_covariance_reads_as_without_what_is_repeated():
    X, y = tensors(90, 5, 3, 5)
    wide = torch.cat([X, X[:, :2], torch.ones_like(X[:, :1])], 1)
    found, wanted = LDAProbe(shrinkage=None).fit(wide, y), LDAProbe(shrinkage=None).fit(X, y)
    close(found.predict_proba(wide), wanted.predict_proba(X))


@pytest.mark.parametrize("shrinkage", [-0.1, 1.5, "some", float("nan")])
def test_shrinkage_is_a_share(shrinkage):
    X, y = tensors(20, 3, 2, 0)
    with signatures_unchecked(), pytest.raises(UserError, match="'auto', None or a number from 0 to 1"):
        LDAProbe(shrinkage=shrinkage).fit(X, y)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_means_send_rows_to_the_nearest_centroid(classes, shift):
    X, y = tensors(2000, 6, classes, 6)
    X = X / X.std(0) + shift
    probe = MeansProbe().fit(X, y)
    peer = NearestCentroid().fit(X - shift, y)
    assert torch.equal(probe.predict(X), torch.from_numpy(peer.predict(X - shift)))
    means = torch.stack([X[y == c].mean(0) for c in range(classes)])
    distances = torch.cdist(X, means).square() / 2
    between = ((means - X.mean(0)).square().sum(-1) * y.bincount() / len(y)).sum()
    logits = probe.decision_function(X)
    close(logits - logits[:, :1], (distances[:, :1] - distances) / between)
    calibrated = LDAProbe(shrinkage=1.0, standardize=False).fit(X, y)
    close(probe.direction_, calibrated.direction_)
    close(MeansProbe().fit(X.float(), y).direction_, probe.direction_, 1e-3)
    if classes == 2:
        difference = torch.nn.functional.normalize(means[1] - means[0], dim=0)
        close(probe.direction_, torch.stack([-difference, difference]), 1e-8)


def test_means_of_a_target_that_lacks_a_class():
    X, y = tensors(60, 5, 3, 2)
    both = MeansProbe().fit(torch.stack([X, X + 5]), torch.stack([y, y.clamp(max=1)], 1))
    alone = MeansProbe().fit(X, y.clamp(max=1))
    close(both.coef_[0, 1, :2], alone.coef_)
    close(both.decision_function(torch.stack([X, X + 5]))[1, :, 1, :2], alone.decision_function(X))
    assert (both.coef_[:, 1, 2] == 0).all()
    assert (both.intercept_[:, 1, 2] == -torch.inf).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_means_that_are_the_same_read_nothing(dtype):
    X = torch.full((12, 4), 3.3, dtype=dtype)
    X[::4] += 1  # in each class alike
    y = torch.arange(12) // 4
    probe = MeansProbe().fit(torch.stack([X, X + y[:, None]]), y)
    assert (probe.coef_[0] == 0).all()
    assert (probe.direction_[0] == 0).all()
    assert (probe.decision_function(torch.stack([X, X]))[0] == 0).all()
    assert (probe.coef_[1] != 0).any()


def test_low_rank_is_the_full_probe_at_full_rank_and_never_better_below():
    X, y = tensors(150, 8, 5, 7)
    stack = torch.stack([X, X.flip(0)])
    full = LogisticProbe(C=0.3, tol=1e-13).fit(stack, y)

    def objective(probe: LogisticProbe | LowRankProbe) -> torch.Tensor:
        chosen = probe.decision_function(stack).log_softmax(-1)[:, torch.arange(150), y]
        weights = probe.coef_ * stack.std(1, unbiased=False)[:, None]
        return -chosen.sum(-1) + weights.square().sum((-2, -1)) / (2 * 0.3)

    last = torch.full((2,), torch.inf, dtype=X.dtype)
    for rank in range(1, 7):
        probe = LowRankProbe(rank=rank, C=0.3, tol=1e-11).fit(stack, y)
        kept = min(rank, 4)
        centred = probe.coef_ - probe.coef_.mean(1, keepdim=True)
        assert (torch.linalg.matrix_rank(centred, rtol=1e-6) == kept).all()
        assert probe.basis_.shape == (2, kept, 8)
        torch.testing.assert_close(
            probe.basis_ @ probe.basis_.mT, torch.eye(kept, dtype=X.dtype).expand(2, -1, -1)
        )
        close(centred @ probe.basis_.mT @ probe.basis_, centred, 1e-6)
        assert (objective(probe) <= last + 1e-6).all()
        assert (objective(probe) >= objective(full) - 1e-6).all()
        last = objective(probe)
    close(probe.coef_, full.coef_)


def test_low_rank_is_stationary_where_it_ends():
    # No small change of either factor lowers the objective: checked by automatic differentiation.
    X, y = tensors(150, 8, 5, 7)
    Z = (X - X.mean(0)) / X.std(0, unbiased=False)
    probe = LowRankProbe(rank=2, C=0.3, tol=1e-13).fit(Z, y)
    U, S, V = torch.linalg.svd(probe.coef_, full_matrices=False)
    left, right = (U[:, :2] * S[:2]).requires_grad_(), V[:2].clone().requires_grad_()
    b = probe.intercept_.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(Z @ (left @ right).T + b, y, reduction="sum")
    (loss + (left @ right).square().sum() / (2 * 0.3)).backward()
    for each in (left, right, b):
        assert each.grad is not None
        assert each.grad.abs().max() < 1e-2


def test_a_rank_below_one_and_many_targets_are_refused():
    X, y = tensors(20, 3, 3, 0)
    with pytest.raises(UserError, match="a rank is at least 1, got 0"):
        LowRankProbe(rank=0).fit(X, y)
    with signatures_unchecked(), pytest.raises(UserError, match=r"labels \[n\] of one target"):
        LowRankProbe().fit(X, y[:, None])
