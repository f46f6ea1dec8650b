"""Splits: sizes, groups and prompts that stay together, the source's own names, the seed."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undertext.activations.errors import UserError
from undertext.tasks.importers.splits import SplitConfig, with_splits
from undertext.tasks.task import Problem


def problems(n, group=lambda i: None, prompt=lambda i: f"Q {i}"):
    return [Problem(id=str(i), split="train", prompt=prompt(i), answer="1", group=group(i)) for i in range(n)]


def counts(config, given, named=None):
    done, notes = with_splits(given, named or [None] * len(given), config)
    return Counter(problem.split for problem in done), notes


def test_shares_and_sizes():
    assert counts(SplitConfig(), problems(100))[0] == {"train": 50, "dev": 15, "test": 35}
    sizes, notes = counts(SplitConfig(train=20, dev=0.1, test=30), problems(100))
    assert sizes == {"train": 20, "dev": 10, "test": 30}
    assert notes == ["not drawn into a split: 40 problems"]
    assert counts(SplitConfig(test=60, limit=80), problems(100))[0] == {"train": 8, "dev": 12, "test": 60}


def test_the_seed_alone_decides_and_not_the_order():
    given = problems(40)
    first = {p.id: p.split for p in with_splits(given, [None] * 40, SplitConfig())[0]}
    assert {p.id: p.split for p in with_splits(given[::-1], [None] * 40, SplitConfig())[0]} == first
    assert {p.id: p.split for p in with_splits(given, [None] * 40, SplitConfig(seed=1))[0]} != first


def joined(given):
    """Whether fewer than three sets of problems share no prompt and no group, by a plain search."""
    sets = [{("prompt", p.prompt), ("group", p.group or p.id + "-")} for p in given]
    changed = True
    while changed:
        changed = False
        for i, one in enumerate(sets):
            for j in range(len(sets) - 1, i, -1):
                if one & sets[j]:
                    one |= sets.pop(j)
                    changed = True
    return len(sets) < 3


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 30)), min_size=6, max_size=60),
    st.integers(0, 5),
)
def test_groups_and_prompts_stand_in_one_split(kinds, seed):
    given = [
        Problem(id=str(i), split="train", prompt=f"Q  {p}", answer="1", group=str(g) if g else None)
        for i, (g, p) in enumerate(kinds)
    ]
    try:
        done, _ = with_splits(given, [None] * len(given), SplitConfig(seed=seed))
    except UserError:
        done = []
    assert (not done) == joined(given)
    if not done:
        return
    assert {p.split for p in done} == {"train", "dev", "test"}
    where = defaultdict(set)
    for problem in done:
        where["prompt", problem.prompt].add(problem.split)
        where["group", problem.group or problem.prompt].add(problem.split)
    assert all(len(splits) == 1 for splits in where.values())


def test_group_sizes_are_met_as_nearly_as_groups_allow():
    sizes, _ = counts(SplitConfig(), problems(300, group=lambda i: str(i // 10)))
    assert all(
        abs(sizes[split] - wanted) <= 10 for split, wanted in (("train", 150), ("dev", 45), ("test", 105))
    )


def test_the_source_s_names_are_kept_and_what_is_missing_comes_from_train():
    named = ["train"] * 60 + ["test"] * 20
    sizes, notes = counts(SplitConfig(), problems(80), named)
    assert sizes == {"train": 51, "dev": 9, "test": 20}
    assert notes == []
    sizes, notes = counts(SplitConfig(dev=5, test=8), problems(80), named)
    assert sizes == {"train": 55, "dev": 5, "test": 8}
    assert notes == ["not drawn into a split: 12 problems"]
    sizes, _ = counts(SplitConfig(), problems(6), ["train", "train", "validation", "val", "test", "ood"])
    assert sizes == {"train": 2, "dev": 2, "test": 1, "ood": 1}


def test_one_name_for_all_says_nothing():
    assert counts(SplitConfig(), problems(20), ["test"] * 20)[0] == {"train": 10, "dev": 3, "test": 7}


def test_what_train_shares_with_test_is_left_out_of_train():
    given = problems(20, prompt=lambda i: f"Q {i % 18}")  # 18 and 19, named test, have the prompts of 0 and 1
    sizes, notes = counts(SplitConfig(dev=3), given, ["train"] * 18 + ["test"] * 2)
    assert sizes == {"train": 13, "dev": 3, "test": 2}
    assert notes == ["left out: 2 problems of train or dev whose prompt or group a later split has as well"]


@pytest.mark.parametrize(
    ("config", "n", "named"),
    [
        (SplitConfig(), 2, None),
        (SplitConfig(train=50, test=60), 100, None),
        (SplitConfig(dev=100), 100, None),
        (SplitConfig(dev=1.5), 100, None),
        (SplitConfig(test=30), 10, ["train"] * 5 + ["test"] * 5),
        (SplitConfig(), 10, ["test"] * 5 + ["ood"] * 5),
    ],
)
def test_what_cannot_be(config, n, named):
    with pytest.raises(UserError, match="expected"):
        with_splits(problems(n), named or [None] * n, config)
