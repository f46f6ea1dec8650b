"""Capturing a base and a tuned checkpoint one after the other, with one of them in memory at a time."""

import gc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from undertext.activations.checkpoint import CheckpointSource
from undertext.activations.hookpoint import HookPoint
from undertext.activations.hooks import check_point
from undertext.activations.pair import Outline, check_outlines, load_checkpoint
from undertext.activations.store.capturing import Chosen, capture_to_store
from undertext.activations.store.pairing import StorePair, open_pair

BASE, TUNED = "base", "tuned"


def capture_pair_to_store(
    base: CheckpointSource,
    tuned: CheckpointSource,
    prompts: Mapping[Any, str | Sequence[int]],
    points: Sequence[HookPoint],
    positions: Chosen,
    folder: str | Path,
    *,
    load: Mapping[str, Any] | None = None,
    **options: Any,
) -> StorePair:
    """Capture both into the stores `folder`/base and `folder`/tuned, one after the other, and open them.

    A source that is read (a folder, a hub id) is in memory only while it is captured. That the two are a
    pair is found out first, by loading the tuned one for a moment: no capture is made in vain. Killed and
    called again with the same arguments, it goes on as `capture_to_store` does.

    Args:
        base: what `Checkpoint.load` takes.
        tuned: the same.
        prompts: as for `capture_to_store`, and so are `points` and `positions`.
        points: where to capture.
        positions: at which tokens.
        folder: where the two stores are, or are to be.
        load: options of `Checkpoint.load` for both, such as device and dtype.
        options: those of `capture_to_store`, for both. `progress` is told of each in turn.

    Raises:
        UserError: as `load_pair`, `capture_to_store` and `open_pair`.
    """
    loading = dict(load or {})
    outline = _outline(tuned, base, points, loading)
    texts = [prompt for prompt in prompts.values() if isinstance(prompt, str)]
    for source, name in ((base, BASE), (tuned, TUNED)):
        checkpoint = load_checkpoint(source, base, **loading)
        # The second time round as well: a folder may have been written anew meanwhile.
        check_outlines(Outline.of(checkpoint), outline, texts)
        capture_to_store(checkpoint, prompts, points, positions, Path(folder) / name, **options)
        del checkpoint
        free_memory()
    return open_pair(Path(folder) / BASE, Path(folder) / TUNED)


def free_memory() -> None:
    """Give back what is held by nothing any more: modules refer to one another, and torch keeps a pool."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _outline(
    source: CheckpointSource, base: CheckpointSource, points: Sequence[HookPoint], loading: Mapping[str, Any]
) -> Outline:
    """What a checkpoint is like; UserError when it lacks one of the points."""
    checkpoint = load_checkpoint(source, base, **loading)
    for point in points:
        check_point(checkpoint, point)
    outline = Outline.of(checkpoint)
    del checkpoint
    free_memory()
    return outline
