"""The gates that a config names, as a sweep takes them: tokens looked up, thresholds measured."""

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
from undertext.core.terms import ACCESS_LEVELS, Access
from undertext.measures.recovery.gate_config import GateConfig
from undertext.steering import Gate, Readout, SteeringVector

PROMPTS = 32
"""Prompts that are captured together: every token of all, at every layer, would fill the memory."""


class Gates(NamedTuple):
    """The tokens at which each vector is tried."""

    gates: dict[str, tuple[Gate, ...]]
    """By vector, one gate for each entry of the config."""
    thresholds: dict[str, Readout]
    """Thresholds that the gates name."""
    access: dict[str, Access]
    """By vector, the higher access level of the vector itself and of those that read for its gates."""


def resolve_gates(
    weaker: Checkpoint,
    prompts: Sequence[str],
    vectors: Sequence[SteeringVector],
    entries: Sequence[GateConfig],
    access: Mapping[str, Access],
) -> Gates:
    """The gates of each vector; a vector reads with its own direction where an entry names no other.

    A threshold is the quantile `above` of what the direction reads, with nothing steered, at all tokens of
    the `prompts`. UserError for a token that is none of the vocabulary, and for a reading that is of no
    vector here, or of one at another site.
    """
    named = {vector.name: vector for vector in vectors}
    gates: dict[str, tuple[Gate, ...]] = {}
    wanted: dict[str, tuple[SteeringVector, float]] = {}
    known = dict(access)
    for vector in vectors:
        own = []
        for entry in entries:
            gate = _gate(weaker, entry)
            if entry.above is not None:
                reader = _reader(entry, vector, named)
                gate = replace(gate, threshold=f"{reader.name} above {entry.above:g}")
                wanted[str(gate.threshold)] = (reader, entry.above)
                known[vector.name] = max(known[vector.name], access[reader.name], key=ACCESS_LEVELS.index)
            own.append(gate)
        gates[vector.name] = tuple(own)
    return Gates(gates, _thresholds(weaker, prompts, wanted), known)


def _gate(weaker: Checkpoint, entry: GateConfig) -> Gate:
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
