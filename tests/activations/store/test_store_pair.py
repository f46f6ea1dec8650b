"""Stores of a base and a tuned checkpoint: side by side when they are of the same tokens, else refused."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.activations.store.made_rows import POINTS, WIDTH, fill, unit
from undertext.activations import UserError
from undertext.activations.store import StoreWriter, open_pair


def write(folder: Path, units: list[int], sign: float = 1.0, **changed: Any) -> Path:
    with StoreWriter(folder, POINTS, WIDTH, shard_rows=4) as writer:
        for number in units:
            activations, rows = unit(number)
            writer.append(sign * activations, {**rows, **changed})
    return folder


def test_rows_and_batches_of_a_pair(tmp_path: Path):
    fill(tmp_path / "base", 10, shard_rows=7)
    pair = open_pair(tmp_path / "base", write(tmp_path / "tuned", list(range(10)), sign=-2.0))
    part = pair.select(layers=[1], split="test")
    assert 0 < len(part) < len(pair)
    assert part.points == POINTS[1:]
    assert part.tuned.read().equal(-2 * part.base.read())
    seen = []
    for batch in part.batches(3, seed=1):
        assert batch.base.equal(part.base.read(batch.rows))
        assert batch.tuned.equal(-2 * batch.base)
        seen += batch.rows.tolist()
    assert sorted(seen) == list(range(len(part)))


@pytest.mark.parametrize(
    ("units", "changed", "says"),
    [
        ([0, 1], {}, "they have 6 and 3 rows"),
        ([0, 2, 1], {}, "problem of row 1 is 'p1' in the one, 'p2' in the other"),
        ([2, 1, 0], {"tokens": [1, 2, 3]}, None),
        ([0, 1, 2], {"more": ["x"]}, "columns are"),
    ],
)
def test_rows_that_are_not_the_same(
    tmp_path: Path, units: list[int], changed: dict[str, Any], says: str | None
):
    fill(tmp_path / "base", 3)
    if says is None:  # the same columns, other tokens
        with StoreWriter(tmp_path / "tuned", POINTS, WIDTH) as writer:
            for number in range(3):
                activations, rows = unit(number)
                tokens = [t + (number == 2) for t in rows["tokens"]]
                writer.append(activations, {**rows, "tokens": tokens})
        says = r"tokens of row 3 is .*14.* in the one, .*15.* in the other \(3 rows differ\)"
    else:
        with StoreWriter(tmp_path / "tuned", POINTS, WIDTH) as writer:
            for number in units:
                activations, rows = unit(number)
                more = {name: values * activations.shape[1] for name, values in changed.items()}
                writer.append(activations, {**rows, **more})
    with pytest.raises(UserError, match=says):
        open_pair(tmp_path / "base", tmp_path / "tuned")


def test_stores_of_other_points_and_stores_without_tokens(tmp_path: Path):
    for name, points in (("a", POINTS[:1]), ("b", POINTS[1:2])):
        with StoreWriter(tmp_path / name, points, WIDTH) as writer:
            writer.append(torch.zeros(1, 1, WIDTH), {"problem": ["x"]})
    with pytest.raises(UserError, match="are not aligned: points are"):
        open_pair(tmp_path / "a", tmp_path / "b")
    with pytest.raises(UserError, match="no column 'tokens'"):
        open_pair(tmp_path / "a", tmp_path / "a")
