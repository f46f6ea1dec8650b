"""store.*: activations on disk beside raw files, an array in memory, and Hugging Face Arrow.

604 MB of float32 (one hook point, 196,608 rows, width 768), one torch thread; peer and ours alternate in one
process, on the disk that holds this checkout. Raw: one file, one write, one sync; one read into new memory.
Cold: the pages of the files are dropped from the page cache, which mincore(2) confirms. Arrow: as sae-lens
caches activations (`Dataset.from_dict` over `Array2D`, saved, read as torch tensors), in contexts of 16
positions, the length that served it best. It syncs nothing, while ours is durable when the clock stops; to
give single rows it reads the contexts they are in.
"""

import ctypes
import json
import mmap
import os
import random
import shutil
import tempfile
from itertools import count
from pathlib import Path

import datasets
import numpy as np
import torch
from _common import HEAD, llama, ratio

from undertext.activations.capture import capture
from undertext.activations.hookpoint import HookPoint
from undertext.activations.store import Store, StoreWriter, capture_to_store

ROUNDS = 5
POINT = HookPoint(1, "resid_post")
UNITS, ROWS, WIDTH, CONTEXT = 96, 2048, 768, 16


def drop(*files: Path) -> None:
    """Take the pages of these files out of the page cache; RuntimeError when some stay."""
    for file in files:
        with file.open("r+b") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            mapped = mmap.mmap(opened.fileno(), 0)
        pages = (ctypes.c_ubyte * -(-len(mapped) // mmap.PAGESIZE))()
        first = ctypes.c_char.from_buffer(mapped)
        failed = ctypes.CDLL(None).mincore(
            ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(len(mapped)), pages
        )
        del first
        mapped.close()
        if failed or any(page & 1 for page in bytes(pages)):
            raise RuntimeError(f"{file} is still in the page cache: these reads would not be cold")


def disk_ratios(folder: Path) -> dict[str, float]:
    """Everything but the overhead of capturing."""
    made = np.random.default_rng(0).standard_normal((UNITS * ROWS, WIDTH), dtype=np.float32)
    array = torch.from_numpy(made)
    number = count()
    scratch = folder / "scratch"
    datasets.disable_progress_bars()

    def fresh() -> None:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        os.sync()  # what a peer left unwritten is not ours to wait for

    def write(path: Path) -> None:
        with StoreWriter(path, [POINT], WIDTH) as writer:
            for first in range(0, len(array), ROWS):
                problem = [f"p{row // CONTEXT}" for row in range(first, first + ROWS)]
                position = torch.arange(ROWS) % CONTEXT
                rows = {"problem": problem, "position": position, "tokens": position}
                writer.append(array[None, first : first + ROWS], rows)

    def ours() -> None:
        write(scratch / str(next(number)))

    def raw(path: Path | None = None) -> None:
        with (path or scratch / str(next(number))).open("wb", buffering=0) as file:
            left = made.reshape(-1).view(np.uint8).data
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())

    features = datasets.Features({"x": datasets.Array2D((CONTEXT, WIDTH), dtype="float32")})

    def arrow() -> None:
        path = scratch / str(next(number))
        for place, buffer in enumerate(array.reshape(6, -1, CONTEXT, WIDTH)):  # a shard for each buffer
            shard = datasets.Dataset.from_dict({"x": buffer}, features=features)
            shard.save_to_disk(path / str(place), num_shards=1)

    found = {
        "store.write": ratio("store.write", raw, ours, before=fresh, rounds=ROUNDS),
        "store.arrow_write": ratio("store.arrow_write", arrow, ours, before=fresh, rounds=ROUNDS),
    }

    fresh()
    write(folder / "store")
    raw(folder / "raw")
    arrow()
    files = [folder / "raw", *(folder / "store").glob("shard-*")]
    found["store.cold_read"] = ratio(
        "store.cold_read",
        lambda: np.fromfile(folder / "raw", dtype=np.float32),
        lambda: Store.open(folder / "store").read(),
        before=lambda: drop(*files),
        rounds=ROUNDS,
    )

    store = Store.open(folder / "store")
    (saved,) = scratch.iterdir()
    parts = [datasets.load_from_disk(saved / str(place)) for place in range(6)]
    cached = datasets.concatenate_datasets(parts).with_format("torch")
    rows = torch.empty(0, dtype=torch.long)

    def pick() -> None:
        rows.set_(torch.randperm(len(array))[:4096])

    def from_arrow() -> torch.Tensor:
        contexts, place = (rows // CONTEXT).unique(return_inverse=True)
        read: torch.Tensor = cached[contexts.tolist()]["x"]
        return read[place, rows % CONTEXT]

    pick()
    assert store.read(rows)[0].equal(array[rows])
    assert from_arrow().equal(array[rows])
    found["store.random_rows"] = ratio(
        "store.random_rows", lambda: array[rows], lambda: store.read(rows), before=pick, rounds=15
    )
    found["store.arrow_random"] = ratio(
        "store.arrow_random", from_arrow, lambda: store.read(rows), before=pick, rounds=ROUNDS
    )
    return found


def overhead(folder: Path) -> float:
    """Capturing every position at 4 points of 8 layers into a store, over capturing them and no more."""
    checkpoint = llama()
    os.sync()
    draw = random.Random(0)
    prompts = {key: [draw.randrange(1, 1000) for _ in range(32)] for key in range(96)}
    ids = list(prompts.values())
    points = [HookPoint(layer, "resid_post") for layer in (1, 3, 5, 7)]
    number = count()

    def nowhere() -> None:
        for start in range(0, len(ids), 32):
            capture(checkpoint, ids[start : start + 32], points, "all")

    def to_store() -> None:
        capture_to_store(checkpoint, prompts, points, "all", folder / f"captured{next(number)}", unit=32)

    return ratio("store.overhead", to_store, nowhere, rounds=ROUNDS)


def main() -> None:
    torch.set_num_threads(1)
    print(HEAD)
    with tempfile.TemporaryDirectory(dir=Path(__file__).parents[1], prefix=".bench-store-") as folder:
        found = disk_ratios(Path(folder))
        found["store.overhead"] = overhead(Path(folder))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
