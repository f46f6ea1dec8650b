"""What `sae train` would read, and how long its updates would take."""

from collections.abc import Callable
from typing import Any

import torch

from undertext.activations.batching import batch_tokens_on
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.store import Store, StorePair
from undertext.core.plan import Draft, Trial, Work
from undertext.jobs.sae_train.config import TrainConfig
from undertext.jobs.sae_train.inputs import Inputs, Sources
from undertext.measures.features.works import encoded_bytes
from undertext.saes import Training, train_crosscoder, train_sae
from undertext.tasks.work import TRIED

SPLICED = 4
"""Times that a text is read for the loss: as it is, with the reconstruction, with zeros, with the mean."""
_FLOAT = 4
"""Bytes of an activation."""


def train_draft(
    sources: Sources | None,
    inputs: Inputs | None,
    captured: Store | StorePair | None,
    config: TrainConfig,
    room: int,
) -> Draft:
    """The job before it begins: of texts (`inputs`, read by the checkpoints of `sources`), or of a store."""
    points = len(inputs.points if inputs is not None else captured.points if captured is not None else ())
    if inputs is not None:
        d_model = inputs.d_model
        rows = sum(len(ids) - inputs.skip for ids in inputs.texts.train.values())
    else:
        assert captured is not None, "there are texts, or a store"
        one = captured if isinstance(captured, Store) else captured.base
        d_model, rows = one.d_model, len(captured)
    models = 1 if config.kind == "sae" else 2
    # Shards are mapped into memory, and all of them are read again and again.
    kept = rows * points * d_model * models * _FLOAT

    checkpoints: list[Checkpoint] = [] if sources is None else [sources.open(0)]

    def works(config: TrainConfig) -> list[Work]:
        training = Work("training", 0, 0, updates=config.steps, kept=kept)
        if inputs is None:
            return [training]
        lengths = [len(ids) for ids in inputs.texts.train.values()]
        capturing = Work("capturing", models * len(lengths), models * sum(lengths))
        if config.kind != "sae":
            return [capturing, training]
        held = [len(ids) for ids in inputs.texts.held_out if len(ids) > 1]
        at_once = batch_tokens_on(checkpoints[0].device)
        spliced = kept + encoded_bytes(held, config.d_sae, at_once)
        return [capturing, training, Work("loss", SPLICED * len(held), SPLICED * sum(held), kept=spliced)]

    texts = [] if inputs is None else list(inputs.texts.train.values())[:TRIED]
    trial = Trial(
        checkpoints[0] if checkpoints else None,
        texts,
        config.batch_size,
        0,
        update=_updates(config, points, d_model),
    )
    less: list[dict[str, Any]] = []
    if config.steps > 1:
        less.append({"steps": config.steps // 2})
    notes = [] if inputs is None else list(inputs.notes)
    if models == 2 and inputs is not None:
        notes.append("rates and weights are those of the base: one checkpoint is opened at a time")
    return Draft(works, trial, checkpoints, less, room or None, notes, device=config.device)


def _updates(config: TrainConfig, points: int, d_model: int) -> Callable[[int], None]:
    """So many updates of what is trained, on rows drawn at random, of which nothing is kept."""
    rows = config.batch_size + config.held_out
    settings = config.training()
    generator = torch.Generator().manual_seed(config.seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    def update(count: int) -> None:
        few = settings.model_copy(update={"steps": count})
        if config.kind == "crosscoder":
            own = Training(**{name: getattr(few, name) for name in Training.model_fields})
            train_crosscoder((draw(points, rows, d_model), draw(points, rows, d_model)), own, progress=False)
        else:
            train_sae(draw(rows, d_model), few, progress=False)

    return update
