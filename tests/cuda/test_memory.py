"""Memory that runs out on the GPU: results are whole all the same, or one line says what does not fit."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cuda.both import GPU, alike, near
from tests.toys import tiny_folder
from undertext.activations import Branch, Checkpoint, HookPoint, UserError, capture, generate, score_branches

PROMPTS = [[3 + (i * j) % 30 for j in range(400)] for i in range(256)]
POINT = HookPoint(1, "resid_post")


@contextmanager
def at_most(mib: int) -> Iterator[None]:
    """So much memory beside what is held already, for this process."""
    torch.cuda.empty_cache()
    room = torch.cuda.memory_reserved() + mib * 2**20
    torch.cuda.set_per_process_memory_fraction(room / torch.cuda.get_device_properties(0).total_memory)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Checkpoint:
    folder: Path = tiny_folder(tmp_path_factory.mktemp("wide") / "made", d_model=64, n_ctx=512)
    return Checkpoint.load(folder, device=GPU)


@pytest.fixture
def rows(checkpoint) -> Iterator[list[int]]:
    """How many rows each pass began to read."""
    sizes: list[int] = []
    handle = checkpoint.model.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    yield sizes
    handle.remove()


def test_capture_goes_on_in_smaller_batches(checkpoint, rows):
    whole = capture(checkpoint, PROMPTS, [POINT], "all", batch_tokens=10**6)[POINT]
    rows.clear()
    with at_most(100):
        found = capture(checkpoint, PROMPTS, [POINT], "all", batch_tokens=10**6)[POINT]
    assert rows[0] == len(PROMPTS) > min(rows), rows
    near(found, whole)


def test_generation_goes_on_with_fewer_rows(checkpoint, rows):
    options: dict[str, Any] = {"max_new_tokens": 8, "samples": 2, "temperature": 1.0}
    whole = generate(checkpoint, PROMPTS, **options)
    counted: list[int] = []
    rows.clear()
    with at_most(100):
        found = generate(checkpoint, PROMPTS, progress=counted.append, **options)
    assert min(rows) < max(rows), rows
    alike(found, whole)
    assert sum(counted) == len(found.tokens)


def test_branches_go_on_in_smaller_batches(checkpoint, rows):
    branches = [[Branch(at, [5, 6]) for at in (1, 200, 400)] for _ in PROMPTS]
    whole = score_branches(checkpoint, PROMPTS, branches, max_tokens=10**6)
    rows.clear()
    with at_most(100):
        found = score_branches(checkpoint, PROMPTS, branches, max_tokens=10**6)
    assert len(rows) > 1
    near(found.tokens, whole.tokens)


def test_a_prompt_that_does_not_fit_is_named(tmp_path):
    large = Checkpoint.load(tiny_folder(tmp_path / "made", d_model=256, n_ctx=4096), device=GPU)
    prompt = [4 + i % 30 for i in range(4000)]
    capture(large, [prompt], [POINT])
    with at_most(0), pytest.raises(UserError, match="prompt 0 alone, of 4000 tokens, does not fit in memory"):
        capture(large, [prompt], [POINT])
    with at_most(0), pytest.raises(UserError, match="prompt 0 alone, of 4000 tokens, does not fit in memory"):
        generate(large, [prompt], max_new_tokens=4)
    found = generate(large, [prompt], max_new_tokens=4)  # there is room again
    assert len(found.tokens) == 1
