"""The SAE and the crosscoder that a comparison is given: opened, read on the pair, and flagged where they
keep too little of it."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa

from undertext.activations.errors import UserError
from undertext.activations.pair import Pair
from undertext.core.job import JobRun
from undertext.core.resume import Done, Part
from undertext.core.terms import CHOOSE, ROLES, Role
from undertext.jobs.compare.config import CompareConfig
from undertext.measures.features.at_tokens import TokenFeature
from undertext.measures.features.columns import rows_table
from undertext.measures.features.config import EncodingConfig
from undertext.measures.features.crosscoder import check_crosscoder
from undertext.measures.features.in_pair import PairFeatures, features_in_pair
from undertext.measures.features.kept import poorly_kept, some_problems
from undertext.measures.features.latents import PairLatents, latents_in_pair
from undertext.measures.features.opening import OpenedSae
from undertext.measures.features.rule import FeatureRule, feature_rule
from undertext.measures.recovery.candidates import CandidateVectors
from undertext.measures.recovery.feature_vectors import CHOSEN_BY, FEATURE, steered_point
from undertext.measures.recovery.parts import sae_of
from undertext.saes import Crosscoder, fingerprint, load_crosscoder
from undertext.tasks.task import Task

SAE_STAGE, CROSSCODER_STAGE = "features of the SAE", "latents of the crosscoder"


class Dictionaries(NamedTuple):
    """What a comparison is given beside its checkpoints."""

    sae: OpenedSae | None
    crosscoder: Crosscoder | None

    @property
    def inputs(self) -> dict[str, Any]:
        """What the job depends on because of them; what it steers with says which SAE it is."""
        if self.sae is None and self.crosscoder is None:
            return {}
        weights = None if self.crosscoder is None else fingerprint(self.crosscoder.weights())
        return {"crosscoder": weights, "feature_rule": feature_rule().plain()}


class Found(NamedTuple):
    """What they show of the pair; None where one was not given or could not be read."""

    features: PairFeatures | None
    latents: PairLatents | None
    at_tokens: TokenFeature | None
    """The feature by which tokens are shaded."""
    flags: list[str]
    missing: list[str]
    """What was not measured, and why."""


def open_dictionaries(config: CompareConfig, pair: Pair) -> Dictionaries:
    """Open what the config names.

    UserError as `load_sae` and `load_crosscoder`, for hook points or widths that are not the pair's, and for
    a `token_feature` that the SAE has not.
    """
    sae, crosscoder = sae_of(config), None
    opened = None if sae is None else OpenedSae(sae, steered_point(sae, pair.base))
    if config.crosscoder is not None:
        crosscoder = load_crosscoder(config.crosscoder)
        check_crosscoder(crosscoder, pair)
    if config.token_feature is not None:
        if opened is None:
            raise UserError("`token_feature` is a feature of the SAE: expected an SAE (`sae`), got none")
        if config.token_feature >= opened.sae.cfg.d_sae:
            raise UserError(
                f"expected a `token_feature` from 0 to {opened.sae.cfg.d_sae - 1}, which the SAE has, got "
                f"{config.token_feature}"
            )
    return Dictionaries(opened, crosscoder)


def encoding_of(config: CompareConfig, splits: Sequence[str]) -> EncodingConfig:
    """On which splits features are chosen and reported: dev, and the first that is judged."""
    return EncodingConfig(
        choose=CHOOSE, split=splits[0], max_classes=config.max_classes, pages=config.feature_pages
    )


def texts_for(task: Task, splits: Sequence[str], config: CompareConfig) -> Task:
    """The task with the problems whose texts are read alone."""
    return some_problems(task, [CHOOSE, splits[0]], config.seed, config.feature_problems)


def why_not_read(pair: Pair, *, shared_tokens: bool) -> str | None:
    """Why no features of the pair can be read; None where they can."""
    if not shared_tokens:
        return "the two checkpoints do not read the same tokens, and a feature's page shows both at each"
    if not pair.base.tokenizer.is_fast:
        return "the tokenizer cannot say which characters a token holds"
    return None


def read_dictionaries(
    run: JobRun,
    given: Dictionaries,
    pair: Pair,
    task: Task,
    splits: Sequence[str],
    config: CompareConfig,
    candidates: Sequence[CandidateVectors],
    *,
    shared_tokens: bool,
) -> Found:
    """Read the task's texts, as the base is asked, through what is given, in both checkpoints: a part each.

    Of the `candidates` that were searched with, features of the SAE have the first pages.
    """
    rule, nothing = feature_rule(), Found(None, None, None, [], [])
    if given.sae is None and given.crosscoder is None:
        return nothing
    if (why := why_not_read(pair, shared_tokens=shared_tokens)) is not None:
        return nothing._replace(missing=[f"Features of the pair: {why}."])
    few, encoding = texts_for(task, splits, config), encoding_of(config, splits)
    chosen_by = _chosen_by(candidates)

    def of_sae(opened: OpenedSae, done: Done) -> PairFeatures:
        return features_in_pair(opened, pair, few, encoding, rule, chosen_by)

    def of_crosscoder(crosscoder: Crosscoder, done: Done) -> PairLatents:
        return latents_in_pair(crosscoder, pair, few, encoding, rule)

    features = latents = at_tokens = None
    if given.sae is not None:
        (features,) = run.make([Part("features/sae", partial(of_sae, given.sae), stage=SAE_STAGE)])
        feature = next(iter(features.features), None)
        if config.token_feature is not None:
            feature = config.token_feature
        if feature is not None:
            scales: dict[Role, float] = dict(zip(ROLES, features.scales, strict=True))
            at_tokens = TokenFeature(given.sae.sae, given.sae.point, feature, scales)
    if given.crosscoder is not None:
        make = partial(of_crosscoder, given.crosscoder)
        (latents,) = run.make([Part("features/crosscoder", make, stage=CROSSCODER_STAGE)])
    flags = [
        flag
        for name, found in (("SAE", features), ("crosscoder", latents))
        if found is not None
        for flag in _low(name, found, rule)
    ]
    return Found(features, latents, at_tokens, flags, [])


def _chosen_by(candidates: Sequence[CandidateVectors]) -> dict[int, str]:
    """By feature that was searched with, the rankings that took it."""
    return {
        int(vector.name.removeprefix(FEATURE)): f"steered with: {vector.made.partition(CHOSEN_BY)[2]}"
        for each in candidates
        for vector in each.vectors
        if vector.name in each.features
    }


def _low(name: str, found: PairFeatures | PairLatents, rule: FeatureRule) -> list[str]:
    return [
        f"low fidelity: the {name} keeps {said}, less than {rule.keeps:g} (`keeps`): the rest is in none of "
        "its features, so what no feature shows may be there all the same"
        for said in poorly_kept(found.kept, rule.keeps)
    ]


def dictionary_summary(given: Dictionaries, found: Found, config: CompareConfig) -> dict[str, Any]:
    """`sae` and `crosscoder` of the summary, where they were read."""
    summary: dict[str, Any] = {}
    if given.sae is not None and (features := found.features) is not None:
        retained = features.retained
        summary["sae"] = {
            "source": str(config.sae),
            "hook_point": str(given.sae.point),
            "features": int(given.sae.sae.cfg.d_sae),
            "scales": dict(zip(ROLES, features.scales, strict=True)),
            "fates": features.fates,
            "retained": None if retained is None else {"stable": retained[0], "of": retained[1]},
            "token_feature": None if found.at_tokens is None else found.at_tokens.feature,
            **_common(features),
        }  # fmt: skip
    if given.crosscoder is not None and (latents := found.latents) is not None:
        summary["crosscoder"] = {
            "source": str(config.crosscoder),
            "hook_points": list(map(str, given.crosscoder.points)),
            "latents": given.crosscoder.encoders.shape[-1],
            "kinds": latents.kinds,
            **_common(latents),
        }
    return summary


def _common(found: PairFeatures | PairLatents) -> dict[str, Any]:
    return {
        "tokens": found.tokens,
        "kept": {role: each._asdict() for role, each in found.kept.items()},
        "notes": list(found.notes),
    }


def dictionary_tables(found: Found) -> dict[str, pa.Table]:
    """`features`, `latents`, `latent_rows` and `pages`, where there are some."""
    tables = {}
    both: list[tuple[str, PairFeatures | PairLatents | None]] = [
        ("sae", found.features),
        ("crosscoder", found.latents),
    ]
    if found.features is not None and found.features.rows:
        tables["features"] = rows_table(found.features.rows)
    if found.latents is not None:
        tables["latents"] = pa.table(dict(found.latents.columns))
        if found.latents.rows:
            tables["latents_shown"] = rows_table(found.latents.rows)
    pages: list[Mapping[str, Any]] = [
        {"of": name, **page} for name, each in both if each is not None for page in each.pages
    ]
    return tables | ({"pages": rows_table(pages)} if pages else {})
