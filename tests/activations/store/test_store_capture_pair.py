"""Capturing a pair with one checkpoint in memory at a time."""

import random
import weakref
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.activations.store.made_rows import same
from tests.killing import Step, killed_when
from tests.toys import tiny_folder
from undertext.activations import (
    Checkpoint,
    HookPoint,
    UserError,
    capture_pair_to_store,
    capture_to_store,
)
from undertext.activations.store import Store, StorePair
from undertext.activations.store.capturing import _units, one_width

POINTS = [HookPoint(0, "mlp_out"), HookPoint(2, "resid_post")]
PROMPTS = {f"p{n}": " ".join(random.Random(n).choices("abc=+12;", k=1 + n % 9)) for n in range(24)}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders of one shape."""
    folder = tmp_path_factory.mktemp("pair")
    return tiny_folder(folder / "base"), tiny_folder(folder / "tuned", seed=1)


def go(sources: tuple[Path, Path], folder: Path, **changed: Any) -> StorePair:
    options: dict[str, Any] = {"points": POINTS, "positions": "all", "unit": 4, "shard_rows": 20, **changed}
    return capture_pair_to_store(*sources, PROMPTS, folder=folder, **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_stores_are_those_of_each_checkpoint(
    sources: tuple[Path, Path], tmp_path: Path, dtype: torch.dtype
):
    pair = go(sources, tmp_path, load={"dtype": dtype}, columns={"split": dict.fromkeys(PROMPTS, "dev")})
    for source, store in zip(sources, (pair.base, pair.tuned), strict=True):
        alone = Checkpoint.load(source, dtype=dtype)
        assert store.meta == {"checkpoint": alone.fingerprint}
        expected = capture_to_store(alone, PROMPTS, POINTS, "all", tmp_path / source.name / "alone", unit=4)
        assert store.read().equal(expected.read())
    assert not pair.base.read().equal(pair.tuned.read())


def test_one_checkpoint_is_in_memory_at_a_time(
    sources: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real: Any = vars(Checkpoint)["load"].__func__
    seen: list[weakref.ref[Any]] = []

    def load(cls: Any, *given: Any, **options: Any) -> Checkpoint:
        assert [each() for each in seen] == [None] * len(seen), "an earlier model is still held"
        checkpoint = real(cls, *given, **options)
        seen.append(weakref.ref(checkpoint.model))
        return checkpoint

    monkeypatch.setattr(Checkpoint, "load", classmethod(load))
    pair = go(sources, tmp_path)
    assert len(seen) == 3
    assert all(each() is None for each in seen)
    assert len(pair) > 24


def test_what_is_no_pair_is_refused_before_anything_is_captured(sources: tuple[Path, Path], tmp_path: Path):
    other = tiny_folder(tmp_path / "other", n_layers=2, d_model=16)
    with pytest.raises(UserError, match=r"differ in layers \(3 against 2\); width \(32 against 16\)"):
        go((sources[0], other), tmp_path / "stores", points=[HookPoint(0, "mlp_out")])
    with pytest.raises(UserError, match=r"other has no blocks.2.hook_resid_post"):
        go((sources[0], other), tmp_path / "stores")
    assert not (tmp_path / "stores").exists()


@pytest.mark.slow
def test_killed_while_capturing_a_pair(sources: tuple[Path, Path], tmp_path: Path):
    options: dict[str, Any] = {"unit": 1, "shard_rows": 1}
    folder, moments = tmp_path / "killed", random.Random(0)

    def work(stepped: Step) -> None:
        go(sources, folder, progress=stepped, **options)

    def begun(name: str, rows: int, steps: int) -> bool:
        store = folder / name
        return (store / "manifest.json").exists() and len(Store.open(store)) > rows

    for name, rows in (("base", 0), ("base", 40), ("tuned", 0)):
        killed_when(work, partial(begun, name, rows), events=moments.randrange(400))
    assert len(Store.open(folder / "tuned")) < len(Store.open(folder / "base"))
    pair, whole = go(sources, folder, **options), go(sources, tmp_path / "whole", **options)
    assert same(pair.base, whole.base)
    assert same(pair.tuned, whole.tuned)


def test_a_store_has_one_width():
    points = [HookPoint(0, "attn_out"), HookPoint(1, "mlp_out")]
    assert one_width(dict.fromkeys(points, 8)) == 8
    with pytest.raises(UserError, match=r"one width, got blocks.0.hook_attn_out 8, blocks.1.hook_mlp_out 16"):
        one_width(dict(zip(points, (8, 16), strict=True)))


@given(st.lists(st.integers(0, 9)), st.integers(1, 5), st.integers(1, 12))
def test_units_are_all_prompts_in_order_within_their_limits(rows_of: list[int], unit: int, most: int):
    parts = list(_units(rows_of, unit, most))
    assert [n for part in parts for n in range(part.start, part.stop)] == list(range(len(rows_of)))
    for part, after in zip_longest(parts, parts[1:]):
        rows = rows_of[part]
        assert 1 <= len(rows) <= unit
        assert sum(rows) <= most or len(rows) == 1
        if after:  # and none is cut short for nothing
            assert len(rows) == unit or sum(rows) + rows_of[after.start] > most
