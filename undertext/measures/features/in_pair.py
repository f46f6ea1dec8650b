"""What an SAE shows of a pair on some of a task's texts: what it keeps of each checkpoint, what became of its
features, and the pages of some."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from undertext.activations.capture import capture
from undertext.activations.errors import UserError
from undertext.activations.pair import Pair
from undertext.activations.spans import TokenSpan
from undertext.core.terms import ROLES, Role
from undertext.measures.features.association import (
    Association,
    BestClass,
    associate,
    best_class,
    most_associated,
)
from undertext.measures.features.columns import numbers
from undertext.measures.features.config import EncodingConfig
from undertext.measures.features.encoding import EncodedSplit
from undertext.measures.features.fates import Scales, associated, matched_fates, matching_scales
from undertext.measures.features.kept import Kept, sae_keeps
from undertext.measures.features.labels import LabelKind, LabelledTexts, Labels, label_texts, tokens_of
from undertext.measures.features.opening import OpenedSae
from undertext.measures.features.rule import FeatureRule
from undertext.saes import FATES, Fates, SortedFates, decoder_directions, feature_page, read_texts, sort_fates
from undertext.saes.fates import Fate
from undertext.tasks.task import Problem, Task

BY_LABELS: dict[LabelKind, str] = {
    "value": "predicts a value",
    "valid": "predicts valid steps",
    "part": "predicts a part of the text",
}
"""By what a feature was chosen, by the kind of labels; the first kind that a task has counts."""
BY_STRENGTH = "writes most"
PASSES_CHOOSE, PASSES_REPORT = 6, 1
"""How often each checkpoint reads a text of the split of the choice, and of the one that is reported."""


@dataclass(frozen=True)
class PairFeatures:
    """Features of one SAE in base and tuned, whose activations are scaled to those that it was trained on."""

    scales: Scales
    tokens: int
    """Of the split that is reported."""
    kept: Mapping[Role, Kept]
    """On the split of the choice."""
    fates: Mapping[Fate, float]
    """Share of the living features that have each fate; NaN where none lives."""
    retained: tuple[int, int] | None
    """Of the features that predict a value best in the base on the split of the choice, and predict it on the
    other: how many are stable, and how many there are. None where the task names no values."""
    rows: Sequence[Mapping[str, Any]]
    """A row a feature that has a page."""
    pages: Sequence[Mapping[str, Any]]
    """`saes.FeaturePage`s, as plain values."""
    notes: Sequence[str]

    @property
    def features(self) -> list[int]:
        """Those that have a page, in order."""
        return [row["feature"] for row in self.rows]


def features_in_pair(
    opened: OpenedSae,
    pair: Pair,
    task: Task,
    config: EncodingConfig,
    rule: FeatureRule,
    chosen_by: Mapping[int, str],
) -> PairFeatures:
    """Read the prompts and traces of `config.choose` and `config.split` in both checkpoints.

    Pages are of the features of `chosen_by`, which says why, then of those that predict the task's values
    best (else steps, else parts of its texts), `config.pages` in all. UserError as `read_texts`, and for a
    feature that the SAE has not.
    """
    texts, notes = labels_or_none(pair, task.split(config.choose), config)
    spans = [TokenSpan(0) for _ in texts.tokens]
    activations = [capture(one, texts.tokens, [opened.point], spans)[opened.point] for one in pair]
    base, tuned = (float(each.norm(dim=-1).mean()) for each in activations)
    own = trained_on(opened.sae, pair)
    scales = matching_scales((base, tuned), own) if min(base, tuned) > 0 else (1.0, 1.0)
    kept = {
        role: sae_keeps(opened, one, texts.tokens, X, scale)
        for role, one, X, scale in zip(ROLES, pair, activations, scales, strict=True)
    }
    chosen = _encoded(opened, pair, scales, texts, config)
    like, _ = labels_or_none(pair, task.split(config.split), config, chosen.labels)
    reported = _encoded(opened, pair, scales, like, config)
    fates = matched_fates(reported, scales)
    named = sort_fates(fates, rule.fates)
    directions = decoder_directions(opened.sae)
    strengths = chosen.strength[ROLES.index(own)].nan_to_num(0.0) * chosen.frequency[ROLES.index(own)]
    why = shown_features(
        chosen.associations[ROLES.index(own)],
        chosen.frequency[ROLES.index(own)] >= rule.fates.alive,
        strengths * directions.norm(dim=1),
        config.pages,
        chosen_by,
    )
    if not why:
        notes.append("no feature of the SAE fires at any of the texts")
    return PairFeatures(
        scales=scales,
        tokens=fates.rows,
        kept=kept,
        fates=named.shares(),
        retained=_retained(chosen, reported, named, rule),
        rows=_rows(why, chosen, reported, fates, named, ROLES.index(own)),
        pages=[asdict(feature_page(each, directions[each], reported.texts, pair)) for each in why],
        notes=notes,
    )


def trained_on(sae: Any, pair: Pair) -> Role:
    """The checkpoint that an SAE says it was trained on; the base where it names neither, or both."""
    metadata = sae.cfg.metadata
    if metadata.fingerprint:
        of, base, tuned = metadata.fingerprint, pair.base.fingerprint, pair.tuned.fingerprint
    else:
        of, base, tuned = metadata.model_name, pair.base.name, pair.tuned.name
    return "tuned" if of == tuned and of != base else "base"


def labels_or_none(
    pair: Pair, problems: Sequence[Problem], config: EncodingConfig, like: Sequence[Labels] | None = None
) -> tuple[LabelledTexts, list[str]]:
    """The problems' texts with their labels, like those of another split if given; with none, and a note,
    where there is nothing to tell apart."""
    notes: list[str] = []
    if like is None or like:
        try:
            labelled = label_texts(
                pair.base, problems, skip=config.skip, max_classes=config.max_classes, like=like
            )
        except UserError as error:
            notes.append(f"no feature is shown by what it predicts: {error}")
        else:
            return labelled, notes
    return LabelledTexts(tokens_of(pair.base, problems), []), notes


def shown_features(
    associations: Sequence[Association],
    alive: Bool[Tensor, " d_sae"],
    writes: Float[Tensor, " d_sae"],
    count: int,
    first: Mapping[int, str],
) -> dict[int, str]:
    """Features to show, and by what each was chosen: those given `first`, then `count` in all of those that
    live: by what they predict, or without any `associations` by the mean length of what they write."""
    if associations:
        by = BY_LABELS[next(k for k in BY_LABELS if any(one.labels.kind == k for one in associations))]
        ranked = most_associated(associations, alive, count) if count and alive.any() else []
    else:
        by, living = BY_STRENGTH, int((alive & (writes > 0)).sum())
        ranked = (
            writes.where(alive, -1.0).argsort(descending=True, stable=True)[: min(count, living)].tolist()
        )
    return dict(list({**first, **{each: by for each in ranked if each not in first}}.items())[:count])


def _encoded(
    opened: OpenedSae, pair: Pair, scales: Scales, texts: LabelledTexts, config: EncodingConfig
) -> EncodedSplit:
    read = [
        read_texts(opened.sae, one, texts.tokens, opened.point, skip=config.skip, scale=scale)
        for one, scale in zip(pair, scales, strict=True)
    ]
    return EncodedSplit(tuple(read), tuple(associate(one.firings, texts.labels, config.bins) for one in read))


def _retained(
    chosen: EncodedSplit, reported: EncodedSplit, fates: SortedFates, rule: FeatureRule
) -> tuple[int, int] | None:
    base = ROLES.index("base")
    if not any(one.labels.kind == "value" for one in chosen.associations[base]):
        return None
    carried = {
        row["feature"]: row["fate"]
        for row in associated(chosen, reported, fates, base)
        if row["auroc"]["base"] - 0.5 > rule.fates.auroc
    }
    return sum(fate == "stable" for fate in carried.values()), len(carried)


def _rows(
    why: Mapping[int, str],
    chosen: EncodedSplit,
    reported: EncodedSplit,
    fates: Fates,
    named: SortedFates,
    own: int,
) -> list[dict[str, Any]]:
    kinds = (best_class(kind, chosen.associations[own], *reported.associations) for kind in BY_LABELS)
    best = next((each for each in kinds if each is not None), None)
    rows = []
    for feature, by in why.items():
        row: dict[str, Any] = {
            "feature": feature,
            "chosen_by": by,
            "fate": FATES[int(named.index[feature])],
            "predicts": None if best is None else said_class(best, feature),
        }
        for m, role in enumerate(ROLES):
            (row[f"auroc_{role}"],) = [None] if best is None else numbers(best.auroc[m, feature, None])
            row[f"frequency_{role}"] = float(fates.frequency[m, feature])
            (row[f"strength_{role}"],) = numbers(fates.strength[m, feature, None])
        rows.append(row)
    return rows


def said_class(best: BestClass, feature: int) -> str:
    """The class that a feature predicts best, in words."""
    cls = best.cls[feature]
    return f"{best.name[feature]} = {cls}" if best.kind == "value" else cls
