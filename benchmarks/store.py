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
import statistics
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from time import perf_counter

import datasets
import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from activations.capture import capture
from activations.checkpoint import Checkpoint
from activations.hookpoint import HookPoint
from activations.store import Store, StoreWriter, capture_to_store

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


def ratio(
    name: str,
    over: Callable[[], object],
    under: Callable[[], object],
    before: Callable[[], object] = lambda: None,
) -> float:
    """Median over rounds of time(over) / time(under), each after `before`, which is not timed."""
    found: list[float] = []
    spent: list[list[float]] = []
    for turn in range(ROUNDS + 1):
        times = []
        for job in (over, under):
            before()
            start = perf_counter()
            kept = job()
            times.append(perf_counter() - start)
            del kept
        if turn:  # the first warms both up
            found.append(times[0] / times[1])
            spent.append(times)
    seconds = " against ".join(f"{statistics.median(each):.4f}" for each in zip(*spent, strict=True))
    print(f"| {name} | {statistics.median(found):.3f} | {min(found):.3f} to {max(found):.3f} | {seconds} |")
    return round(statistics.median(found), 4)


def model() -> Checkpoint:
    """A random Llama of width 512 with 8 layers."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=1000, hidden_size=512, intermediate_size=1376, num_hidden_layers=8, num_attention_heads=8,
        num_key_value_heads=8, max_position_embeddings=512,
    )  # fmt: skip
    words = Tokenizer(WordLevel({str(i): i for i in range(1000)}, unk_token="0"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="0", pad_token="0")
    return Checkpoint.load(LlamaForCausalLM(config), tokenizer=tokenizer)


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
        "store.write": ratio("store.write", raw, ours, fresh),
        "store.arrow_write": ratio("store.arrow_write", arrow, ours, fresh),
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
        lambda: drop(*files),
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
        "store.random_rows", lambda: array[rows], lambda: store.read(rows), pick
    )
    found["store.arrow_random"] = ratio("store.arrow_random", from_arrow, lambda: store.read(rows), pick)
    return found


def overhead(folder: Path) -> float:
    """Capturing every position at 4 points of 8 layers into a store, over capturing them and no more."""
    checkpoint = model()
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

    return 1 / ratio("capture to nowhere over to store", nowhere, to_store)


def main() -> None:
    torch.set_num_threads(1)
    print("| id | ratio | spread | seconds |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=Path(__file__).parents[1], prefix=".bench-store-") as folder:
        found = disk_ratios(Path(folder))
        found["store.overhead"] = round(overhead(Path(folder)), 4)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
