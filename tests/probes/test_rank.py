"""Closed forms of inputs that lack full rank: the answer of scikit-learn or of a pseudoinverse, however they
are rounded."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from sklearn.covariance import ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from tests.probe_problems import close
from undertext.activations.errors import UserError
from undertext.probes import LDAProbe, LowRankProbe, MeansProbe, RidgeProbe, RidgeProbeCV, leace, procrustes
from undertext.probes.logistic_cv import first_best
from undertext.probes.rank import full_rank, tolerance

SEEDS = range(20)
BOTH = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
KINDS = ("repeated", "sums", "hidden", "constant", "constant in classes", "turned", "wide")
KIND = pytest.mark.parametrize("kind", KINDS)
CERTAIN = ("constant in classes", "turned", "wide")
"""Where classes differ in a direction in which no row varies about its class's mean."""


def hidden(d: int) -> torch.Tensor:
    """Kahan's (1966) triangle, whose last column lies among the others: no pivot of the columns' Gram matrix
    is small but for the last, which is zero plus rounding, tens of thousands of times over."""
    sine, cosine = 0.75**0.5, 0.5
    above = torch.triu(torch.ones(d, d, dtype=torch.float64), 1)
    made = sine ** torch.arange(d)[:, None] * (torch.eye(d, dtype=torch.float64) - cosine * above)
    made[-1, -1] = 0
    return made


def rows(kind: str, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Singular float64 features [seed, n, d] of different scales and means, and labels they depend on."""
    n, d = {"wide": (20, 40), "hidden": (60, 16)}.get(kind, (60, 4))
    y = torch.arange(n) % classes
    made = []
    for seed in SEEDS:
        generator = torch.Generator().manual_seed(seed)

        def normal(*size: int, generator: torch.Generator = generator) -> torch.Tensor:
            return torch.randn(*size, generator=generator, dtype=torch.float64)

        X = (normal(n, d) + 0.7 * normal(classes, d)[y]) * torch.linspace(0.5, 3, d) + normal(d)
        if kind == "repeated":
            X = torch.cat([X, X[:, :2]], 1)
        if kind == "sums":
            X = torch.cat([X, X[:, :1] + X[:, 1:2], X[:, 2:3] - 2 * X[:, 3:4]], 1)
        if kind == "hidden":
            X = X @ hidden(d)
        if kind == "constant":
            X = torch.cat([X, torch.full_like(X[:, :1], 1e3 / 3)], 1)
        if kind in ("constant in classes", "turned"):
            X = torch.cat([X, 100 * torch.nn.functional.one_hot(y) / 3], 1)
        if kind == "turned":
            X = X @ torch.linalg.qr(normal(7, 7)).Q
        made.append(X)
    return torch.stack(made), y


@BOTH
@KIND
@pytest.mark.parametrize("shrinkage", ["auto", None])
def test_lda_is_scikit_learns(kind, shrinkage, dtype):
    # Where nothing is shrunk and the classes are told apart for certain, scikit-learn leaves out what tells
    # them; ours goes on as with ever less shrinkage.
    least = 1e-6 if shrinkage is None and kind in CERTAIN else shrinkage
    X, y = rows(kind)
    probe = LDAProbe(shrinkage=shrinkage).fit(X.to(dtype), y)
    predicted, proba = probe.predict(X.to(dtype)), probe.predict_proba(X.to(dtype))
    for seed in SEEDS:
        Z = StandardScaler().fit_transform(X[seed])
        wanted = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=least).fit(Z, y)
        assert predicted[seed].tolist() == wanted.predict(Z).tolist()
        if kind not in CERTAIN or shrinkage == "auto":
            close(proba[seed], wanted.predict_proba(Z), 1e-3 if dtype == torch.float32 else 1e-6)
    if kind in CERTAIN:
        assert (probe.score(X.to(dtype), y) == 1).all()


@BOTH
@pytest.mark.parametrize("standardize", [True, False])
def test_the_share_shrunk_is_ledoit_and_wolfs_where_features_are_constant_in_classes(dtype, standardize):
    X, y = rows("constant in classes")
    X[:, :, 1] = torch.where(y == 1, 0.3, X[:, :, 1])  # constant in one of the classes
    probe = LDAProbe(standardize=standardize).fit(X.to(dtype), y)
    proba = probe.predict_proba(X.to(dtype))
    for seed in SEEDS:
        wanted = [ledoit_wolf(StandardScaler().fit_transform(X[seed, y == c]))[1] for c in range(3)]
        close(probe.shrinkage_[seed], wanted, 1e-4 if dtype == torch.float32 else 1e-9)
        Z = StandardScaler().fit_transform(X[seed]) if standardize else X[seed].numpy()
        peer = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(Z, y)
        close(proba[seed], peer.predict_proba(Z), 1e-3)


def test_a_factor_tells_its_rank_where_pivots_do_not():
    """Of a matrix with pivots of a thousandth and an eigenvalue of a hundred-millionth."""
    columns = hidden(16)
    columns[-1, -1] = 0.03
    eigenvalues = np.linalg.eigvalsh((columns.T @ columns).numpy())
    assert 1e-8 < eigenvalues[0] < 1e-7
    scales = torch.logspace(-3, 3, 16, dtype=torch.float64)  # of features, which change no rank
    for dtype, least, shown in [
        (torch.float64, 0.0, True),
        (torch.float64, 1e-8, False),  # as rounding of the rows may make as much
        (torch.float32, 0.0, False),
    ]:
        factor = (columns * scales).T[None].to(dtype)
        pivots, diagonal = factor.diagonal(dim1=-2, dim2=-1).square(), factor.square().sum(-1)
        assert (pivots > 4e-4 * diagonal).all()
        assert full_rank(factor, torch.zeros(1), diagonal, least) == shown


def test_lda_of_classes_very_far_apart_keeps_what_varies_within_them():
    """Within classes features vary by a hundred-millionth of what they do in all, and it still tells."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(90) % 3
    X = torch.randn(20, 90, 2, generator=generator, dtype=torch.float64)
    X[..., 0] += 5.0 * (y == 2)
    X += 1e8 * (y == 0)[:, None]
    assert (LDAProbe(shrinkage=None).fit(X, y).score(X, y) >= 0.95).all()


@pytest.mark.parametrize("shrinkage", ["auto", 0.2, None])
def test_lda_refuses_rows_that_vary_by_rounding_alone(shrinkage):
    y = torch.arange(12) % 3
    X = torch.full((12, 3), 0.1, dtype=torch.float64) + y[:, None] / 7
    with pytest.raises(UserError, match="do not vary within classes"):
        LDAProbe(shrinkage=shrinkage).fit(X, y)


def least_squares(Z: np.ndarray, values: np.ndarray, alpha: float) -> np.ndarray:
    """Weights [d, target] of centred features: by scikit-learn, or by the pseudoinverse where the penalty is
    too small for scikit-learn to tell rounding from it."""
    if alpha >= 1e-3:
        return np.asarray(Ridge(alpha=alpha, solver="svd").fit(Z, values).coef_.T)
    return np.asarray(np.linalg.pinv(Z, rcond=1e-10) @ (values - values.mean(0)))


@BOTH
@KIND
@pytest.mark.parametrize(
    ("make", "alpha"),
    [
        (RidgeProbe, 1e-12),
        (RidgeProbe, 1e-3),
        (RidgeProbe, 1.0),
        (lambda alpha: RidgeProbeCV(alphas=[alpha], cv=2), 1e-12),
    ],
)
def test_ridge_is_the_pseudoinverses(kind, alpha, dtype, make: Any):
    X, y = rows(kind)
    values = torch.nn.functional.one_hot(y).double()
    values += 0.1 * torch.randn(values.shape, generator=torch.Generator().manual_seed(0))
    probe = make(alpha=alpha).fit(X.to(dtype), values.to(dtype))
    predicted = probe.predict(X.to(dtype))
    for seed in SEEDS:
        scaler = StandardScaler().fit(X[seed])
        Z = scaler.transform(X[seed])
        W = least_squares(Z, values.numpy(), alpha)
        close(predicted[seed], Z @ W + values.numpy().mean(0), 2e-3 if dtype == torch.float32 else 1e-6)
        # In float32 weights along what hardly varies are known to two digits; what is predicted depends on
        # the others.
        close(probe.coef_[seed], (W / scaler.scale_[:, None]).T, 0.05 if dtype == torch.float32 else 1e-5)


@BOTH
@KIND
def test_leace_is_the_pseudoinverses(kind, dtype):
    X, y = rows(kind)
    Z = torch.nn.functional.one_hot(y).double()
    Zc = Z - Z.mean(0)
    eraser = leace(X.to(dtype), y)
    erased = eraser.apply(X.to(dtype))
    for seed in SEEDS:
        Xc = X[seed] - X[seed].mean(0)
        inverse = np.linalg.pinv((Xc.T @ Xc).numpy(), rcond=1e-9, hermitian=True)
        A = (Xc.T @ Zc).numpy()
        # `W+ P W` in other words: the projection onto the columns of A along what is not correlated with z.
        P = A @ np.linalg.pinv(A.T @ inverse @ A, rcond=1e-9, hermitian=True) @ A.T @ inverse
        close(erased[seed], X[seed].numpy() - Xc.numpy() @ P.T, 1e-4 if dtype == torch.float32 else 1e-8)
    assert (eraser.read != 0).any(-1).sum(-1).tolist() == [2] * len(SEEDS)  # three classes, two directions
    means = torch.stack([erased[:, y == c].mean(1) for c in range(3)])
    size = float(X.abs().max())
    assert (means - means[:1]).abs().max() <= size * (1e-5 if dtype == torch.float32 else 1e-9)


def test_leace_erases_values_of_any_unit():
    X, y = rows("repeated")
    for unit in (1e-20, 1.0, 1e20):
        close(leace(X, unit * (y == 0).double()).apply(X), leace(X, 1 * (y == 0)).apply(X), 1e-9)


@BOTH
def test_leace_refuses_rows_that_vary_by_rounding_alone(dtype):
    with pytest.raises(UserError, match="do not vary"):
        leace(torch.full((60, 3), 0.1, dtype=dtype), torch.arange(60) % 2)


@BOTH
@KIND
def test_procrustes_is_scipys_in_what_it_reaches(kind, dtype):
    X, _ = rows(kind)
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(X.shape[-1], X.shape[-1], generator=generator, dtype=X.dtype)).Q
    Y = X @ turn + 0.01 * X.flip(1)
    R = procrustes(X.to(dtype), Y.to(dtype)).rotation.double()
    # Summed in another order the rows are rounded otherwise: no other answer.
    again = procrustes(X.flip(1).to(dtype), Y.flip(1).to(dtype)).rotation
    for seed in SEEDS:
        close(R[seed].T @ R[seed], np.eye(X.shape[-1]), 1e-5 if dtype == torch.float32 else 1e-10)
        Xc, Yc = (each[seed] - each[seed].mean(0) for each in (X, Y))
        wanted, _ = orthogonal_procrustes(Xc.numpy(), Yc.numpy())
        close(Xc @ R[seed], Xc.numpy() @ wanted, 2e-3 if dtype == torch.float32 else 1e-6)
        close(again[seed], R[seed], 1e-2 if dtype == torch.float32 else 1e-5)


@BOTH
def test_procrustes_turns_nothing_outside_the_rows(dtype):
    for seed in SEEDS:
        generator = torch.Generator().manual_seed(seed)
        X = torch.zeros(30, 9)
        X[:, :4] = torch.randn(30, 4, generator=generator)
        turn = torch.eye(9)
        turn[:4, :4] = torch.linalg.qr(torch.randn(4, 4, generator=generator)).Q
        found = procrustes(X.to(dtype), (X @ turn).to(dtype))
        close(found.rotation, turn, 1e-5)


@BOTH
def test_a_low_rank_probe_reads_repeated_features_as_one(dtype):
    X, y = rows("plain", classes=4)
    X, twice = X[:2], torch.cat([X[:2], X[:2]], -1).to(dtype)
    found = LowRankProbe(rank=2, C=0.1, tol=1e-10).fit(twice, y)
    # Twice the features share a weight between them, at half its square.
    wanted = LowRankProbe(rank=2, C=0.2, tol=1e-10).fit(X, y)
    close(found.predict_proba(twice), wanted.predict_proba(X), 2e-3)
    close(found.basis_ @ found.basis_.mT, np.eye(2)[None].repeat(2, 0), 1e-4)


def test_the_tolerance_lets_through_what_float32_can_tell():
    """A feature that is another with a hundred-thousandth of its deviation added is a second one."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(500, 2, generator=generator)
    near = torch.cat([X[:, :1], X[:, :1] + 1e-5 * X[:, 1:]], 1)
    for Z, rank in ((near, 2), (torch.cat([X, 0.3 * X[:, :1] - X[:, 1:]], 1), 2)):
        centred = Z.double() - Z.double().mean(0)
        size = torch.linalg.eigvalsh(centred.T @ centred)
        assert int((size > tolerance(torch.float32, *Z.shape) * size[-1]).sum()) == rank


@BOTH
@pytest.mark.parametrize("targets", [False, True])
def test_a_score_is_a_count_over_a_count(dtype, targets):
    for n in (3, 10, 49, 60):
        sign = torch.tensor([-1.0, 1.0], dtype=dtype).repeat(n)[:n]
        y = (sign > 0).long()
        labels = torch.stack([y, 1 - y], 1) if targets else y
        probe = MeansProbe().fit(sign[:, None], labels)
        for wrong in range(n):
            shown = torch.where((torch.arange(n) < wrong)[:, None], 1 - labels, labels) if targets else None
            if shown is None:
                shown = torch.where(torch.arange(n) < wrong, 1 - y, y)
            wanted = torch.tensor((n - wrong) / n, dtype=dtype)
            assert (probe.score(sign[:, None], shown) == wanted).all()


@BOTH
def test_all_rows_right_are_one_whatever_they_weigh(dtype):
    for seed in SEEDS:
        weight = torch.rand(101, generator=torch.Generator().manual_seed(seed), dtype=dtype)
        weight[0] = 0
        sign = torch.tensor([-1.0, 1.0], dtype=dtype).repeat(51)[:101]
        y = (sign > 0).long()
        probe = MeansProbe().fit(sign[:, None], y)
        assert probe.score(sign[:, None], y, weight) == 1
        assert probe.score(sign[:, None], 1 - y, weight) == 0
        shown = torch.where(torch.arange(101) < 40, 1 - y, y)
        found = probe.score(sign[:, None], shown, weight)
        assert float(found) == pytest.approx(float(weight[40:].sum() / weight.sum()), rel=1e-5)
        shown = torch.where(torch.arange(101) == 0, 1 - y, y)  # of no weight
        assert probe.score(sign[:, None], shown, weight) == 1


def test_folds_in_another_order_are_as_good_a_strength():
    shares = torch.tensor([[0.3, 0.4, 0.2, 0.1], [0.2, 0.4, 0.3, 0.1], [0.25] * 4], dtype=torch.float64)
    for order in itertools.permutations(range(3)):
        for other in itertools.permutations(range(4)):
            assert first_best(shares[list(order)][:, list(other)]) == 0
    # A better one is better, and a fold that was left out is left out.
    assert first_best(shares + torch.tensor([[0.0], [0.0], [1e-6]])) == 2
    assert first_best(torch.tensor([[torch.nan, 0.5], [torch.nan, 0.6]])) == 1
