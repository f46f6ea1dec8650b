"""What is read is what was appended, against a reference in numpy."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.activations.store.made_rows import POINTS, WIDTH, fill
from undertext.activations import HookPoint
from undertext.activations.store import Store, StoreWriter

SIZES = st.lists(st.integers(0, 6), max_size=12)
DTYPES = st.sampled_from([torch.float32, torch.float16, torch.bfloat16])
TEXT = st.text(max_size=3)


@st.composite
def stores(draw):
    """A list of units as appended, and the options of the writer."""
    seed = draw(st.integers(0, 2**32))
    generator = torch.Generator().manual_seed(seed)
    texts = draw(st.lists(TEXT, min_size=3, max_size=3))
    units = []
    for number, n in enumerate(draw(SIZES)):
        rows = {
            "problem": [number] * n,
            "split": [texts[(number + i) % 3] for i in range(n)],
            "position": np.arange(n) - 1,
        }
        units.append((torch.randn(3, n, WIDTH, generator=generator), rows))
    return units, draw(DTYPES), draw(st.integers(1, 20)), draw(st.integers(0, 12))


@settings(max_examples=40)
@given(stores(), st.integers(1, 7), st.integers(0, 99))
def test_reading_and_selecting(made, size, seed):
    units, dtype, shard_rows, pause = made
    expected = torch.cat([torch.zeros(3, 0, WIDTH), *(a for a, _ in units)], dim=1).to(dtype)
    columns = {
        name: np.array([value for _, rows in units for value in rows[name]], dtype=object)
        for name in ("problem", "split", "position")
    }
    with tempfile.TemporaryDirectory() as folder:
        for part in (units[:pause], units[pause:]):
            with StoreWriter(folder, POINTS, WIDTH, dtype=dtype, shard_rows=shard_rows) as writer:
                for activations, rows in part:
                    writer.append(activations, rows)
                    activations.fill_(-1)  # the store has its own copy
        store = Store.open(folder)
        store.verify()
        assert len(store) == expected.shape[1]
        assert store.dtype == dtype
        assert store.read().equal(expected)
        assert {shard.rows for shard in store.manifest.shards[:-1]} <= set(
            range(shard_rows, shard_rows + 6)
        ) or (
            pause  # a pause ends a shard early
        )
        if not len(store):
            return
        for name, values in columns.items():
            assert store.rows[name].tolist() == values.tolist()
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randint(len(store), (size,), generator=generator)  # any order, some twice
        assert store.read(chosen).equal(expected[:, chosen])

        row = int(chosen[0])
        split, position = columns["split"][row], columns["position"][row]
        kept = (columns["split"] == split) & (columns["position"] >= position)
        part = store.select(layers=[1], split=split, position=range(position, 6))
        assert part.points == POINTS[1:]
        assert part.rows["problem"].tolist() == columns["problem"][kept].tolist()
        assert part.read().equal(expected[1:, torch.from_numpy(kept)])
        again = part.select(points=[POINTS[2]], problem=columns["problem"][row])
        both = kept & (columns["problem"] == columns["problem"][row])
        assert again[POINTS[2]].equal(expected[2, torch.from_numpy(both)])

        batches = list(part.batches(size, seed))
        assert [len(batch.rows) for batch in batches[:-1]] == [size] * (len(batches) - 1)
        assert torch.cat([batch.rows for batch in batches]).sort().values.tolist() == list(range(len(part)))
        for batch, same in zip(batches, part.batches(size, seed), strict=True):
            assert batch.activations.equal(part.read()[:, batch.rows])
            assert batch.rows.equal(same.rows)


def test_batches_are_shuffled_by_their_seed(tmp_path: Path):
    store = fill(tmp_path, 40)
    first, again, other = ([batch.rows.tolist() for batch in store.batches(10, seed)] for seed in (0, 0, 1))
    assert first == again != other
    assert sorted(first[0]) != list(range(10))


def test_nothing_but_what_is_selected_is_read(tmp_path: Path):
    """The shards of other rows may be gone, and the bytes of other points too."""
    store = fill(tmp_path, 12)
    part = store.select(points=[POINTS[0]], problem="p1")
    expected = part.read()
    assert len(store.manifest.shards) > 3
    opened = Store.open(tmp_path)
    selected = opened.select(points=[POINTS[0]], problem="p1")  # reads the columns of every shard
    for shard in store.manifest.shards[1:]:
        path = tmp_path / shard.file
        path.write_bytes(bytes(shard.bytes))
    assert selected.read().equal(expected)


def test_old_rows_are_stored_before_the_shard_is_full(tmp_path: Path):
    with StoreWriter(tmp_path, POINTS, WIDTH, shard_seconds=0.0) as writer:
        for key in range(3):
            writer.append(torch.ones(3, 1, WIDTH), {"problem": [key]})
        assert writer.done == {0, 1, 2}
        writer.flush()
        assert len(Store.open(tmp_path).manifest.shards) == 3


def test_a_reader_sees_what_was_there_when_it_opened(tmp_path: Path):
    early = fill(tmp_path, 4)
    rows = early.read()
    late = fill(tmp_path, 8)
    assert len(late) > len(early)
    assert early.read().equal(rows)
    assert late.read()[:, : len(early)].equal(rows)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_conversion_is_torchs_own(tmp_path: Path, dtype: torch.dtype):
    given_as = torch.tensor([1 / 3, 1e-30, -60000.0, 3.0e-7]).to(torch.float64).reshape(1, 1, 4)
    with StoreWriter(tmp_path, [HookPoint(0, "attn_out")], 4, dtype=dtype) as writer:
        writer.append(given_as, {"problem": ["a"]})
    assert Store.open(tmp_path).read().equal(given_as.to(dtype))
