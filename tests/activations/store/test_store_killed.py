"""Kill -9 while a store is written: it holds whole units, in order, and going on completes it."""

import os
import random
import signal
from pathlib import Path

import pytest

from activations.store import Store
from tests.activations.store.made_rows import fill, forked, killed_after, same, stored, unit

UNITS = 40


def whole_units(store: Store) -> int:
    """How many units the store holds, which must be the first so many, in full."""
    problems = list(dict.fromkeys(store.rows["problem"])) if len(store) else []
    assert problems == [f"p{number}" for number in range(len(problems))]
    assert len(store) == sum(unit(number)[0].shape[1] for number in range(len(problems)))
    return len(problems)


@pytest.mark.parametrize("kills", [6, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments_and_resumed(tmp_path: Path, kills: int):
    moments = random.Random(kills)
    folder = tmp_path / "killed"
    fill(folder, 0)
    seen = []

    def slow() -> None:  # so slow that no process comes to the end, nor all of them together
        fill(folder, UNITS, wait=0.01 * kills)

    for kill in range(kills):
        last = kill == kills - 1  # on a busy machine no other may come far enough
        killed_after(moments.uniform(0, 0.25), slow, (lambda: stored(folder)) if last else lambda: True)
        store = Store.open(folder)
        store.verify()
        seen.append(whole_units(store))
    assert seen == sorted(seen), "a kill lost what had been stored"
    assert 0 < max(seen) < UNITS, "no kill came in the middle"
    assert same(fill(folder, UNITS), fill(tmp_path / "whole", UNITS))


CALLS = ("fsync", "replace")
"""Between two of these, nothing of what a writer does changes what a reader sees."""


def killed_at_call(number: int, before: bool, folder: Path, units: int) -> bool:
    """Write a store in another process that is killed at its n-th such call; False when there is none."""

    def work() -> None:
        left = number

        def deadly(name: str):
            real = getattr(os, name)

            def call(*args):
                nonlocal left
                left -= 1
                if left < 0 and before:
                    os.kill(os.getpid(), signal.SIGKILL)
                real(*args)
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            return call

        for name in CALLS:
            setattr(os, name, deadly(name))
        fill(folder, units)

    _, status = os.waitpid(forked(work), 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("before", [True, False])
def test_killed_at_every_step(tmp_path: Path, before: bool):
    whole = fill(tmp_path / "whole", 4)
    number = 0
    while killed_at_call(number, before, tmp_path / str(number), 4):
        folder = tmp_path / str(number)
        if (folder / "manifest.json").exists():
            store = Store.open(folder)
            store.verify()
            whole_units(store)
        assert same(fill(folder, 4), whole)
        assert {path.name for path in folder.iterdir()} == {path.name for path in whole.folder.iterdir()}
        number += 1
    # Three syncs and renames for each file: the first manifest, then a shard and a manifest, twice.
    assert number == 3 * (1 + 2 * len(whole.manifest.shards))
