"""The latents of a crosscoder sorted: of the base alone, shared, of the tuned model alone."""

from dataclasses import asdict
from functools import partial

import pyarrow as pa

from undertext.activations.pair import Pair
from undertext.core.job import JobRun
from undertext.core.resume import Part
from undertext.jobs.sae_diff.config import DiffConfig
from undertext.jobs.sae_diff.features import Findings
from undertext.measures.features.association import most_associated
from undertext.measures.features.columns import best_columns, classes_table, rows_table
from undertext.measures.features.crosscoder import encode_latents, scaled_latents
from undertext.measures.features.latents import latent_columns, latent_pages
from undertext.measures.features.rule import FeatureRule
from undertext.saes import Crosscoder, sort_by_norm, sort_latents
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
    with run.bars.stage("pages"):
        pages = latent_pages(crosscoder, scaling, top, encoded, pair)
    columns = latent_columns(crosscoder, scaling, sorts, encoded.frequency[0].tolist())
    columns |= best_columns(chosen.associations[0], {"": encoded.associations[0]})
    tables = {"latents": pa.table(columns), "classes": classes_table(chosen, encoded, ("",))}
    if pages:
        tables["pages"] = rows_table([asdict(page) for page in pages])
    living = alive.nonzero()[:, 0].tolist()
    summary = {
        "hook_points": list(map(str, crosscoder.points)),
        "tokens": encoded.texts[0].firings.n,
        "latents": len(chosen.frequency[0]),
        "alive": len(living),
        "kinds": {name: one.shares(living) for name, one in sorts.items()},
        "kinds_of_most_associated": {name: one.shares(top) for name, one in sorts.items()},
        "most_associated": top,
    }
    return Findings(summary, tables)
