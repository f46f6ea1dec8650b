"""Folds keep groups whole, are as even as can be, and scores are those of probes fitted fold by fold."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

from tests.checker import signatures_unchecked
from tests.probe_problems import close, tensors
from undertext.activations.errors import UserError
from undertext.probes import LogisticProbe, LogisticProbeCV, folds_of


@given(st.lists(st.integers(-4, 12), min_size=2, max_size=80), st.integers(2, 6))
def test_no_group_is_in_two_folds_and_sizes_are_scikit_learns(groups, cv):
    if len(set(groups)) < cv:
        with pytest.raises(UserError, match=f"a group for each of {cv} folds, got {len(set(groups))} groups"):
            folds_of(len(groups), cv, groups=torch.tensor(groups))
        return
    fold = folds_of(len(groups), cv, groups=torch.tensor(groups))
    pairs = set(zip(groups, fold.tolist(), strict=True))
    assert len(pairs) == len(set(groups))
    assert set(fold.tolist()) == set(range(cv))
    wanted = [len(test) for _, test in GroupKFold(cv).split(groups, groups=groups)]
    assert sorted(torch.bincount(fold).tolist()) == sorted(wanted)


@given(st.integers(2, 60), st.integers(2, 6), st.integers(0, 5))
def test_without_groups_folds_are_even_and_hang_on_the_seed(n, cv, seed):
    if n < cv:
        with pytest.raises(UserError, match="a row for each"):
            folds_of(n, cv)
        return
    fold = folds_of(n, cv, seed=seed)
    sizes = torch.bincount(fold, minlength=cv)
    assert sizes.max() - sizes.min() <= 1
    assert torch.equal(fold, folds_of(n, cv, seed=seed))
    assert n < 20 or not torch.equal(fold, folds_of(n, cv, seed=seed + 1))


@pytest.mark.parametrize("scoring", ["accuracy", "log_loss"])
@pytest.mark.parametrize("classes", [2, 3])
def test_scores_and_choice_are_those_of_probes_fitted_fold_by_fold(scoring, classes):
    X, y = tensors(120, 30, classes, 0)
    X[:, 5] = 0.0
    X[3, 5] = 1.0  # constant in every training set but those with this row
    groups = torch.arange(120) // 4
    Cs = [10.0, 0.001, 0.1]
    probe = LogisticProbeCV(Cs=Cs, cv=4, scoring=scoring, class_weight="balanced", tol=1e-14)
    probe.fit(X, y, groups=groups)
    fold = folds_of(120, 4, groups=groups).numpy()
    wanted = np.zeros((3, 4))
    for i, C in enumerate(sorted(Cs)):
        for k in range(4):
            train, test = X[fold != k].numpy(), X[fold == k].numpy()
            scaler = StandardScaler().fit(train)
            fitted = LogisticRegression(C=C, tol=1e-10, max_iter=10_000, class_weight="balanced")
            fitted.fit(scaler.transform(train), y[fold != k])
            proba = fitted.predict_proba(scaler.transform(test))
            right = (fitted.classes_[proba.argmax(1)] == y[fold == k].numpy()).mean()
            wanted[i, k] = right if scoring == "accuracy" else -log_loss(y[fold == k], proba)
    close(probe.scores_, wanted, 1e-5)
    best = int(wanted.mean(1).argmax())
    assert sorted(Cs)[best] == probe.C_
    alone = LogisticProbe(C=sorted(Cs)[best], class_weight="balanced", tol=1e-14).fit(X, y)
    close(probe.coef_, alone.coef_)


def test_each_slice_and_target_has_its_own_strength():
    X, y = tensors(100, 20, 2, 1)
    stack = torch.stack([X, X.flip(0)])
    targets = torch.stack([y, tensors(100, 20, 2, 2)[1], 1 * (X[:, 3] > X[:, 3].median())], 1)
    probe = LogisticProbeCV(Cs=[1e-4, 1e-2, 1.0, 100.0], cv=5, tol=1e-13).fit(stack, targets)
    assert probe.C_.shape == (2, 3)
    assert probe.scores_.shape == (2, 3, 4, 5)
    assert len(set(probe.C_.flatten().tolist())) > 1
    for s in range(2):
        for t in range(3):
            alone = LogisticProbeCV(Cs=[1e-4, 1e-2, 1.0, 100.0], cv=5, tol=1e-13).fit(stack[s], targets[:, t])
            assert probe.C_[s, t] == alone.C_
            close(probe.coef_[s, t], alone.coef_)


def test_of_equals_the_strongest_penalty_wins():
    X, y = tensors(60, 3, 2, 0)
    X[:, 0] = 1e3 * y
    assert LogisticProbeCV(Cs=[10.0, 0.1, 1.0], cv=3).fit(X, y).C_ == 0.1


def test_choices_that_make_no_sense_are_refused():
    X, y = tensors(20, 3, 2, 0)
    for params, told in (
        ({"cv": 1}, "at least 2 folds"),
        ({"cv": 21}, "a row for each"),
        ({"Cs": ()}, "Cs to try"),
    ):
        with pytest.raises(UserError, match=told):
            LogisticProbeCV(**params).fit(X, y)
    with pytest.raises(UserError, match="weight zero alone"):
        LogisticProbeCV(cv=2).fit(X, y, (torch.arange(20) < 10).double(), groups=torch.arange(20) // 10)
    with signatures_unchecked(), pytest.raises(UserError, match="each row's group"):
        LogisticProbeCV(cv=2).fit(X, y, groups=torch.arange(19))
