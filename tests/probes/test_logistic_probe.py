"""The probe against scikit-learn's own answer, in float64 and converged."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tests.checker import signatures_unchecked
from tests.probe_problems import TIGHT, close, drawn, tensors
from undertext.activations.errors import UserError
from undertext.probes import LogisticProbe, logistic_path


def reference(X: np.ndarray, y: np.ndarray, C: float) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's coefficients and logits on the training rows, features standardised."""
    scaler = StandardScaler().fit(X)
    fitted = LogisticRegression(C=C, tol=1e-12, max_iter=100_000).fit(scaler.transform(X), y)
    return fitted.coef_ / scaler.scale_, fitted.decision_function(scaler.transform(X))


def differences(probe: LogisticProbe, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and logits as scikit-learn has them: of two classes, the second's less the first's."""
    coefficients = probe.coef_[0].numpy()
    logits = probe.decision_function(torch.from_numpy(X)[None])[0].numpy()
    if len(probe.classes_) > 2:
        return coefficients, logits
    return coefficients[1:] - coefficients[:1], logits[:, 1] - logits[:, 0]


@settings(max_examples=25)
@given(
    st.integers(12, 80),
    st.integers(1, 30),
    st.integers(2, 5),
    st.sampled_from([1e-3, 0.1, 1.0, 30.0]),
    st.integers(0, 99),
)
def test_coefficients_and_logits_are_scikit_learns(n, d, classes, C, seed):
    X, y = drawn(n, d + 1, classes, seed)
    probe = LogisticProbe(C=C, **TIGHT).fit(torch.from_numpy(X)[None], torch.from_numpy(y))
    for found, wanted in zip(differences(probe, X), reference(X, y, C), strict=True):
        close(found, wanted)


def test_it_reads_new_rows_as_scikit_learn_does():
    (X, y), (X_new, _) = drawn(200, 12, 4, 0), drawn(300, 12, 4, 1)
    probe = LogisticProbe(C=0.3, **TIGHT).fit(torch.from_numpy(X)[None], torch.from_numpy(y))
    scaler = StandardScaler().fit(X)
    wanted = LogisticRegression(C=0.3, tol=1e-10, max_iter=10_000).fit(scaler.transform(X), y)
    new = torch.from_numpy(X_new)[None]
    assert probe.predict(new)[0].tolist() == wanted.predict(scaler.transform(X_new)).tolist()
    close(probe.predict_proba(new)[0].numpy(), wanted.predict_proba(scaler.transform(X_new)), 1e-4)
    shown = wanted.predict(scaler.transform(X_new))
    assert probe.score(new, torch.from_numpy(shown)).tolist() == [1.0]
    assert probe.score(new, torch.from_numpy((shown + 1) % 4)).tolist() == [0.0]


def test_slices_fitted_together_are_those_fitted_alone():
    # Of scales and difficulties so different that they converge at different steps.
    slices = [drawn(90, 8, 3, seed)[0] * scale for seed, scale in enumerate([1.0, 100.0, 0.01, 1.0])]
    y = torch.from_numpy(drawn(90, 8, 3, 0)[1])
    X = torch.from_numpy(np.stack(slices))
    X[3] = torch.nn.functional.one_hot(y, 8) + 0.01 * X[3]
    together = LogisticProbe(C=3.0, **TIGHT).fit(X, y)
    for i in range(len(X)):
        alone = LogisticProbe(C=3.0, **TIGHT).fit(X[i : i + 1], y)
        torch.testing.assert_close(together.coef_[i], alone.coef_[0], rtol=1e-5, atol=1e-8)
        torch.testing.assert_close(together.intercept_[i], alone.intercept_[0], rtol=1e-5, atol=1e-8)


def test_constant_features_get_nothing_and_copies_share():
    X, y = drawn(120, 4, 3, 2)
    wide = np.concatenate([X, np.full((120, 1), 7.0), X[:, :1], -2 * X[:, :1]], 1)
    probe = LogisticProbe(C=0.5, **TIGHT).fit(torch.from_numpy(wide)[None], torch.from_numpy(y))
    coefficients = probe.coef_[0].numpy()
    assert np.abs(coefficients[:, 4]).max() < 1e-9 * np.abs(coefficients).max()
    # Three copies of a standardised feature under one penalty: equal weights, but for scale and sign.
    np.testing.assert_allclose(coefficients[:, 5], coefficients[:, 0], rtol=1e-4)
    np.testing.assert_allclose(-2 * coefficients[:, 6], coefficients[:, 0], rtol=1e-4)
    varying = np.delete(wide, 4, axis=1)
    close(np.delete(coefficients, 4, axis=1), reference(varying, y, 0.5)[0])


@pytest.mark.parametrize("C", [0.3, 100.0])
@pytest.mark.parametrize("n", [30, 400])
def test_float32_stands_degenerate_features(C, n):
    generator = torch.Generator().manual_seed(0)
    X = 1e3 + torch.randn(2, n, 64, generator=generator)
    X[..., 1] = X[..., 0]
    X[..., 2] = 5e3
    y = (X[0, :, 3] > 1e3).long()
    probe = LogisticProbe(C=C).fit(X, y)
    assert probe.coef_.isfinite().all()
    assert probe.score(X, y)[0] > 0.95


def test_separable_classes_are_read_without_a_mistake_and_stay_finite():
    X = torch.linspace(-3, 3, 40, dtype=torch.float64)[None, :, None]
    y = (X[0, :, 0] > 0.5).long()
    probe = LogisticProbe(C=1e3, **TIGHT).fit(X, y)
    assert probe.score(X, y).tolist() == [1.0]
    close(differences(probe, X[0].numpy())[0], reference(X[0].numpy(), y.numpy(), 1e3)[0])


def test_labels_may_be_any_integers():
    X, y = drawn(80, 6, 3, 3)
    names = torch.tensor([40, -7, 12])[torch.from_numpy(y)]
    probe = LogisticProbe().fit(torch.from_numpy(X)[None], names)
    assert probe.classes_.tolist() == [-7, 12, 40]
    assert (probe.predict(torch.from_numpy(X)[None])[0] == names).float().mean() > 0.4


def test_refitting_forgets():
    (X, y), (X_other, y_other) = drawn(60, 5, 3, 4), drawn(70, 9, 2, 5)
    probe = LogisticProbe(C=0.2).fit(torch.from_numpy(X)[None], torch.from_numpy(y))
    assert probe.fit(torch.from_numpy(X_other)[None], torch.from_numpy(y_other)) is probe
    fresh = LogisticProbe(C=0.2).fit(torch.from_numpy(X_other)[None], torch.from_numpy(y_other))
    for name in ("coef_", "intercept_", "classes_"):
        torch.testing.assert_close(getattr(probe, name), getattr(fresh, name))
    assert (
        probe.get_params() == LogisticProbe(C=0.2).get_params() == {**LogisticProbe().get_params(), "C": 0.2}
    )


def test_directions_have_length_one_and_point_to_their_class():
    X, y = drawn(300, 6, 4, 6)
    stack = torch.from_numpy(np.stack([X, 3 * X]))
    probe = LogisticProbe().fit(stack, torch.from_numpy(y))
    direction = probe.direction_
    assert direction.shape == (2, 4, 6)
    torch.testing.assert_close(direction.norm(dim=-1), torch.ones(2, 4, dtype=torch.float64))
    for label in range(4):
        pushed = stack + 5 * direction[:, label][:, None]
        gain = probe.decision_function(pushed) - probe.decision_function(stack)
        over_mean = gain[..., label] - gain.mean(-1)
        # No other direction of that length would raise the class's logit over the mean as much.
        other = torch.randn(50, 2, 1, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(label))
        other = stack + 5 * torch.nn.functional.normalize(other, dim=-1)
        gains = torch.stack([probe.decision_function(each) for each in other]) - probe.decision_function(
            stack
        )
        assert (gains[..., label] - gains.mean(-1) < over_mean).all()


@settings(max_examples=15)
@given(
    st.integers(20, 80),
    st.integers(1, 12),
    st.integers(2, 4),
    st.sampled_from([None, "balanced", {0: 3.0, 1: 0.2}]),
    st.integers(0, 99),
)
def test_weights_are_scikit_learns(n, d, classes, class_weight, seed):
    X, y = drawn(n, d + 1, classes, seed)
    weight = np.random.default_rng(seed).uniform(0.1, 3, n)
    probe = LogisticProbe(C=0.5, class_weight=class_weight, **TIGHT)
    probe.fit(*map(torch.from_numpy, (X, y, weight)))
    scaler = StandardScaler().fit(X, sample_weight=weight)
    wanted = LogisticRegression(C=0.5, tol=1e-12, max_iter=100_000, class_weight=class_weight)
    wanted.fit(scaler.transform(X), y, sample_weight=weight)
    proba = probe.predict_proba(torch.from_numpy(X)).numpy()
    close(proba, wanted.predict_proba(scaler.transform(X)))
    score = probe.score(*map(torch.from_numpy, (X, y, weight)))
    assert float(score) == pytest.approx(wanted.score(scaler.transform(X), y, sample_weight=weight))


def test_raw_features_are_penalised_where_that_is_asked():
    X, y = drawn(100, 6, 3, 7)
    X = (X - X.mean(0)) * np.array([1, 1e-2, 1e2, 1, 1, 1]) / X.std(0)
    wanted = LogisticRegression(C=0.2, tol=1e-12, max_iter=100_000).fit(X, y)
    probe = LogisticProbe(C=0.2, standardize=False, **TIGHT).fit(torch.from_numpy(X), torch.from_numpy(y))
    close(probe.coef_, wanted.coef_)
    close(probe.intercept_ - probe.intercept_.mean(), wanted.intercept_ - wanted.intercept_.mean())


def test_many_targets_are_each_fitted_as_if_alone():
    X, first = tensors(150, 7, 2, 0)
    stack = torch.stack([X, X.flip(0)])
    targets = torch.stack([first, tensors(150, 7, 2, 1)[1], 1 - first], 1)
    together = LogisticProbe(C=0.7, **TIGHT).fit(stack, targets)
    assert together.coef_.shape == (2, 3, 2, 7)
    assert together.predict(stack).shape == (2, 150, 3)
    assert together.predict_proba(stack).shape == (2, 150, 3, 2)
    for t in range(3):
        alone = LogisticProbe(C=0.7, **TIGHT).fit(stack, targets[:, t])
        close(together.coef_[:, t], alone.coef_)
        assert torch.equal(together.predict(stack)[..., t], alone.predict(stack))
        torch.testing.assert_close(together.score(stack, targets)[:, t], alone.score(stack, targets[:, t]))
    torch.testing.assert_close(together.coef_[:, 2], -together.coef_[:, 0], rtol=1e-6, atol=1e-9)


def test_targets_with_other_classes_get_those_alone():
    X, three = tensors(150, 7, 3, 0)
    two = 5 * (three > 0)
    together = LogisticProbe(C=0.7, **TIGHT).fit(X, torch.stack([two, three], 1))
    assert together.classes_.tolist() == [0, 1, 2, 5]
    for t, y in enumerate((two, three)):
        alone = LogisticProbe(C=0.7, **TIGHT).fit(X, y)
        here = torch.isin(together.classes_, alone.classes_)
        close(together.coef_[t, here], alone.coef_)
        assert (together.coef_[t, ~here] == 0).all()
        assert (together.intercept_[t, ~here] == -torch.inf).all()
        close(together.predict_proba(X)[:, t, here], alone.predict_proba(X))
        assert together.direction_.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("classes", [2, 5])
def test_defaults_agree_with_scikit_learn_to_a_ten_thousandth(dtype, classes):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 40)) * rng.uniform(0.5, 2, 40) + rng.normal(size=40)
    y = (X[:, :classes] + rng.gumbel(size=(600, classes))).argmax(1)
    probe = LogisticProbe().fit(torch.from_numpy(X).to(dtype)[None], torch.from_numpy(y))
    assert probe.coef_.dtype == dtype
    close(differences(probe, X.astype(str(dtype)[6:]))[0], reference(X, y, 1.0)[0])


def test_fewer_rows_than_features():
    X, y = drawn(25, 120, 3, 8)
    probe = LogisticProbe(C=2.0, **TIGHT).fit(torch.from_numpy(X)[None], torch.from_numpy(y))
    for found, wanted in zip(differences(probe, X), reference(X, y, 2.0), strict=True):
        close(found, wanted)


def test_one_row_of_each_class():
    X = torch.tensor([[0.0, 1.0, 5.0], [2.0, 1.0, -1.0]])
    probe = LogisticProbe(C=10.0).fit(X, torch.tensor([3, 8]))
    assert probe.predict(X).tolist() == [3, 8]
    w = probe.coef_[1] - probe.coef_[0]
    assert w[1] == 0  # constant
    assert w[0] / w[2] == pytest.approx(
        -3, rel=1e-4
    )  # a third of the deviation, the same standardised weight


@pytest.mark.parametrize("standardize", [True, False])
def test_a_path_is_its_fits(standardize):
    X, y = tensors(80, 9, 3, 9)
    stack = torch.stack([X, X**2])
    kept = {"standardize": standardize, "class_weight": "balanced", "tol": 1e-14}
    found = logistic_path(stack, y, [3.0, 0.01, 0.2], **kept)
    assert [probe.C for probe in found] == [0.01, 0.2, 3.0]
    for probe in found:
        alone = LogisticProbe(C=probe.C, **kept).fit(stack, y)
        close(probe.coef_, alone.coef_)
        assert probe.get_params() == alone.get_params()


def test_a_fit_that_ends_too_early_says_so():
    X, y = tensors(60, 5, 2, 0)
    with pytest.warns(UserWarning, match="not converged after 2 steps .* raise max_iter"):
        LogisticProbe(C=100.0, max_iter=2).fit(X, y)


def test_bfloat16_is_fitted_in_float32():
    X, y = tensors(60, 5, 2, 0)
    probe = LogisticProbe().fit(X.bfloat16(), y)
    assert probe.coef_.dtype == torch.float32
    torch.testing.assert_close(probe.coef_, LogisticProbe().fit(X.bfloat16().float(), y).coef_)
    assert torch.equal(probe.predict(X.bfloat16()), probe.predict(X.bfloat16().float()))


@pytest.mark.parametrize(
    ("X", "y"), [((3,), (3,)), ((1, 4, 3), (5,)), ((1, 4, 3), (4, 1, 1)), ((4, 3), (2, 4)), ((4, 3), ())]
)
def test_shapes_that_do_not_fit_are_named(X, y):
    wanted = r"expected activations \[\*slice, n, d\] with labels \[n\] or \[n, target\], got"
    with signatures_unchecked(), pytest.raises(UserError, match=wanted) as caught:
        LogisticProbe().fit(torch.zeros(X), torch.zeros(y, dtype=torch.long))
    assert str(list(X)) in str(caught.value)
    assert str(list(y)) in str(caught.value)


def test_one_class_is_refused():
    with pytest.raises(UserError, match=r"two classes or more .* there is only 4 in 6 labels"):
        LogisticProbe().fit(torch.zeros(2, 6, 3), torch.full((6,), 4))
    with pytest.raises(UserError, match="target 1 has only 4 in 6 labels"):
        LogisticProbe().fit(torch.zeros(2, 6, 3), torch.tensor([[4, 4], [5, 4]] * 3))


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"C": 0.0}, "C must be positive"),
        ({"C": float("nan")}, "C must be positive"),
        ({"class_weight": {7: 2.0}}, "class_weight names class 7; there are 0, 1"),
        ({"class_weight": {1: -2.0}}, "finite and not negative, got -2.0 for class 1"),
        ({"class_weight": "fair"}, "'balanced', a mapping or None"),
    ],
)
def test_hyperparameters_that_make_no_sense_are_named(params, told):
    X, y = tensors(20, 3, 2, 0)
    with signatures_unchecked(), pytest.raises(UserError, match=told):
        LogisticProbe(**params).fit(X, y)
    with pytest.raises(UserError, match="got none"):
        logistic_path(X, y, [])
