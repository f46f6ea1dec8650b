"""What there is to see of a feature: where it fires most in base and tuned, how strongly, what it writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from activations.checkpoint import Checkpoint
from activations.errors import UserError
from activations.pair import Pair
from saes.page_html import page_html
from saes.texts import TextFirings


class Context(NamedTuple):
    """A piece of a text around the token at which a feature fires most in it."""

    text: int
    """Which text."""
    start: int
    """Which of its tokens that were read is the first shown."""
    peak: int
    """Which of the tokens shown has the greatest strength, in either checkpoint."""
    tokens: tuple[str, ...]
    base: tuple[float, ...]
    """Strength at each token shown."""
    tuned: tuple[float, ...]


class Histogram(NamedTuple):
    """How often a feature fires how strongly; rows at which it is silent are not counted."""

    edges: tuple[float, ...]
    """One more than there are bins, from 0 to the greatest strength of both."""
    base: tuple[int, ...]
    tuned: tuple[int, ...]


class LogitEffects(NamedTuple):
    """W_U d: what one unit of strength adds to the logits by way of the unembedding alone.

    d is the feature's decoder row. The final norm is left out, its weights too, and so is all that later
    layers make of the row: a direct and approximate effect.
    """

    raised: tuple[tuple[str, float], ...]
    """Tokens and what is added to their logits, the greatest first."""
    lowered: tuple[tuple[str, float], ...]
    """The least first."""


@dataclass(frozen=True)
class FeaturePage:
    """A feature in base and tuned. In a notebook it shows itself."""

    feature: int
    names: tuple[str, str]
    """Of the checkpoints, base and tuned."""
    rows: int
    frequency: tuple[float, float]
    """Share of the tokens that it fires at."""
    contexts: tuple[Context, ...]
    """One from each text, the greatest strength in either checkpoint first."""
    histogram: Histogram
    logits: tuple[LogitEffects, LogitEffects]
    """By the unembedding of base and of tuned."""

    def _repr_html_(self) -> str:
        return page_html(self)


def feature_page(
    feature: int,
    direction: Float[Tensor, " d_model"],
    base: TextFirings,
    tuned: TextFirings,
    pair: Pair,
    *,
    contexts: int = 8,
    around: int = 12,
    bins: int = 12,
    tokens: int = 8,
) -> FeaturePage:
    """Gather what is on a feature's page from the same texts read in both checkpoints.

    Args:
        feature: its number.
        direction: its decoder row, as `decoder_directions` gives it.
        base: the texts read in the base.
        tuned: the same texts read in the tuned checkpoint.
        pair: the checkpoints.
        contexts: most texts that are shown.
        around: tokens shown on either side of the one at which it fires most.
        bins: of the histogram.
        tokens: how many are listed of those whose logits are raised, and of those lowered.

    Raises:
        UserError: when the texts differ, or there is no such feature.
    """
    if not (torch.equal(base.tokens, tuned.tokens) and torch.equal(base.texts, tuned.texts)):
        raise UserError("base and tuned have read different texts: read the same ones in both")
    columns = torch.stack([read.firings.column(feature) for read in (base, tuned)])
    return FeaturePage(
        feature=feature,
        names=(pair.base.name, pair.tuned.name),
        rows=columns.shape[1],
        frequency=_pair((columns > 0).double().mean(dim=1)),
        contexts=_contexts(columns, base, pair.base, contexts, around),
        histogram=_histogram(columns, bins),
        logits=(_logits(pair.base, direction, tokens), _logits(pair.tuned, direction, tokens)),
    )


def _pair(values: Float[Tensor, " 2"]) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def _contexts(
    columns: Float[Tensor, "2 n"], read: TextFirings, checkpoint: Checkpoint, most: int, around: int
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
        base, tuned = (tuple(column[first:last].tolist()) for column in columns)
        shown = _tokens(checkpoint, read.tokens[first:last])
        found.append(Context(text, first - begin, peak - first, shown, base, tuned))
    return tuple(found)


def _histogram(columns: Float[Tensor, "2 n"], bins: int) -> Histogram:
    top = float(columns.max())
    edges = torch.linspace(0, top or 1.0, bins + 1, dtype=torch.float64)
    counts = [
        # The greatest strength belongs to the last bin, and rounding to no bin beyond it.
        torch.bincount(
            (torch.bucketize(column[column > 0].double(), edges) - 1).clamp(max=bins - 1), minlength=bins
        )
        for column in columns
    ]
    return Histogram(tuple(edges.tolist()), tuple(counts[0].tolist()), tuple(counts[1].tolist()))


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

    def named(ids: Int[Tensor, " k"]) -> tuple[tuple[str, float], ...]:
        return tuple(zip(_tokens(checkpoint, ids), added[ids].tolist(), strict=True))

    order = added.argsort(stable=True)
    return LogitEffects(named(order.flip(0)[:tokens]), named(order[:tokens]))


def _tokens(checkpoint: Checkpoint, ids: Int[Tensor, " k"] | Sequence[int]) -> tuple[str, ...]:
    """Each token as text by itself, special ones too."""
    return tuple(str(checkpoint.tokenizer.decode([int(i)], clean_up_tokenization_spaces=False)) for i in ids)
