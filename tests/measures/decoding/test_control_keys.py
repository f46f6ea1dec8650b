"""What control labels depend on: as much text as recurs, and no less than tells enough keys apart."""

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from undertext.measures.decoding.controls import (
    KEYS_PER_CLASS,
    SEEN,
    control_keys,
    control_targets,
)


def windows(seed: int, **counts: int) -> dict[str, list[list[int]]]:
    """Texts whose last token is one of 3, the one before of 8, the one before that of 1000."""
    rng = random.Random(seed)
    return {
        split: [[rng.randrange(1000), rng.randrange(8), rng.randrange(3)] for _ in range(n)]
        for split, n in counts.items()
    }


def test_keys_are_as_long_as_recurs():
    found = control_keys(windows(0, train=400, dev=100, test=50), classes=2)
    assert {len(key) for each in found.values() for key in each} == {2}  # 24 keys; of three tokens few recur


def test_where_too_few_keys_recur_there_are_more_of_them():
    found = control_keys(windows(0, train=400, dev=100), classes=6)
    assert {len(key) for each in found.values() for key in each} == {3}
    assert len(set(found["train"])) >= KEYS_PER_CLASS * 6


def test_texts_all_alike_are_taken_whole():
    same = {split: [[1, 2, 3]] * 5 for split in ("train", "dev")}
    assert control_keys(same, classes=2)["dev"] == [(1, 2, 3)] * 5


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=2, max_size=30),
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=30),
    st.integers(2, 3),
)
def test_no_longer_key_would_do(train, dev, classes):
    found = control_keys({"train": train, "dev": dev}, classes)
    longest = max(map(len, train))
    size = max((len(key) for each in found.values() for key in each), default=0)

    def known(n: int) -> set[tuple[int, ...]]:
        return {tuple(text[-n:]) for text in train}

    def seen(n: int) -> float:
        return sum(tuple(text[-n:]) in known(n) for text in dev) / len(dev)

    fits = [n for n in range(1, longest + 1) if len(known(n)) >= KEYS_PER_CLASS * classes]
    least = fits[0] if fits else longest
    wanted = max(
        [
            least,
            *(n for n in range(least, longest + 1) if all(seen(m) >= SEEN for m in range(least + 1, n + 1))),
        ]
    )
    assert size == min(wanted, max(len(text) for text in [*train, *dev]))


def test_a_key_has_one_label_in_every_split_and_another_draw_another():
    texts = windows(1, train=300, dev=80, test=80)
    y = torch.arange(300) % 4
    one, other = control_targets(texts, y, 4, seeds=(3, 4))
    keys = control_keys(texts, 4)
    label: dict[tuple[int, ...], int] = {}
    for split, each in one.items():
        assert len(each) == len(texts[split])
        for key, drawn in zip(keys[split], each.tolist(), strict=True):
            assert label.setdefault(key, drawn) == drawn
    assert set(label.values()) == {0, 1, 2, 3}
    assert not torch.equal(one["train"], other["train"])
    assert set(one) == {"train", "dev", "test"}


@pytest.mark.parametrize("keys", [3, 12])
def test_a_probe_that_knows_nothing_reads_control_labels_at_chance_once_keys_are_many(keys):
    """What few keys give away is what makes a selectivity of nothing fall below zero."""
    from undertext.probes import LogisticProbe, control_draws

    generator = torch.Generator().manual_seed(0)
    which = torch.randint(2**keys, (900,), generator=generator)
    bits = (which[:, None] >> torch.arange(keys)) & 1
    X = 2.0 * bits.float() + torch.randn(900, keys, generator=generator)
    y = torch.arange(900) % 2
    names = which.tolist()
    fit, read = control_draws(y[:600], names[:600], names[600:], seeds=range(6))
    right = []
    for draw in range(6):
        probe = LogisticProbe(C=0.1).fit(X[:600], fit[:, 0, draw])
        right.append(float(probe.score(X[600:], read[:, 0, draw])))
    mean = sum(right) / 6
    assert (mean > 0.6) == (keys == 3), right


def test_nine_in_ten_of_dev_is_enough_and_eight_is_not():
    train = [[k % 5, k % 11] for k in range(55)]
    for unseen, size in ((1, 2), (2, 1)):
        dev = [[9, 0]] * unseen + [[0, 0]] * (10 - unseen)
        found = control_keys({"train": train, "dev": dev}, classes=2)
        assert {len(key) for key in found["train"]} == {size}
