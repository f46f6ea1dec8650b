"""What must not change a classifier, and what must change it in a known way; on streams as in memory."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from tests.probe_problems import CHOOSING, CLASSIFIERS, close, tensors
from undertext.activations.errors import UserError
from undertext.probes import LogisticProbe, RidgeProbe, RidgeProbeCV

ALL = CLASSIFIERS | CHOOSING


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=6)
@given(st.integers(0, 99), st.integers(2, 4), st.sampled_from([1e-6, 1.0, 1e6]))
def test_shifting_and_rescaling_all_features_leaves_what_is_read(name, seed, classes, scale):
    X, y = tensors(50, 5, classes, seed)
    shift = torch.linspace(-3, 9, 5, dtype=X.dtype)
    found, moved = ALL[name]().fit(X, y), ALL[name]().fit(scale * (X + shift), y)
    close(moved.predict_proba(scale * (X + shift)), found.predict_proba(X))
    close(moved.direction_, found.direction_, 1e-3)


@pytest.mark.parametrize("name", sorted(set(ALL) - {"means"}))
def test_rescaling_features_apart_leaves_what_is_read(name):
    X, y = tensors(60, 5, 3, 0)
    scales = torch.tensor([1e-6, 1.0, 30.0, 1e6, 0.1], dtype=X.dtype)
    found, moved = ALL[name]().fit(X, y), ALL[name]().fit(scales * X, y)
    close(moved.predict_proba(scales * X), found.predict_proba(X))
    close(moved.coef_ * scales, found.coef_)


@pytest.mark.parametrize("name", CLASSIFIERS)
@settings(max_examples=5)
@given(st.integers(0, 99), st.integers(2, 4))
def test_rows_in_another_order_are_the_same_and_classes_trade_places(name, seed, classes):
    X, y = tensors(50, 5, classes, seed)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(seed))
    found, shuffled = CLASSIFIERS[name]().fit(X, y), CLASSIFIERS[name]().fit(X[order], y[order])
    close(shuffled.predict_proba(X), found.predict_proba(X))
    turned = CLASSIFIERS[name]().fit(X, 7 - 3 * y)  # descending, and not 0, 1, 2
    assert turned.classes_.tolist() == (7 - 3 * found.classes_.flip(0)).tolist()
    close(turned.predict_proba(X).flip(-1), found.predict_proba(X))
    assert torch.equal(turned.predict(X), 7 - 3 * found.predict(X))


@pytest.mark.parametrize("name", CLASSIFIERS)
@settings(max_examples=5)
@given(st.integers(0, 99), st.integers(2, 4))
def test_a_row_twice_is_a_row_of_weight_two_and_none_is_weight_zero(name, seed, classes):
    X, y = tensors(50, 5, classes, seed)
    times = torch.randint(0, 3, (50,), generator=torch.Generator().manual_seed(seed))
    times[:classes] = 2
    rows = torch.arange(50).repeat_interleave(times)
    weighted = CLASSIFIERS[name]().fit(X, y, times.to(X))
    repeated = CLASSIFIERS[name]().fit(X[rows], y[rows])
    close(weighted.predict_proba(X), repeated.predict_proba(X))
    close(weighted.coef_, repeated.coef_)
    torch.testing.assert_close(weighted.score(X, y, times.to(X)), repeated.score(X[rows], y[rows]))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("sizes", [[60], [1, 58, 1], [7] * 8 + [4]])
def test_a_stream_is_read_as_if_it_were_in_memory(name, sizes):
    X, y = tensors(60, 5, 3, 1)
    X = torch.stack([X, 1e3 + X**2])
    if name != "low rank":
        y = torch.stack([y, 1 * (y > 0)], 1)
    weight = torch.linspace(0, 2, 60, dtype=X.dtype)
    held, streamed = ALL[name]().fit(X, y, weight), ALL[name]().fit(X.split(sizes, 1), y, weight)
    close(streamed.predict_proba(X), held.predict_proba(X))
    close(streamed.coef_, held.coef_)


@pytest.mark.parametrize("make", [lambda: RidgeProbe(alpha=2.0), lambda: RidgeProbeCV(cv=3)])
def test_ridge_reads_streams_too(make):
    X, _ = tensors(60, 5, 3, 1)
    values = X[:, :2] @ torch.ones(2, 3, dtype=X.dtype) + torch.sin(X[:, 2:])
    close(make().fit(X.split(11), values).coef_, make().fit(X, values).coef_, 1e-9)


@pytest.mark.parametrize("name", ALL)
def test_a_stream_that_does_not_fit_is_refused(name):
    X, y = tensors(60, 5, 3, 1)
    for batches in (list(X.split(10))[:-1], [*X.split(10), X[:1]], [X[:30], X[30:, :4]], []):
        with pytest.raises(UserError):
            ALL[name]().fit(batches, y)


def test_a_stream_that_ends_after_one_pass_is_refused():
    X, y = tensors(60, 5, 3, 1)
    with pytest.raises(UserError, match="read several times"):
        LogisticProbe().fit(iter(X.split(10)), y)


@pytest.mark.parametrize("name", ALL)
def test_scikit_learns_contract(name):
    X, y = tensors(60, 5, 3, 3)
    probe = ALL[name]()
    with pytest.raises(UserError, match="not fitted yet"):
        probe.predict(X)
    params = dict(probe.get_params())
    assert probe.fit(X, y) is probe
    assert probe.get_params() == params
    copy = clone(probe)
    assert copy.get_params() == params
    assert not hasattr(copy, "coef_")
    assert set(vars(probe)) - set(params) - {"_axes"} <= {name for name in vars(probe) if name.endswith("_")}
    close(copy.fit(X, y).coef_, probe.coef_, 1e-9)
    other, labels = tensors(40, 7, 2, 4)
    close(copy.fit(other, labels).coef_, ALL[name]().fit(other, labels).coef_, 1e-9)  # it forgets
    proba = probe.predict_proba(X)
    torch.testing.assert_close(proba.sum(-1), torch.ones(60, dtype=X.dtype))
    assert torch.equal(probe.predict(X), probe.classes_[proba.argmax(-1)])
    assert float(probe.score(X, y)) == pytest.approx((probe.predict(X) == y).double().mean().item())
    assert probe.score(X, y) > 0.4
    with pytest.raises(UserError, match="has no 'strength'"):
        probe.set_params(strength=3)
    with pytest.raises(UserError, match=r"expected activations \[m, 5\] as in fit, got \[60, 4\]"):
        probe.predict(X[:, :4])
    for key, value in params.items():
        assert ALL[name]().set_params(**{key: value}).get_params() == params
        assert f"{key}=" in repr(probe)
