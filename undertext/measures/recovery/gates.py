"""The places that a config names, as settings of a sweep: tokens looked up, thresholds read off."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.core.terms import Access
from undertext.measures.recovery.gate_config import GateConfig
from undertext.steering import Gate, Readout, SteeringVector

PROMPTS = 32
"""Prompts that are captured together: every token of all, at every layer, would fill the memory."""
ACCESS_LEVELS: tuple[Access, ...] = ("none", "weaker only", "stronger's activations", "stronger in the loop")
"""Access rungs, least first."""


class Gates(NamedTuple):
    """Where each vector is tried."""

    where: dict[str, tuple[Gate, ...]]
    """By vector, one for each entry of the config."""
    thresholds: dict[str, Readout]
    oracles: dict[str, Access]
    """By vector, what it and what reads for it were allowed to know."""


def resolve_gates(
    weaker: Checkpoint,
    prompts: Sequence[str],
    vectors: Sequence[SteeringVector],
    entries: Sequence[GateConfig],
    oracles: Mapping[str, Access],
) -> Gates:
    """Each vector goes through the same gates; it reads with its own direction where an entry names no other.

    A threshold is the quantile `above` of what the direction reads, with nothing steered, at all tokens of
    the `prompts`. UserError for a token that is none of the vocabulary, and for a reading that is of no
    vector here, or of one at another site.
    """
    named = {vector.name: vector for vector in vectors}
    where: dict[str, tuple[Gate, ...]] = {}
    wanted: dict[str, tuple[SteeringVector, float]] = {}
    known = dict(oracles)
    for vector in vectors:
        places = []
        for entry in entries:
            place = _where(weaker, entry)
            if entry.above is not None:
                reader = _reader(entry, vector, named)
                place = replace(place, threshold=f"{reader.name} above {entry.above:g}")
                wanted[str(place.threshold)] = (reader, entry.above)
                known[vector.name] = max(known[vector.name], oracles[reader.name], key=ACCESS_LEVELS.index)
            places.append(place)
        where[vector.name] = tuple(places)
    return Gates(where, _thresholds(weaker, prompts, wanted), known)


def _where(weaker: Checkpoint, entry: GateConfig) -> Gate:
    return Gate(
        entry.place,
        first=entry.first,
        decay=1.0 if entry.decay is None else entry.decay,
        tokens=None if entry.tokens is None else frozenset(_token(weaker, word) for word in entry.tokens),
        pattern=entry.pattern,
    )


def _token(weaker: Checkpoint, word: str) -> int:
    tokenizer = weaker.tokenizer
    ids = tokenizer.encode(word, add_special_tokens=False)
    if len(ids) != 1 or ids[0] == tokenizer.unk_token_id:
        pieces = ", ".join(repr(each) for each in tokenizer.convert_ids_to_tokens(ids)) or "nothing"
        raise UserError(
            f"positions: expected tokens of {weaker.name}, got {word!r}, which it reads as {pieces}"
        )
    return int(ids[0])


def _reader(entry: GateConfig, vector: SteeringVector, named: Mapping[str, SteeringVector]) -> SteeringVector:
    if entry.reading is None:
        return vector
    if entry.reading not in named:
        raise UserError(f"positions: no vector {entry.reading!r} to read with; there are: {', '.join(named)}")
    reader = named[entry.reading]
    if reader.site != vector.site:
        raise UserError(
            f"positions: {reader.name!r} reads at {reader.site}, "
            f"and vector {vector.name!r} acts at {vector.site}"
        )
    return reader


def _thresholds(
    weaker: Checkpoint, prompts: Sequence[str], wanted: Mapping[str, tuple[SteeringVector, float]]
) -> dict[str, Readout]:
    """Directions at length 1, with the quantile of what they read as their bias."""
    readers = list({id(vector): vector for vector, _ in wanted.values()}.values())
    if not readers:
        return {}
    units = {id(each): torch.nn.functional.normalize(each.directions, dim=-1) for each in readers}
    points = [
        HookPoint(layer, site)
        for site in dict.fromkeys(each.site for each in readers)
        for layer in range(weaker.n_layers)
    ]
    seen: dict[int, list[Float[Tensor, "layer token"]]] = {id(each): [] for each in readers}
    for start in range(0, len(prompts), PROMPTS):
        captured = capture(weaker, list(prompts[start : start + PROMPTS]), points, "all")
        for each in readers:
            seen[id(each)].append(
                torch.stack(
                    [
                        captured[HookPoint(layer, each.site)] @ units[id(each)][layer]
                        for layer in range(weaker.n_layers)
                    ]
                )
            )
    read = {key: torch.cat(parts, dim=1) for key, parts in seen.items()}
    return {
        name: Readout(units[id(vector)], -read[id(vector)].quantile(above, dim=1))
        for name, (vector, above) in wanted.items()
    }
