"""A feature's page as plain values: where it fires most in each checkpoint, how strongly, and what it
writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from pydantic import TypeAdapter
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.saes.texts import TextFirings


@dataclass(frozen=True)
class Context:
    """A piece of a text around the token at which a feature fires most in it."""

    text: int
    """Which text."""
    start: int
    """Which of its tokens that were read is the first shown."""
    peak: int
    """Which of the tokens shown has the greatest strength, in any checkpoint."""
    tokens: tuple[str, ...]
    strengths: tuple[tuple[float, ...], ...]
    """By checkpoint, at each token shown."""


@dataclass(frozen=True)
class Histogram:
    """How often a feature fires how strongly; rows at which it is silent are not counted."""

    edges: tuple[float, ...]
    """One more than there are bins, from 0 to the greatest strength of all."""
    counts: tuple[tuple[int, ...], ...]
    """Tokens, by checkpoint and bin."""


@dataclass(frozen=True)
class Added:
    """What one unit of strength adds to one token's logit."""

    token: str
    value: float


@dataclass(frozen=True)
class LogitEffects:
    """W_U d: what one unit of strength adds to the logits through the unembedding alone.

    d is the feature's decoder row. The final norm is left out, its weights too, and so is all that later
    layers make of the row: a direct and approximate effect.
    """

    raised: tuple[Added, ...]
    """The greatest first."""
    lowered: tuple[Added, ...]
    """The least first."""


@dataclass(frozen=True)
class FeaturePage:
    """A feature in one checkpoint, or in base and tuned."""

    feature: int
    names: tuple[str, ...]
    """Of the checkpoints: one, or base and tuned."""
    rows: int
    frequency: tuple[float, ...]
    """Share of the tokens that it fires at, by checkpoint."""
    contexts: tuple[Context, ...]
    """One from each text, the greatest strength in any checkpoint first."""
    histogram: Histogram
    logits: tuple[LogitEffects, ...]
    """Through the unembedding of each checkpoint."""


def page_of(plain: Mapping[str, Any]) -> FeaturePage:
    """The page that `dataclasses.asdict` made plain values of, as a row of a table may hold them."""
    return TypeAdapter(FeaturePage).validate_python(plain)


def feature_page(
    feature: int,
    direction: Float[Tensor, " d_model"],
    reads: Sequence[TextFirings],
    checkpoints: Sequence[Checkpoint],
    *,
    contexts: int = 8,
    around: int = 12,
    bins: int = 12,
    tokens: int = 8,
) -> FeaturePage:
    """Gather what is on a feature's page from the same texts read in one checkpoint, or in base and tuned.

    Args:
        feature: its number.
        direction: its decoder row, as `decoder_directions` gives it.
        reads: the texts, as each checkpoint reads them.
        checkpoints: one, or base and tuned (a pair will do).
        contexts: most texts that are shown.
        around: tokens shown on either side of the one at which it fires most.
        bins: of the histogram.
        tokens: how many are listed of those whose logits are raised, and of those lowered.

    Raises:
        UserError: when the texts differ, there is no such feature, and for other than one checkpoint or two.
    """
    if not len(reads) == len(checkpoints) or len(reads) not in (1, 2):
        raise UserError(
            f"expected texts as one checkpoint or two read them, got {len(reads)} for {len(checkpoints)}"
        )
    first, last = reads[0], reads[-1]
    if not (torch.equal(first.tokens, last.tokens) and torch.equal(first.texts, last.texts)):
        raise UserError("base and tuned have read different texts: read the same ones in both")
    columns = torch.stack([read.firings.column(feature) for read in reads])
    return FeaturePage(
        feature=feature,
        names=tuple(checkpoint.name for checkpoint in checkpoints),
        rows=columns.shape[1],
        frequency=tuple((columns > 0).double().mean(dim=1).tolist()),
        contexts=_contexts(columns, first, checkpoints[0], contexts, around),
        histogram=_histogram(columns, bins),
        logits=tuple(_logits(checkpoint, direction, tokens) for checkpoint in checkpoints),
    )


def _contexts(
    columns: Float[Tensor, "model n"], read: TextFirings, checkpoint: Checkpoint, most: int, around: int
) -> tuple[Context, ...]:
    greatest = columns.amax(dim=0)
    lengths = torch.bincount(read.texts, minlength=read.n_texts)
    starts = torch.nn.functional.pad(lengths.cumsum(0), (1, 0))
    peaks = torch.zeros(read.n_texts).scatter_reduce_(0, read.texts, greatest, "amax")
    found = []
    for text in peaks.argsort(descending=True, stable=True)[:most].tolist():
        if not peaks[text] > 0:
            break
        begin, end = int(starts[text]), int(starts[text + 1])
        peak = begin + int(greatest[begin:end].argmax())
        first, last = max(begin, peak - around), min(end, peak + around + 1)
        strengths = tuple(tuple(column[first:last].tolist()) for column in columns)
        shown = _tokens(checkpoint, read.tokens[first:last])
        found.append(Context(text, first - begin, peak - first, shown, strengths))
    return tuple(found)


def _histogram(columns: Float[Tensor, "model n"], bins: int) -> Histogram:
    top = float(columns.max())
    edges = torch.linspace(0, top or 1.0, bins + 1, dtype=torch.float64)
    counts = [
        # The greatest strength belongs to the last bin, and rounding to no bin beyond it.
        torch.bincount(
            (torch.bucketize(column[column > 0].double(), edges) - 1).clamp(max=bins - 1), minlength=bins
        )
        for column in columns
    ]
    return Histogram(tuple(edges.tolist()), tuple(tuple(each.tolist()) for each in counts))


@torch.no_grad()
def _logits(checkpoint: Checkpoint, direction: Float[Tensor, " d_model"], tokens: int) -> LogitEffects:
    unembedding: Any = checkpoint.model.get_output_embeddings()
    weights = unembedding.weight
    if weights.shape[1] != len(direction):
        raise UserError(
            f"expected a decoder row of width {weights.shape[1]}, which {checkpoint.name} unembeds, "
            f"got {len(direction)}"
        )
    added = (weights @ direction.to(weights)).float().cpu()

    def named(ids: Int[Tensor, " k"]) -> tuple[Added, ...]:
        return tuple(map(Added, _tokens(checkpoint, ids), added[ids].tolist()))

    order = added.argsort(stable=True)
    return LogitEffects(named(order.flip(0)[:tokens]), named(order[:tokens]))


def _tokens(checkpoint: Checkpoint, ids: Int[Tensor, " k"] | Sequence[int]) -> tuple[str, ...]:
    """Each token as text by itself, special ones too."""
    return tuple(str(checkpoint.tokenizer.decode([int(i)], clean_up_tokenization_spaces=False)) for i in ids)
