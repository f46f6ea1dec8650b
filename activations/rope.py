"""Ropes that depend on how long the text is that is read."""

from bisect import bisect_left
from collections.abc import Sequence

from undertext.activations.checkpoint import Checkpoint


def rope_switches(checkpoint: Checkpoint) -> tuple[int, ...]:
    """The text lengths past which all rotary frequencies are others ("longrope"); empty where there are none.

    transformers chooses the frequencies of a whole batch by its longest row, and leaves in a cache the keys
    of those before. A short text and a long one have no keys in common, and cannot share a batch either. (A
    "dynamic" rope changes past the model's context alone, which no text may exceed.)
    """
    config = checkpoint.model.config.get_text_config(decoder=True)
    given = getattr(config, "rope_parameters", None) or {}
    ropes = [given, *(rope for rope in given.values() if isinstance(rope, dict))]
    otherwise = getattr(config, "original_max_position_embeddings", None)
    lengths = {
        rope.get("original_max_position_embeddings", otherwise)
        for rope in ropes
        if rope.get("rope_type") == "longrope"
    }
    return tuple(sorted(length for length in lengths if length))


def sides(checkpoint: Checkpoint, lengths: Sequence[int]) -> list[int]:
    """For each number of tokens that are read, how many of the rope's switches it is past."""
    switches = rope_switches(checkpoint)
    return [bisect_left(switches, length) for length in lengths]


def writing_kinds(checkpoint: Checkpoint, lengths: Sequence[int], steps: int) -> list[tuple[int, ...]]:
    """Which prompts, of these lengths, can share a batch that writes up to `steps` tokens: those of one kind.

    All that stay on one side can. Those that cross a switch must cross it together: they are equally long.
    """
    switches = rope_switches(checkpoint)
    kinds: list[tuple[int, ...]] = []
    for length in lengths:
        first, last = (bisect_left(switches, n) for n in (length, length + steps - 1))
        kinds.append((first,) if first == last else (first, length))
    return kinds
