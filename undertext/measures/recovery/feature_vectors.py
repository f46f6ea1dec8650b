"""Features of an SAE to steer with: chosen from the weaker checkpoint alone, with their controls."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.generation import generate
from undertext.activations.hookpoint import HookPoint
from undertext.core.terms import FIT
from undertext.measures.recovery.config import SearchConfig
from undertext.saes import (
    TextFirings,
    decoder_directions,
    encode,
    match_controls,
    read_texts,
    score_reasoning,
)
from undertext.saes.checks import check_reads, trained_at
from undertext.saes.reasoning_words import spellings
from undertext.saes.sae_type import SAE
from undertext.steering import SteeringVector
from undertext.tasks.draws import drawn
from undertext.tasks.task import Problem, Task
from undertext.tasks.value_positions import reading_text

FEATURE, CHOSEN_BY = "feature ", "chosen by "
"""What stands in the name of a feature's vector before its number, and in `made` before its rankings."""
ALIKE = "like "
"""Beginning of the names of random features, which are controls of a feature."""


@dataclass(frozen=True)
class FeatureVectors:
    """Features to steer with, one layer each, and for each of them others like it."""

    vectors: tuple[SteeringVector, ...]
    """Named `feature N`; `made` says which rankings took it."""
    alike: Mapping[str, tuple[SteeringVector, ...]]
    """By a vector's name: random features of equal norm and like firing frequency."""
    notes: tuple[str, ...]
    """What could not be ranked by, and what is not known of the SAE."""


def feature_vectors(
    sae: SAE, weaker: Checkpoint, task: Task, config: SearchConfig, norms: Float[Tensor, " layer"]
) -> FeatureVectors:
    """The features that stand highest in each ranking, and controls drawn for each of them.

    Nothing but the weaker checkpoint and `train` is read. Rankings, highest first, of features that write
    what they write when they fire (a decoder row), `sae_features` of each:

    - a contrast: by how much more a feature writes at the last token of prompts in the positive wording
      than in the negative one, mean strength times the row's norm, those above zero;
    - the first token: by how much the row, at length 1, raises the logits of the tokens that traces of
      `train` begin with over the mean of all, W_U d, without the final norm and the layers in between;
    - ReasonScore, around the words of `saes.reasoning_words`: a baseline, it rewards vocabulary.

    `norms` are the units of dose. A vector's sources are the weaker checkpoint alone where the SAE says
    that it was trained on it; otherwise the SAE counts as a source of its own.

    Raises:
        UserError: for an SAE of another site or width, or one with too few features that fire.
    """
    point = steered_point(sae, weaker)
    directions = decoder_directions(sae)
    problems = drawn(task.split(FIT), config.seed, config.vector_problems)
    read = read_texts(sae, weaker, own_texts(weaker, task, problems, config.batch_size), point)
    frequency = (read.firings.counts / read.firings.n).float()
    rankings, notes = _rankings(sae, weaker, task, problems, read, point, directions)
    usable = (frequency > 0) & (directions.norm(dim=1) > 0)
    chosen: dict[int, list[str]] = {}
    for name, scores in rankings.items():
        order = scores.where(usable, -torch.inf).argsort(descending=True, stable=True)
        best = [int(f) for f in order[: config.sae_features] if scores[f] > 0 and usable[f]]
        if not best:
            notes.append(f"SAE features: none stands above zero by {name}")
        for feature in best:
            chosen.setdefault(feature, []).append(name)
    if not chosen:
        return FeatureVectors((), {}, tuple(notes))
    sources, unknown = _sources(sae, weaker)
    matched = match_controls(
        directions, frequency, list(chosen), controls=config.random_features, seed=config.seed * 1031 + 3
    )
    absent = frozenset(range(weaker.n_layers)) - {point.layer}

    def vector(name: str, row: Float[Tensor, " d_model"], made: str) -> SteeringVector:
        placed = torch.zeros(weaker.n_layers, len(row))
        placed[point.layer] = row
        return SteeringVector(name, placed, norms, made, sources=sources, absent=absent)

    vectors, alike = [], {}
    for i, (feature, by) in enumerate(chosen.items()):
        own, others = directions[feature], matched.vectors[i, 1:]
        made = f"decoder row of feature {feature} of an SAE, {CHOSEN_BY}{' and '.join(by)}"
        vectors.append(vector(f"{FEATURE}{feature}", own, made))
        alike[vectors[-1].name] = tuple(
            vector(f"{ALIKE}feature {feature}: {int(other)}", row, f"decoder row of feature {int(other)}")
            for other, row in zip(matched.controls[i], others, strict=True)
        )
    return FeatureVectors(tuple(vectors), alike, (*notes, *unknown))


def own_texts(
    weaker: Checkpoint, task: Task, problems: Sequence[Problem], batch_size: int = 512
) -> list[list[int]]:
    """Prompts, plain and in each contrast's two wordings, and what the checkpoint writes after them; ids."""
    sides = ["{prompt}", *(side for each in task.contrasts for side in (each.positive, each.negative))]
    heads = weaker.encode([problem.worded(side) for side in sides for problem in problems])
    written = generate(
        weaker, heads, max_new_tokens=task.max_new_tokens, stop=task.stop, batch_size=batch_size
    )
    return [head + tokens for head, tokens in zip(heads, written.tokens, strict=True)]


def steered_point(sae: SAE, weaker: Checkpoint) -> HookPoint:
    """Where features of an SAE are steered with. UserError for an SAE of another site or width."""
    point = trained_at(sae, weaker)
    if point is None or point.site != "resid_post" or not 0 <= point.layer < weaker.n_layers:
        raise UserError(
            f"expected an SAE that reads resid_post at a layer from 0 to {weaker.n_layers - 1}, "
            f"got one that reads {point or 'an unnamed hook point'}"
        )
    check_reads(sae, weaker, point)
    return point


def _sources(sae: SAE, weaker: Checkpoint) -> tuple[tuple[str, ...], list[str]]:
    """Whose activations made the features; a note where that cannot be told. A name is not asked where the
    SAE knows the weights themselves."""
    known = sae.cfg.metadata
    same = known.fingerprint == weaker.fingerprint if known.fingerprint else known.model_name == weaker.name
    if same:
        return (weaker.name,), []
    of = known.model_name or "a checkpoint it does not name"
    # Not the name alone: two checkpoints may bear the same one.
    return (weaker.name, f"an SAE of {of}"), [
        f"the SAE is of {of}, and not said to be of {weaker.name}: "
        "its features count as knowing the stronger's activations"
    ]


def _rankings(
    sae: SAE,
    weaker: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    read: TextFirings,
    point: HookPoint,
    directions: Float[Tensor, "d_sae d_model"],
) -> tuple[dict[str, Float[Tensor, " d_sae"]], list[str]]:
    rankings: dict[str, Float[Tensor, " d_sae"]] = {}
    notes = []
    lengths = directions.norm(dim=1)
    for contrast in task.contrasts:
        positive, negative = (
            encode(sae, capture(weaker, [each.worded(side) for each in problems], [point])[point])
            for side in (contrast.positive, contrast.negative)
        )
        rankings[f"contrast {contrast.name!r}"] = (positive.mean(0) - negative.mean(0)) * lengths
    first = _first_tokens(weaker, problems)
    if first:
        rankings["the first token of a trace"] = _raises(weaker, directions, first)
    else:
        notes.append("SAE features: no trace in train begins with a token of its own")
    try:
        rankings["ReasonScore"] = score_reasoning(
            read, spellings(weaker.tokenizer), decoder_norms=lengths
        ).score
    except UserError as error:
        notes.append(f"SAE features by ReasonScore: {error}")
    return rankings, notes


def _first_tokens(weaker: Checkpoint, problems: Sequence[Problem]) -> Counter[int]:
    """The tokens that come after the prompt in problems with a trace, and how often each does."""
    first: Counter[int] = Counter()
    for problem in problems:
        head, whole = weaker.encode([problem.prompt, reading_text(problem)])
        if len(whole) > len(head) and whole[: len(head)] == head:
            first[whole[len(head)]] += 1
    return first


@torch.no_grad()
def _raises(
    weaker: Checkpoint, directions: Float[Tensor, "d_sae d_model"], tokens: Mapping[int, int]
) -> Float[Tensor, " d_sae"]:
    """What each row at length 1 adds to the logits of these tokens, by their number, over the mean of all."""
    unembedding: Any = weaker.model.get_output_embeddings()
    weights = unembedding.weight.detach().float().cpu()
    share = torch.zeros(len(weights))
    for token, count in tokens.items():
        share[token] = count / sum(tokens.values())
    return nn.functional.normalize(directions, dim=1) @ ((share - 1 / len(weights)) @ weights)
