"""Two checkpoints of one model."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from undertext.activations.adapted import adapter_settings
from undertext.activations.checkpoint import Checkpoint, CheckpointSource
from undertext.activations.errors import UserError, shown
from undertext.activations.vocabulary import PROBES, sample_text, try_encode


class Pair(NamedTuple):
    """A base and a tuned checkpoint that were found to be of one shape and to read text alike."""

    base: Checkpoint
    tuned: Checkpoint

    @property
    def notes(self) -> list[str]:
        """What a reader of figures of this pair must know: how each was loaded, and what differs."""
        found = [*self.base.notes, *self.tuned.notes, *notes(Outline.of(self.base), Outline.of(self.tuned))]
        if self.base.dtype != self.tuned.dtype:
            found.append(
                f"the base computes in {self.base.dtype}, the tuned in {self.tuned.dtype}: small differences "
                "may be the precision's".replace("torch.", "")
            )
        return found


def load_pair(
    base: Checkpoint | CheckpointSource,
    tuned: Checkpoint | CheckpointSource,
    *,
    texts: Iterable[str] = (),
    own_tokens: bool = False,
    **options: Any,
) -> Pair:
    """Load both checkpoints, with the same options for `Checkpoint.load`, and check that they are a pair.

    `texts` are those that both will read, each in tokens of its own where `own_tokens` is set. A Checkpoint
    is taken as it is. An adapter is merged into the base that it names where that is a folder here, and
    otherwise into the other of the two (`Pair.notes` say so): the hub is not asked for a base that was given.

    Raises:
        UserError: when one does not load, or when they differ (in one error, every difference listed).
    """
    first = load_checkpoint(base, tuned, **options)
    second = load_checkpoint(tuned, base if isinstance(base, str | Path) else first, **options)
    return check_pair(first, second, texts, own_tokens=own_tokens)


def load_checkpoint(
    source: Checkpoint | CheckpointSource, base: Checkpoint | CheckpointSource | None = None, **options: Any
) -> Checkpoint:
    """A Checkpoint as it is; all else by `Checkpoint.load` with these options.

    An adapter whose own base is not here is merged into `base`, unless an adapter is at work in that as well.
    """
    if isinstance(source, Checkpoint):
        return source
    whole = _whole(base) if isinstance(source, str | Path) else None
    return Checkpoint.load(source, **{"base": whole, **options})


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


def check_pair(
    base: Checkpoint, tuned: Checkpoint, texts: Iterable[str] = (), *, own_tokens: bool = False
) -> Pair:
    """The two as a pair; UserError listing every difference of shape and tokenizer, as `check_outlines`.

    With `own_tokens` each reads texts by its own tokenizer, and the tokenizers may differ
    (`tokenizer_difference` says how).

    Also refused is one model with a live adapter in it, given as both: PEFT puts its adapters into the
    very model it is given, which is then no base any more.
    """
    model = base.weights.modules
    if model is tuned.weights.modules and adapter_settings(model):
        raise UserError(
            f"base {base.name} and tuned {tuned.name} are one model, with the adapter in it: give as base a "
            "copy made before the adapter was added, or the base's folder"
        )
    check_outlines(Outline.of(base), Outline.of(tuned), texts, own_tokens=own_tokens)
    return Pair(base, tuned)


def check_outlines(
    base: Outline, tuned: Outline, texts: Iterable[str] = (), *, own_tokens: bool = False
) -> None:
    """UserError listing every difference, when the two are not of one model or read a text differently.

    One may embed more tokens than the other, and have added tokens that the other has not or has under
    other words, as tuning leaves them: these are among `notes`. Every other word must have one id in both.
    `texts` are those that will be read, each of which both must encode alike.
    """
    sizes = {"layers": "n_layers", "width": "d_model"}
    differences = [
        f"{words} ({getattr(base, field)} against {getattr(tuned, field)})"
        for words, field in sizes.items()
        if getattr(base, field) != getattr(tuned, field)
    ]
    difference = None
    if differences or not own_tokens:
        difference = tokenizer_difference(base.tokenizer, tuned.tokenizer, texts)
    if difference:
        differences.append(f"tokenizer ({difference})")
    if differences:
        raise UserError(
            f"base {shown(base.name)} and tuned {shown(tuned.name)} are not checkpoints of one model: "
            f"they differ in {'; '.join(differences)}"
        )


def notes(base: Outline, tuned: Outline) -> list[str]:
    """How the vocabularies of two that are a pair differ, a line each; none where they do not."""
    found = []
    if base.d_vocab != tuned.d_vocab:
        found.append(f"the base embeds {base.d_vocab} tokens, the tuned checkpoint {tuned.d_vocab}")
    ours, theirs = base.tokenizer.get_vocab(), tuned.tokenizer.get_vocab()
    for whose, one, other in (("base", ours, theirs), ("tuned checkpoint", theirs, ours)):
        own = sorted(word for word in one if one[word] != other.get(word))
        if own:
            listed = ", ".join(f"{shown(repr(word), 60)} ({one[word]})" for word in own[:5])
            more = f" and {len(own) - 5} more" if len(own) > 5 else ""
            found.append(f"the {whose} alone has the tokens {listed}{more}")
    ends = [each.tokenizer.eos_token for each in (base, tuned)]
    if ends[0] != ends[1]:
        found.append(
            f"a text ends with {shown(repr(ends[0]))} in the base, in the tuned with {shown(repr(ends[1]))}"
        )
    return found


def _whole(source: Any) -> Any:
    """What an adapter can be merged into: a folder or id, or a live model in which no adapter is at work."""
    if isinstance(source, Checkpoint):
        source = None if source.source_bridge is not None else source.model
    if isinstance(source, tuple) and source:
        source = source[0]
    live = isinstance(source, PreTrainedModel) and not adapter_settings(source)
    return source if live or isinstance(source, str | Path) else None


def _one_tokenizer(base: PreTrainedTokenizerBase, tuned: PreTrainedTokenizerBase) -> bool:
    """Whether both do the same to every text, since all that they are made of is the same."""
    if type(base) is not type(tuned) or not (base.is_fast and tuned.is_fast):
        return False
    if base.split_special_tokens != tuned.split_special_tokens:  # which is not written with the rest
        return False
    return bool(base.backend_tokenizer.to_str() == tuned.backend_tokenizer.to_str())


def tokenizer_difference(
    base: PreTrainedTokenizerBase, tuned: PreTrainedTokenizerBase, texts: Iterable[str]
) -> str | None:
    """How two tokenizers differ, in words: in the ids of their words, or in the tokens of one of the texts.

    None where they read all texts alike; tokens that one alone has added are no difference by themselves.
    """
    if _one_tokenizer(base, tuned):
        return None
    ours, theirs = base.get_vocab(), tuned.get_vocab()
    # What was added is found before a text is cut into words; all other words make up what is cut.
    added = base.get_added_vocab(), tuned.get_added_vocab()
    differing = sorted(
        word
        for word in ours.keys() | theirs.keys()
        if ours.get(word) != theirs.get(word)
        and not ((word not in ours or word not in theirs) and (word in added[0] or word in added[1]))
    )
    if differing:
        listed = ", ".join(
            f"{shown(repr(word), 60)} is {ours.get(word)} against {theirs.get(word)}"
            for word in differing[:3]
        )
        return f"{len(differing)} words have different ids: {listed}"
    own = {ours[word] for word in ours if ours[word] != theirs.get(word)}
    for text in (*PROBES, sample_text(base, own), *texts):
        first, second = try_encode(base, text), try_encode(tuned, text)
        if first != second:
            at = next(
                (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b),
                min(len(first), len(second)),
            )
            vocabulary = "one vocabulary" if ours == theirs else "added tokens aside one vocabulary"
            return f"{vocabulary}, but {shown(repr(text), 80)} is encoded differently from token {at} on"
    return None
