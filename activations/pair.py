"""Two checkpoints of one model."""

from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase

from undertext.activations.adapted import adapter_settings
from undertext.activations.checkpoint import Checkpoint, CheckpointSource
from undertext.activations.errors import UserError
from undertext.activations.vocabulary import PROBES, sample_text, try_encode


class Pair(NamedTuple):
    """A base and a tuned checkpoint that were found to be of one shape and one tokenizer."""

    base: Checkpoint
    tuned: Checkpoint


def load_pair(
    base: CheckpointSource,
    tuned: CheckpointSource,
    **options: Any,
) -> Pair:
    """Load both checkpoints, with the same options for `Checkpoint.load`, and check that they are a pair.

    Raises:
        UserError: when one does not load, or when they differ (in one error, every difference listed).
    """
    return check_pair(Checkpoint.load(base, **options), Checkpoint.load(tuned, **options))


class Outline(NamedTuple):
    """What of a checkpoint is compared with another's; kept, it holds no weights."""

    name: str
    n_layers: int
    d_model: int
    d_vocab: int
    tokenizer: PreTrainedTokenizerBase

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "Outline":
        """The outline of a loaded checkpoint."""
        sizes = (checkpoint.n_layers, checkpoint.d_model, checkpoint.d_vocab)
        return cls(checkpoint.name, *sizes, checkpoint.tokenizer)


def check_pair(base: Checkpoint, tuned: Checkpoint) -> Pair:
    """The two as a pair; UserError listing every difference of shape and tokenizer.

    Also refused is one model with a live adapter in it, given as both: PEFT puts its adapters into the
    very model it is given, which is then no base any more.
    """
    if base.model is tuned.model and adapter_settings(base.model):
        raise UserError(
            f"base {base.name} and tuned {tuned.name} are one model, with the adapter in it: give as base a "
            "copy made before the adapter was added, or the base's folder"
        )
    check_outlines(Outline.of(base), Outline.of(tuned))
    return Pair(base, tuned)


def check_outlines(base: Outline, tuned: Outline) -> None:
    """UserError listing every difference of shape and tokenizer, when they are not of one model."""
    sizes = {"layers": "n_layers", "width": "d_model", "vocabulary size": "d_vocab"}
    differences = [
        f"{words} ({getattr(base, field)} against {getattr(tuned, field)})"
        for words, field in sizes.items()
        if getattr(base, field) != getattr(tuned, field)
    ]
    difference = _tokenizer_difference(base.tokenizer, tuned.tokenizer)
    if difference:
        differences.append(f"tokenizer ({difference})")
    if differences:
        raise UserError(
            f"base {base.name} and tuned {tuned.name} are not checkpoints of one model: "
            f"they differ in {'; '.join(differences)}"
        )


def _tokenizer_difference(base: PreTrainedTokenizerBase, tuned: PreTrainedTokenizerBase) -> str | None:
    ours, theirs = base.get_vocab(), tuned.get_vocab()
    if ours != theirs:
        differing = sorted(word for word in ours.keys() | theirs.keys() if ours.get(word) != theirs.get(word))
        shown = ", ".join(
            f"{word!r} is {ours.get(word)} against {theirs.get(word)}" for word in differing[:3]
        )
        return f"{len(differing)} words have different ids: {shown}"
    for text in (*PROBES, sample_text(base)):
        first, second = try_encode(base, text), try_encode(tuned, text)
        if first != second:
            at = next(
                (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b),
                min(len(first), len(second)),
            )
            return f"one vocabulary, but {text!r} is encoded differently from token {at} on"
    return None
