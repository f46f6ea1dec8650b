"""Kill -9 while a store is written: it holds whole units, in order, and going on completes it."""

import io
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.activations.store.made_rows import fill, same, unit
from tests.killing import forked, killed_at_step
from undertext.activations.store import Store

UNITS = 100


def whole_units(store: Store) -> int:
    """How many units the store holds, which must be the first so many, in full."""
    problems = list(dict.fromkeys(store.rows["problem"])) if len(store) else []
    assert problems == [f"p{number}" for number in range(len(problems))]
    assert len(store) == sum(unit(number)[0].shape[1] for number in range(len(problems)))
    return len(problems)


def test_killed_at_random_moments_and_resumed(tmp_path: Path):
    folder, moments, seen = tmp_path / "killed", random.Random(0), []
    for _ in range(19):  # so early that some units are left at the end
        units, events = moments.randrange(8), moments.randrange(400)
        killed_at_step(lambda stepped: fill(folder, UNITS, stepped=stepped), units, events=events)
        if (folder / "manifest.json").exists():
            store = Store.open(folder)
            store.verify()
            seen.append(whole_units(store))
    assert seen == sorted(seen), "a kill lost what had been stored"
    assert 0 < max(seen) < UNITS, "no kill came in the middle"
    assert same(fill(folder, UNITS), fill(tmp_path / "whole", UNITS))


CALLS = ("fsync", "replace")
"""Between two of these, nothing of what a writer does changes what a reader sees."""


class HalfWritten(io.BufferedWriter):
    """A file whose n-th write puts half of its bytes on the disk, and is the last thing its process does."""

    left = 0

    def write(self, data: Any) -> int:
        HalfWritten.left -= 1
        if HalfWritten.left < 0:
            super().write(memoryview(data)[: len(data) // 2])
            self.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().write(data)


def killed_in_write(number: int, folder: Path, units: int) -> bool:
    """Write a store in another process that is killed inside its n-th write; False when there is none."""

    def work() -> None:
        real: Any = Path.open
        HalfWritten.left = number

        def opened(path: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
            if mode == "wb":
                return HalfWritten(io.FileIO(path, "wb"))
            return real(path, mode, *rest, **named)

        setattr(Path, "open", opened)  # noqa: B010 - in a process that ends with it
        fill(folder, units)

    _, status = os.waitpid(forked(work), 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.slow
def test_killed_inside_every_write(tmp_path: Path):
    whole = fill(tmp_path / "whole", 4)
    number = 0
    while killed_in_write(number, tmp_path / str(number), 4):
        folder = tmp_path / str(number)
        assert list(folder.glob("*.tmp")), "nothing was half written"
        if (folder / "manifest.json").exists():
            store = Store.open(folder)
            store.verify()
            whole_units(store)
        assert same(fill(folder, 4), whole)
        assert not list(folder.glob("*.tmp"))
        number += 1
    assert number > 2 * 2 + 3, "a shard has more pieces than that"


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
