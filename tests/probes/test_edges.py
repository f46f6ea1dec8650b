"""Hard cases: each ends in a right answer, or in an error that says what is wrong; and planted directions."""

import pytest
import torch

from tests.checker import signatures_unchecked
from tests.probe_problems import CHOOSING, CLASSIFIERS, close, tensors
from undertext.activations.errors import UserError
from undertext.probes import LogisticProbe, LogisticProbeCV, MeansProbe, RidgeProbe

ALL = CLASSIFIERS | CHOOSING


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_planted_direction_is_found(name, dtype):
    generator = torch.Generator().manual_seed(0)
    direction = torch.nn.functional.normalize(torch.randn(24, generator=generator, dtype=dtype), dim=0)
    y = torch.arange(3000) % 2
    X = torch.randn(2, 3000, 24, generator=generator, dtype=dtype) + 5
    X[1] += 2 * (2 * y - 1)[:, None] * direction
    probe = ALL[name]().fit(X, y)
    assert probe.direction_[1, 1] @ direction > 0.95
    assert probe.direction_[1, 0] @ direction < -0.95
    assert abs(probe.direction_[0, 1] @ direction) < 0.6
    score = probe.score(X, y)
    assert score[1] > 0.95
    assert score[0] < 0.6
    assert probe.coef_.dtype == dtype


def test_ridge_finds_a_planted_direction():
    generator = torch.Generator().manual_seed(0)
    direction = torch.nn.functional.normalize(torch.randn(24, generator=generator), dim=0)
    X = torch.randn(2000, 24, generator=generator) + 5
    value = X @ direction + 0.5 * torch.randn(2000, generator=generator)
    assert RidgeProbe().fit(X, value).direction_ @ direction > 0.95


@pytest.mark.parametrize("name", ALL)
def test_classes_far_apart_are_read_without_a_mistake(name):
    X, y = tensors(60, 4, 3, 0)
    X = X / X.std(0)
    X = torch.cat([X, 100 * torch.nn.functional.one_hot(y)], 1)
    probe = ALL[name]().fit(X, y)
    assert probe.coef_.isfinite().all()
    assert probe.score(X, y) == 1


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_constant_feature_changes_nothing(name, dtype):
    X, y = tensors(60, 4, 3, 1)
    X = (X / X.std(0)).to(dtype)
    wide = torch.cat([X, torch.full_like(X[:, :1], 1e3)], 1)
    found, wanted = ALL[name]().fit(wide, y), ALL[name]().fit(X, y)
    if "lda" not in name:  # shrinks towards the mean variance, over all features
        close(found.predict_proba(wide), wanted.predict_proba(X), 1e-3)
    assert found.coef_[:, -1].abs().max() <= 1e-6 * found.coef_.abs().max()
    assert found.score(wide, y) > 0.4


@pytest.mark.parametrize("name", ALL)
def test_columns_twice_are_read_as_well(name):
    X, y = tensors(80, 4, 3, 2)
    wide = torch.cat([X, X], 1)
    probe = ALL[name]().fit(wide, y)
    close(probe.coef_[:, :4], probe.coef_[:, 4:])
    assert probe.score(wide, y) >= ALL[name]().fit(X, y).score(X, y) - 0.05


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_more_features_than_rows(name, dtype):
    X, y = tensors(30, 100, 2, 3)
    probe = ALL[name]().fit(X.to(dtype), y)
    assert probe.coef_.isfinite().all()
    assert probe.score(X.to(dtype), y) > 0.7


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_sizes_far_from_one_in_float32(name, scale):
    X, y = tensors(80, 4, 3, 4)
    X = (X / X.std(0)).float()
    found, wanted = ALL[name]().fit(scale * X, y), ALL[name]().fit(X, y)
    close(found.predict_proba(scale * X), wanted.predict_proba(X), 1e-3)


@pytest.mark.parametrize("name", ALL)
def test_what_cannot_be_fitted_is_refused(name):
    X, y = tensors(40, 4, 3, 5)
    for value in (float("nan"), float("inf")):
        broken = X.clone()
        broken[7, 2] = value
        with pytest.raises(UserError, match="NaN or infinity"):
            ALL[name]().fit(broken, y)
    with pytest.raises(UserError, match="two classes or more"):
        ALL[name]().fit(X, torch.full((40,), -3))
    with pytest.raises(UserError, match="two classes or more"):
        ALL[name]().fit(X, y, (y == 1).double())
    for weight in (torch.zeros(40), torch.full((40,), float("nan")), -torch.ones(40)):
        with pytest.raises(UserError, match="weights must be finite, none negative and some positive"):
            ALL[name]().fit(X, y, weight)
    told = r"a weight for each row, \[40\], got \[39\]"
    with signatures_unchecked(), pytest.raises(UserError, match=told):
        ALL[name]().fit(X, y, torch.ones(39))
    with pytest.raises(UserError, match="nothing to fit"):
        ALL[name]().fit(X[:0], y[:0])


@pytest.mark.parametrize("name", ["lda, fixed", "lda, auto"])
def test_one_row_of_each_class_says_nothing_about_spread(name):
    X, _ = tensors(3, 4, 3, 0)
    with pytest.raises(UserError, match="do not vary within classes"):
        ALL[name]().fit(X, torch.arange(3))


@pytest.mark.parametrize("probe", [LogisticProbe(C=10.0), MeansProbe()])
def test_one_row_of_each_class_is_enough_where_no_spread_is_asked_for(probe):
    X, _ = tensors(4, 6, 4, 0)
    y = torch.tensor([9, -2, 4, 0])
    assert torch.equal(probe.fit(X, y).predict(X), y)


def test_a_class_that_one_fold_has_alone():
    X, y = tensors(60, 4, 3, 6)
    groups = torch.arange(60) % 4
    y = torch.where(groups == 2, 2, y % 2)
    probe = LogisticProbeCV(Cs=[0.1, 1.0], cv=4).fit(X, y, groups=groups)
    assert probe.coef_.isfinite().all()
    # Trained without the class, the fold that holds it reads none of it right; it counts.
    assert probe.scores_.isfinite().all()
    assert (probe.scores_ == 0).all(0).sum() == 1
    assert (
        LogisticProbeCV(Cs=[0.1, 1.0], cv=4, scoring="log_loss")
        .fit(X, y, groups=groups)
        .scores_.isfinite()
        .all()
    )


def test_a_fold_trained_on_one_class_is_left_out():
    X, _ = tensors(60, 4, 3, 6)
    groups = torch.arange(60) % 3
    y = 1 * (groups == 2) * (torch.arange(60) % 2)  # all of class 1 in one group
    probe = LogisticProbeCV(Cs=[0.1, 1.0], cv=3).fit(X, y, groups=groups)
    assert probe.scores_.isnan().all(0).sum() == 1
    assert probe.scores_.isfinite().all(0).sum() == 2
    assert probe.coef_.isfinite().all()
    with pytest.raises(UserError, match="no fold's training rows show two classes"):
        LogisticProbeCV(cv=2).fit(X[:40], 1 * (torch.arange(40) % 2), groups=torch.arange(40) % 2)
