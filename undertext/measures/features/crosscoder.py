"""A crosscoder on a task: which latents are of the base alone, shared, of tuned alone, and what they tell."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.capture import capture
from undertext.activations.errors import UserError
from undertext.activations.hooks import check_point
from undertext.activations.pair import Pair
from undertext.activations.spans import TokenSpan
from undertext.core.progress import Progress
from undertext.jobs.sae_features.config import DiffConfig
from undertext.jobs.sae_features.job import KINDS, best_columns, classes_table, plain
from undertext.measures.features.association import best_of, ranked, tell
from undertext.measures.features.effects import MODELS
from undertext.measures.features.encoding import Read
from undertext.measures.features.fates import Followed
from undertext.measures.features.labels import Labels, label_texts
from undertext.measures.features.rule import FeatureRule
from undertext.saes import (
    Crosscoder,
    TextFirings,
    feature_page,
    latent_scaling,
    relative_norm,
    sort_by_norm,
    sort_latents,
)
from undertext.saes.firings import Collector
from undertext.saes.sorting import KINDS as LATENT_KINDS
from undertext.tasks.task import Task

ROWS = 2048
"""Rows encoded at a time."""


def sort_crosscoder(
    crosscoder: Crosscoder, pair: Pair, task: Task, config: DiffConfig, rule: FeatureRule, bars: Progress
) -> Followed:
    """Sort latents by decoder norm, and by latent scaling on the reported split."""
    check_crosscoder(crosscoder, pair)
    with bars.stage("reading", 3) as done:
        chosen, _ = _read(crosscoder, pair, task, config.choose, config, None)
        done(1)
        labels = [told.labels for told in chosen.told[0]]
        read, rows = _read(crosscoder, pair, task, config.split, config, labels)
        done(1)
        scaling = latent_scaling(crosscoder, _batches(rows))
        done(1)
    sorts = {"scaling": sort_latents(scaling, rule.latents), "norm": sort_by_norm(scaling, rule.norm)}
    alive = chosen.frequency[0] >= rule.fates.alive
    top = ranked(chosen.told[0], alive, config.pages) if config.pages else []
    stronger = scaling.stronger.tolist()
    with bars.stage("pages"):
        # A latent fires for both models at once; it is shown with what it writes in the one that holds it.
        pages = tuple(
            feature_page(
                latent,
                crosscoder.decoders[stronger[latent], -1, latent],
                read.texts,
                [pair[stronger[latent]]],
            )
            for latent in top
        )
    columns: dict[str, Any] = {"latent": list(range(len(stronger)))}
    columns |= {f"kind_by_{name}": [LATENT_KINDS[i] for i in each.index] for name, each in sorts.items()}
    columns["frequency"] = read.frequency[0].tolist()
    columns["relative_norm"] = plain(relative_norm(scaling.norms))
    for m, model in enumerate(MODELS):
        columns |= {f"norm_{model}": plain(scaling.norms[m]), f"held_{model}": plain(scaling.held[m])}
    for name in ("held", "error", "reconstruction"):
        columns[f"{name}_ratio"] = plain(scaling.ratio(getattr(scaling, name)))
    columns["twin"] = plain(scaling.twin)
    for kind in KINDS:
        if (best := best_of(kind, chosen.told[0], read.told[0])) is not None:
            columns |= best_columns(kind, best, ("",))
    living = {name: [each.index[latent].item() for latent in range(len(stronger)) if alive[latent]]
              for name, each in sorts.items()}  # fmt: skip
    return Followed(
        summary={
            "hook_points": list(map(str, crosscoder.points)),
            "tokens": read.texts[0].firings.n,
            "latents": len(stronger),
            "alive": int(alive.sum()),
            "kinds": {name: _shares(each) for name, each in living.items()},
            "kinds_of_top": {
                name: _shares([each.index[latent].item() for latent in top]) for name, each in sorts.items()
            },
            "top": top,
        },
        pages=pages,
        tables={"latents": pa.table(columns), "classes": classes_table(chosen, read, ("",))},
    )


def check_crosscoder(crosscoder: Crosscoder, pair: Pair) -> None:
    """UserError unless it reads hook points of these checkpoints, at their width."""
    if not crosscoder.points:
        raise UserError("this crosscoder does not say at which hook points it reads")
    for point in crosscoder.points:
        check_point(pair.base, point)
        width = crosscoder.encoders.shape[2]
        if pair.base.width(point) != width:
            raise UserError(
                f"this crosscoder reads activations of width {width}, {pair.base.name} has "
                f"{pair.base.width(point)} at {point}"
            )


Activations = Float[Tensor, "model point n d_model"]


def _read(
    crosscoder: Crosscoder,
    pair: Pair,
    task: Task,
    split: str,
    config: DiffConfig,
    like: Sequence[Labels] | None,
) -> tuple[Read, Activations]:
    labelled = label_texts(
        pair.base, task.split(split), skip=config.skip, max_classes=config.max_classes, like=like
    )
    places = [TokenSpan(config.skip) for _ in labelled.tokens]
    points = list(crosscoder.points)
    rows = torch.stack([capture(each, labelled.tokens, points, places).activations for each in pair])
    collector = Collector()
    for base, tuned in _batches(rows):
        collector.add(crosscoder.encode(base, tuned))
    firings = collector.firings()
    tokens = torch.tensor([token for ids in labelled.tokens for token in ids[config.skip :]])
    texts = torch.tensor([i for i, ids in enumerate(labelled.tokens) for _ in ids[config.skip :]])
    told = tell(firings, labelled.labels, config.bins)
    return Read((TextFirings(firings, tokens, texts),), (told,)), rows


def _batches(rows: Activations) -> Iterator[tuple[Tensor, Tensor]]:
    for chunk in rows.split(ROWS, dim=2):
        yield chunk[0], chunk[1]


def _shares(kinds: Sequence[int | float]) -> dict[str, float]:
    names = [LATENT_KINDS[int(i)] for i in kinds]
    return {kind: names.count(kind) / max(1, len(names)) for kind in LATENT_KINDS if kind != "dead"}
