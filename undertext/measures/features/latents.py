"""A crosscoder's latents in a pair: which model each belongs to, and the pages of some."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from undertext.activations.pair import Pair
from undertext.core.terms import ROLES, Role
from undertext.measures.features.association import best_class
from undertext.measures.features.columns import numbers
from undertext.measures.features.config import EncodingConfig
from undertext.measures.features.crosscoder import encode_labelled, in_batches
from undertext.measures.features.encoding import EncodedSplit
from undertext.measures.features.in_pair import BY_LABELS, labels_or_none, said_class, shown_features
from undertext.measures.features.kept import Kept
from undertext.measures.features.rule import FeatureRule
from undertext.saes import (
    Crosscoder,
    FeaturePage,
    Scaling,
    SortedLatents,
    feature_page,
    latent_scaling,
    relative_norm,
    sort_by_norm,
    sort_latents,
)
from undertext.saes.sorting import KINDS, Kind
from undertext.tasks.task import Task


@dataclass(frozen=True)
class PairLatents:
    """Latents of one crosscoder in base and tuned."""

    tokens: int
    """Of the split that is reported."""
    kept: Mapping[Role, Kept]
    """On the split that is reported."""
    kinds: Mapping[str, Mapping[Kind, float]]
    """By `norm` and by `scaling`: share of the latents that live on the split of the choice, by kind."""
    columns: Mapping[str, Sequence[Any]]
    """Columns of a table with a row a latent (`latent_columns`)."""
    rows: Sequence[Mapping[str, Any]]
    """A row a latent that has a page."""
    pages: Sequence[Mapping[str, Any]]
    """`saes.FeaturePage`s, as plain values."""
    notes: Sequence[str]


def latents_in_pair(
    crosscoder: Crosscoder, pair: Pair, task: Task, config: EncodingConfig, rule: FeatureRule
) -> PairLatents:
    """Read the prompts and traces of `config.choose` and `config.split` in both checkpoints.

    Pages are of the latents that predict the task's values best (else steps, else parts of its texts), or
    that write most where there are none, `config.pages` in all; none where the latents write into
    heads (`z`), which are not unembedded.
    """
    texts, notes = labels_or_none(pair, task.split(config.choose), config)
    chosen, _ = encode_labelled(crosscoder, pair, texts, config)
    like, _ = labels_or_none(pair, task.split(config.split), config, chosen.labels)
    reported, activations = encode_labelled(crosscoder, pair, like, config)
    scaling = latent_scaling(crosscoder, in_batches(activations), rule.scaling)
    sorts = {"norm": sort_by_norm(scaling, rule.norm), "scaling": sort_latents(scaling, rule.latents)}
    explained = numbers(crosscoder.explained(activations[0], activations[1]))
    alive = chosen.frequency[0] >= rule.fates.alive
    writes = chosen.strength[0].nan_to_num(0.0) * chosen.frequency[0] * crosscoder.norms().amax(dim=0)
    count = config.pages
    if count and (last := crosscoder.points[-1]).site == "z":
        notes.append(
            f"no latent has a page: what it writes at {last} is not in the stream that is unembedded"
        )
        count = 0
    why = shown_features(chosen.associations[0], alive, writes, count, {})
    living = alive.nonzero()[:, 0].tolist()
    if not living:
        notes.append("no latent of the crosscoder fires at any of the texts")
    columns = latent_columns(crosscoder, scaling, sorts, reported.frequency[0].tolist())
    return PairLatents(
        tokens=reported.texts[0].firings.n,
        kept={role: Kept(each, None) for role, each in zip(ROLES, explained, strict=True)},
        kinds={name: one.shares(living) for name, one in sorts.items()},
        columns=columns,
        rows=_rows(why, chosen, reported, columns),
        pages=[asdict(each) for each in latent_pages(crosscoder, scaling, list(why), reported, pair)],
        notes=notes,
    )


def latent_columns(
    crosscoder: Crosscoder,
    scaling: Scaling,
    sorts: Mapping[str, SortedLatents],
    frequency: Sequence[float],
) -> dict[str, Any]:
    """Columns of a table with a row a latent: its kind by each sort, what the kinds rest on, `frequency`, and
    the `cosine` of its two decoders."""
    columns: dict[str, Any] = {"latent": list(range(len(frequency)))}
    columns |= {f"kind_by_{name}": [KINDS[i] for i in one.index.tolist()] for name, one in sorts.items()}
    columns |= {"frequency": frequency, "relative_norm": numbers(relative_norm(scaling.norms))}
    columns |= {"cosine": numbers(crosscoder.cosines())}
    for m, role in enumerate(ROLES):
        columns[f"norm_{role}"] = numbers(scaling.norms[m])
        columns[f"held_{role}"] = numbers(scaling.held[m])
    for name in ("held", "error", "reconstruction"):
        columns[f"{name}_ratio"] = numbers(scaling.ratio(getattr(scaling, name)))
    return columns | {"co_firing": numbers(scaling.co_firing)}


def latent_pages(
    crosscoder: Crosscoder, scaling: Scaling, latents: Sequence[int], encoded: EncodedSplit, pair: Pair
) -> list[FeaturePage]:
    """The pages of some latents. A latent fires for both models at once; it is shown with what it writes in
    the one that holds more of it."""
    stronger = scaling.stronger.tolist()
    return [
        feature_page(
            latent, crosscoder.decoders[stronger[latent], -1, latent], encoded.texts, [pair[stronger[latent]]]
        )
        for latent in latents
    ]


def _rows(
    why: Mapping[int, str], chosen: EncodedSplit, reported: EncodedSplit, columns: Mapping[str, Sequence[Any]]
) -> list[dict[str, Any]]:
    kinds = (best_class(kind, chosen.associations[0], reported.associations[0]) for kind in BY_LABELS)
    best = next((each for each in kinds if each is not None), None)
    return [
        {
            "latent": latent,
            "chosen_by": by,
            "predicts": None if best is None else said_class(best, latent),
            "auroc": None if best is None else numbers(best.auroc[0, latent, None])[0],
            **{name: columns[name][latent] for name in ("frequency", "relative_norm", "cosine")},
            **{name: columns[f"kind_by_{name}"][latent] for name in ("norm", "scaling")},
        }
        for latent, by in why.items()
    ]
