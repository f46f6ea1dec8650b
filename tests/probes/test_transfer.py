"""Transfer between sets: never read on a problem fitted on, and equal to fits done by hand."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unchecked import signatures_unchecked
from undertext.activations.errors import UserError
from undertext.probes import (
    Labelled,
    LogisticProbe,
    LogisticProbeCV,
    Surface,
    folds_of,
    leave_one_out,
    leave_types_out,
    transfer,
)


class ByHeart(LogisticProbe):
    """Right exactly on the problems it was fitted on: a held-out row that it reads was not held out."""

    def fit(self, X, y, sample_weight=None):
        self.known = set(X[..., 0].flatten().tolist())
        self.classes_ = torch.tensor([0, 1])
        return self

    def predict(self, X):
        return torch.tensor([1 if value in self.known else 0 for value in X[..., 0].tolist()])


PROBLEMS = st.lists(st.integers(0, 11), min_size=8, max_size=30).map(lambda some: [*some, 0, 1, 2, 3])


@settings(max_examples=40)
@given(PROBLEMS, PROBLEMS, st.integers(2, 4), st.integers(0, 5))
def test_no_row_is_read_by_a_probe_fitted_on_its_problem(first, second, folds, seed):
    sets = {}
    for name, problems in (("a", first), ("b", second)):
        problem = torch.tensor(problems)
        sets[name] = Labelled(problem.float()[:, None], torch.ones_like(problem), problem)
    fits = {"a": ["a"], "b": ["b"], "ab": ["a", "b"]}
    together = torch.tensor([*first, *second])
    fold = folds_of(len(together), folds, groups=together, seed=seed)
    if any(len(each.unique()) == 1 for each in (fold[: len(first)], fold[len(first) :])):
        with pytest.raises(UserError, match="no row is left"):
            transfer(sets, fits=fits, recipe=ByHeart, folds=folds, seed=seed)
        return
    found = transfer(sets, fits=fits, recipe=ByHeart, folds=folds, seed=seed)
    assert set(found.correct) == {(fit, read) for fit in ("a", "b", "ab") for read in ("a", "b")}
    for right in found.correct.values():
        assert not right.any()


def test_rows_without_problems_pair_by_number():
    number = torch.arange(40)
    sets = {name: Labelled(number.float()[:, None], torch.ones_like(number)) for name in "ab"}
    assert transfer(sets, recipe=ByHeart).accuracy.tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("targets", [(), (2,)])
def test_it_is_what_fits_by_hand_read(targets):
    generator = torch.Generator().manual_seed(0)
    sets = {
        name: Labelled(
            torch.randn(3, n, 5, generator=generator, dtype=torch.float64),
            torch.randint(3, (n, *targets), generator=generator),
            torch.arange(n) // 2,
        )
        for name, n in (("a", 60), ("b", 80))
    }
    found = transfer(sets, recipe=lambda: LogisticProbe(C=0.1), folds=3, seed=2)
    assert found.accuracy.shape == (2, 2, 3, *targets)
    fold = folds_of(140, 3, groups=torch.cat([each.problems for each in sets.values()]), seed=2)
    fold_of = {"a": fold[:60], "b": fold[60:]}
    for fit, train in sets.items():
        for each in range(3):
            left = fold_of[fit] != each
            probe = LogisticProbe(C=0.1).fit(train.X[:, left], train.y[left])
            for read, rows in sets.items():
                held = fold_of[read] == each
                right = probe.predict(rows.X[:, held]) == rows.y[held]
                right = right.mT if targets else right
                assert torch.equal(found.correct[fit, read][..., held], right)
    for i, fit in enumerate(sets):
        for j, read in enumerate(sets):
            wanted = found.correct[fit, read].float().mean(-1)
            torch.testing.assert_close(found.accuracy[i, j], wanted)


def test_layers_and_positions_by_name():
    """Layers 1 and 2 share a code, layer 0 has none; position "late" is read by all, "early" by none."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(600) % 2
    X = torch.randn(3, 600, 10, generator=generator)
    X[1:, :, 4] += 5 * y
    rows = Labelled(X, y)
    layers = transfer(rows.by_slice(["0", "1", "2"]), recipe=lambda: LogisticProbe(C=0.1))
    assert (layers.accuracy[1:, 1:] > 0.95).all()
    assert (layers.accuracy[0] < 0.65).all()
    assert (layers.accuracy[:, 0] < 0.65).all()
    where = ["late" if i % 3 else "early" for i in range(600)]
    X[:, ::3] = torch.randn(3, 200, 10, generator=generator)
    positions = transfer(Labelled(X, y).by(where), recipe=lambda: LogisticProbe(C=0.1))
    assert positions.reads == ("early", "late")
    assert (positions.accuracy[1, 1, 1:] > 0.95).all()
    assert (positions.accuracy[:, 0] < 0.7).all()


def test_a_rule_reads_unseen_types_and_the_surface_does_not():
    generator = torch.Generator().manual_seed(0)
    n, kinds = 900, ["add", "sort", "path"]
    types = [kinds[i % 3] for i in range(n)]
    y = torch.randint(2, (n,), generator=generator)
    X = torch.randn(2, n, 12, generator=generator)
    X[1, :, 7] += 4 * y  # one code for "good step", whatever the type
    # Each type has two words of its own: which one comes tells all, and only within the type.
    texts = [[10 + 2 * (i % 3) + int(y[i]), 3, 4] for i in range(n)]
    surface = Surface(texts).features(texts)
    recipe = partial(LogisticProbeCV, Cs=(0.01, 0.1), cv=3)
    found = leave_types_out(Labelled(X, y, torch.arange(n) // 2), types, surface, recipe=recipe)
    assert found.unseen.shape == found.seen.shape == (2, n)
    assert found.seen[1].float().mean() > 0.95
    assert found.unseen[1].float().mean() > 0.95
    assert found.unseen[0].float().mean() < 0.6
    assert found.surface_seen.float().mean() > 0.95
    assert found.surface_unseen.float().mean() < 0.6
    # Rows are in the order given: each type's are those of its column in the matrix.
    sets = Labelled(X, y, torch.arange(n) // 2).by(types)
    left = leave_one_out(sets, recipe=recipe)
    for kind in kinds:
        rows = torch.tensor([each == kind for each in types])
        assert torch.equal(found.unseen[:, rows], left.correct[kind, kind])
        assert left.accuracy[kinds.index(kind), kinds.index(kind), 1] > 0.95


def test_folds_do_not_follow_the_numbers_of_problems():
    # Types that recur every five problems would each be a fold of their own.
    fold = folds_of(500, 5, groups=torch.arange(500))
    assert all(len(set(fold[kind::5].tolist())) == 5 for kind in range(5))
    assert not torch.equal(fold, folds_of(500, 5, groups=torch.arange(500), seed=1))
    y = torch.arange(500) % 5
    X = torch.nn.functional.one_hot(y).float()
    assert LogisticProbeCV().fit(X, y, groups=torch.arange(500)).scores_.max() == 1


def test_mistakes_are_named():
    rows = Labelled(torch.randn(20, 3), torch.arange(20) % 2)
    with pytest.raises(UserError, match="no set 'c' to fit on: there are a, b"):
        transfer({"a": rows, "b": rows}, fits={"x": ["c"]})
    wide = Labelled(torch.randn(20, 4), rows.y)
    with pytest.raises(UserError, match=r"number of rows alone, got \[20, 3\] .*\[20, 4\]"):
        transfer({"a": rows, "b": wide})
    same = Labelled(rows.X, torch.zeros_like(rows.y))
    with pytest.raises(
        UserError, match="fitting b without the problems of fold 0: a probe needs two classes"
    ):
        transfer({"a": rows, "b": same})
    with pytest.raises(UserError, match="two sets or more to leave one out of, got a"):
        leave_one_out({"a": rows})
    with pytest.raises(UserError, match="a name for each of 20 rows, got 3"):
        rows.by(["a", "b", "c"])
    with pytest.raises(UserError, match=r"activations \[2, \*slice, n, d\], got \[20, 3\]"):
        rows.by_slice(["0", "1"])
    one = Labelled(rows.X, rows.y, torch.zeros(20, dtype=torch.long))
    other = Labelled(rows.X, rows.y, torch.arange(20) + 1)
    with pytest.raises(UserError, match="no row is left"):
        transfer({"a": one, "b": other}, folds=2)
    with signatures_unchecked(), pytest.raises(UserError, match="expected activations"):
        leave_types_out(rows, ["a", "b"] * 10, torch.randn(19, 2))
