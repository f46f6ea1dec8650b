"""The latents of a crosscoder sorted: of the base alone, shared, of the tuned model alone."""

from dataclasses import asdict
from functools import partial
from typing import Any

import pyarrow as pa

from undertext.activations.pair import Pair
from undertext.core.job import JobRun
from undertext.core.resume import Part
from undertext.core.terms import ROLES
from undertext.jobs.sae_diff.config import DiffConfig
from undertext.jobs.sae_diff.features import Findings
from undertext.measures.features.association import most_associated
from undertext.measures.features.columns import best_columns, classes_table, numbers, rows_table
from undertext.measures.features.crosscoder import encode_latents, scaled_latents
from undertext.measures.features.rule import FeatureRule
from undertext.saes import (
    Crosscoder,
    Scaling,
    SortedLatents,
    feature_page,
    relative_norm,
    sort_by_norm,
    sort_latents,
)
from undertext.saes.sorting import KINDS
from undertext.tasks.task import Task


def sort_crosscoder(
    run: JobRun, crosscoder: Crosscoder, pair: Pair, task: Task, config: DiffConfig, rule: FeatureRule
) -> Findings:
    """Latents sorted by decoder norm, and by latent scaling on the split that is reported."""
    encode = partial(encode_latents, crosscoder, pair, task, config.choose, config)
    (chosen,) = run.make([Part("encoding/chosen", lambda _: encode()[0], stage="encoding")])
    scale = partial(scaled_latents, crosscoder, pair, task, config.split, config, rule.scaling, chosen.labels)
    ((encoded, scaling),) = run.make([Part("encoding/reported", lambda _: scale(), stage="encoding")])
    sorts = {"scaling": sort_latents(scaling, rule.latents), "norm": sort_by_norm(scaling, rule.norm)}
    alive = chosen.frequency[0] >= rule.fates.alive
    top = most_associated(chosen.associations[0], alive, config.pages) if config.pages else []
    stronger = scaling.stronger.tolist()
    with run.bars.stage("pages"):
        # A latent fires for both models at once; it is shown with what it writes in the one that holds it.
        pages = [
            feature_page(
                latent,
                crosscoder.decoders[stronger[latent], -1, latent],
                encoded.texts,
                [pair[stronger[latent]]],
            )
            for latent in top
        ]
    columns = _columns(scaling, sorts, encoded.frequency[0].tolist())
    columns |= best_columns(chosen.associations[0], {"": encoded.associations[0]})
    tables = {"latents": pa.table(columns), "classes": classes_table(chosen, encoded, ("",))}
    if pages:
        tables["pages"] = rows_table([asdict(page) for page in pages])
    living = alive.nonzero()[:, 0].tolist()
    summary = {
        "hook_points": list(map(str, crosscoder.points)),
        "tokens": encoded.texts[0].firings.n,
        "latents": len(stronger),
        "alive": len(living),
        "kinds": {name: one.shares(living) for name, one in sorts.items()},
        "kinds_of_most_associated": {name: one.shares(top) for name, one in sorts.items()},
        "most_associated": top,
    }
    return Findings(summary, tables)


def _columns(scaling: Scaling, sorts: dict[str, SortedLatents], frequency: list[float]) -> dict[str, Any]:
    columns: dict[str, Any] = {"latent": list(range(len(frequency)))}
    columns |= {f"kind_by_{name}": [KINDS[i] for i in one.index.tolist()] for name, one in sorts.items()}
    columns |= {"frequency": frequency, "relative_norm": numbers(relative_norm(scaling.norms))}
    for m, role in enumerate(ROLES):
        columns[f"norm_{role}"] = numbers(scaling.norms[m])
        columns[f"held_{role}"] = numbers(scaling.held[m])
    for name in ("held", "error", "reconstruction"):
        columns[f"{name}_ratio"] = numbers(scaling.ratio(getattr(scaling, name)))
    return columns | {"co_firing": numbers(scaling.co_firing)}
