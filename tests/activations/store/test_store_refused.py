"""Mistakes in writing and reading a store, each told in one line."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.activations.store.made_rows import POINTS, WIDTH, fill, unit
from tests.checker import signatures_unchecked
from undertext.activations import HookPoint, UserError
from undertext.activations.store import Store, StoreWriter

ONE = torch.zeros(3, 1, WIDTH)


@pytest.mark.parametrize(
    ("activations", "rows", "says"),
    [
        (
            ONE[:2],
            {"problem": ["x"]},
            r"expected activations \[3, n, 8\] and columns of n rows, got \[2, 1, 8\]",
        ),
        (ONE, {"problem": ["x", "y"]}, "got .* problem: 2"),
        (ONE, {}, "no columns"),
        (ONE, {"split": ["x"]}, "expected the columns problem .*; got split"),
        (
            ONE,
            {"problem": [1], "split": ["a"], "position": [0], "tokens": [0]},
            r"problem \(text\).*problem \(int",
        ),
        (
            ONE,
            {"problem": ["p0"], "split": ["a"], "position": [0], "tokens": [0]},
            "already has problem 'p0'",
        ),
        (ONE, {"problem": ["x"], "points": [0]}, "a column is named in lower case, and not points or layers"),
        (ONE, {"problem": [0.5]}, "column 'problem' must be .* got float"),
        (ONE, {"problem": [True]}, "got bool"),
        (ONE, {"problem": [2**70]}, "does not fit 64 bits"),
        (ONE * float("nan"), unit(0)[1], "NaN or infinity at blocks.0.hook_resid_post, as float16"),
        (ONE + 70000, unit(0)[1], "NaN or infinity at blocks.0.hook_resid_post, as float16"),
    ],
)
def test_rows_that_do_not_fit(tmp_path: Path, activations: Any, rows: Any, says: str):
    before = fill(tmp_path, 3, dtype=torch.float16)
    with StoreWriter(tmp_path, POINTS, WIDTH, dtype=torch.float16) as writer, signatures_unchecked():
        with pytest.raises(UserError, match=says):
            writer.append(activations, rows)
        assert writer.done == {"p0", "p1", "p2"}
    assert Store.open(tmp_path).manifest == before.manifest


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"points": POINTS[:2]}, "points is"),
        ({"d_model": 9}, "d_model is 8, not 9"),
        ({"dtype": torch.bfloat16}, "dtype is float32, not bfloat16"),
        ({"key": "prompt"}, "key is problem, not prompt"),
        ({"meta": {"checkpoint": "b"}}, "meta is {'checkpoint': 'a'}, not {'checkpoint': 'b'}"),
        ({"meta": {"checkpoint": ONE}}, "meta must be what JSON can hold"),
        ({"dtype": torch.float64}, "a store's dtype is one of float32, float16, bfloat16"),
        ({"points": []}, "expected hook points, each once"),
        ({"shard_rows": 0}, "must be at least 1"),
    ],
)
def test_going_on_with_another_store(tmp_path: Path, changed: dict[str, Any], says: str):
    fill(tmp_path, 2, meta={"checkpoint": "a"})
    with pytest.raises(UserError, match=says):
        StoreWriter(tmp_path, **{"points": POINTS, "d_model": WIDTH, "meta": {"checkpoint": "a"}, **changed})
    assert len(fill(tmp_path, 3, meta={"checkpoint": "a"})) == 6


@pytest.mark.parametrize(
    ("selection", "says"),
    [
        ({"points": [HookPoint(5, "resid_post")]}, "blocks.5.hook_resid_post not in the store"),
        ({"layers": [7]}, "no point is left"),
        ({"colour": "red"}, "no column 'colour': it has 'problem', 'split', 'position', 'tokens'"),
        ({"split": "tset"}, "no row has split 'tset'; there are 'train', 'test'"),
        ({"position": [9]}, r"no row has position \[9\]; there are 0, 1, 2"),
    ],
)
def test_selecting_what_is_not_there(tmp_path: Path, selection: dict[str, Any], says: str):
    with pytest.raises(UserError, match=says):
        fill(tmp_path, 3).select(**selection)


def test_rows_and_batches_that_are_not_there(tmp_path: Path):
    store = fill(tmp_path, 3)
    with pytest.raises(UserError, match="rows must be among 0 to 5, got 6 to 6"):
        store.read(torch.tensor([6]))
    with pytest.raises(UserError, match="at least 1 row, got 0"):
        next(store.batches(0, 0))


def test_folders_that_are_no_store(tmp_path: Path):
    with pytest.raises(UserError, match=r"is no activation store: it holds no manifest.json"):
        Store.open(tmp_path)
    (tmp_path / "manifest.json").write_text('{"name": "theirs"}')
    with pytest.raises(UserError, match="is not the manifest of an activation store"):
        fill(tmp_path, 1)
    assert (tmp_path / "manifest.json").read_text() == '{"name": "theirs"}'
    with pytest.raises(UserError, match="cannot write to it"):
        fill(tmp_path / "manifest.json", 1)


def test_a_closed_writer(tmp_path: Path):
    with StoreWriter(tmp_path, POINTS, WIDTH) as writer:
        pass
    with pytest.raises(UserError, match="is closed"):
        writer.append(*unit(0))
