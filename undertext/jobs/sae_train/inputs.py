"""What `sae train` reads: checkpoints, of which one is in memory at a time where they are names, and
texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.hooks import check_point
from undertext.activations.pair import Outline, check_outlines, notes
from undertext.activations.store.capturing_pair import free_memory
from undertext.core.setup import open_checkpoint
from undertext.jobs.sae_train.config import TrainConfig
from undertext.jobs.sae_train.texts import Texts, texts_of
from undertext.tasks.task import Task


class Sources:
    """One checkpoint or two as they were given. A single one stays open; of two names, each is opened in
    turn."""

    def __init__(self, given: Sequence[Any], config: TrainConfig) -> None:
        self._given, self._config = list(given), config

    def __len__(self) -> int:
        return len(self._given)

    def open(self, which: int) -> Checkpoint:
        """The checkpoint. The caller gives it back, by forgetting it, before it asks for the other one."""
        free_memory()
        checkpoint = open_checkpoint(
            self._given[which],
            device=self._config.device,
            dtype=self._config.dtype,
            base=self._given[0] if which else None,
        )
        if len(self) == 1:
            self._given[which] = checkpoint
        return checkpoint


class Inputs(NamedTuple):
    """What is known before any long work."""

    texts: Texts
    points: list[HookPoint]
    skip: int
    fingerprints: list[str]
    d_model: int
    notes: list[str]
    """What a reader must know of how the checkpoints were loaded, and of how their vocabularies differ."""

    def identity(self) -> dict[str, Any]:
        """What the activations depend on, for run.json."""
        return {
            "checkpoints": self.fingerprints,
            "texts": self.texts.fingerprint(),
            "points": list(map(str, self.points)),
        }


def check_inputs(sources: Sources, given: Task | Path, config: TrainConfig) -> Inputs:
    """The texts as tokens, and where they are read; UserError for what cannot be captured or trained on."""
    first = sources.open(0)
    layers = (first.n_layers // 2,) if config.layers is None else config.layers
    points = [HookPoint(layer, config.site) for layer in sorted(set(layers))]
    texts, outline, fingerprints = texts_of(first, given, config), Outline.of(first), [first.fingerprint]
    for point in points:
        check_point(first, point)
    told = list(first.notes)
    del first
    rows = sum(len(ids) - config.skip for ids in texts.train.values())
    if rows < config.batch_size + config.held_out:  # training would say so, but after the capture
        raise UserError(
            f"expected at least {config.batch_size} tokens to train on and {config.held_out} held out, "
            f"got {rows}: lower batch_size or held_out, or give more texts"
        )
    if len(sources) == 2:
        tuned = sources.open(1)
        check_outlines(outline, Outline.of(tuned), texts.read)
        fingerprints.append(tuned.fingerprint)
        told += [*tuned.notes, *notes(outline, Outline.of(tuned))]
    return Inputs(texts, points, config.skip, fingerprints, outline.d_model, told)
