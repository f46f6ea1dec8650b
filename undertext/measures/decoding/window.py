"""The last tokens before a reading, and what can be put together from them: features for a null.

A probe of single tokens (the surface) cannot add two of them up, and a network can read a sum of what stands
close by though it was never taught to. So here are features of tokens together: which ones stand in two or
three places of the window at once, and a polynomial kernel of the window's token embeddings.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, combinations
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import normalize, pad

from undertext.activations.checkpoint import Checkpoint
from undertext.core.terms import FIT

Windows = Mapping[str, Sequence[Sequence[int]]]
"""By split: each row's text up to and with where it is read, as tokens."""

SIZES = (4, 8, 16)
"""Lengths of the window, in tokens. Which of them is read from is chosen on dev."""
TOGETHER = (2, 3)
"""So many places of a window are looked at together."""
SETS, CELLS = 3, 256
"""Sets of places whose tokens are features (those that tell most of train's labels), and the commonest tokens
in each."""
LANDMARKS, DEGREE = 256, 3
"""Rows of train that the kernel compares with, and its degree: products of so many tokens."""
_NONE = -1
"""Stands where a text has no token so far back."""


def window_features(
    windows: Windows, y: Int[Tensor, " n"], classes: int, checkpoint: Checkpoint
) -> dict[str, Float[Tensor, "window row feature"]]:
    """Features of every split's rows, for each length of the window twice: by tokens, and by the
    checkpoint's own embeddings of them. `y` are train's labels, by which the sets of places are chosen.
    """
    rows = {split: _last(texts, max(SIZES)) for split, texts in windows.items()}
    table = _embeddings(checkpoint, rows.values())
    made = [_together({s: each[:, -size:] for s, each in rows.items()}, y.numpy(), classes) for size in SIZES]
    made += [_kernel({s: each[:, -size:] for s, each in rows.items()}, table) for size in SIZES]
    width = max(each[FIT].shape[1] for each in made)
    return {
        split: torch.stack([pad(each[split], (0, width - each[split].shape[1])) for each in made])
        for split in rows
    }


def _last(texts: Sequence[Sequence[int]], size: int) -> Int[ndarray, "row size"]:
    out = np.full((len(texts), size), _NONE, np.int64)
    for row, text in enumerate(texts):
        if last := list(text[-size:]):
            out[row, -len(last) :] = last
    return out


def _together(
    rows: Mapping[str, Int[ndarray, "row size"]], y: Int[ndarray, " n"], classes: int
) -> dict[str, Float[Tensor, "row feature"]]:
    """Which tokens stand in some places at once, a column for each that is common in train."""
    width = rows[FIT].shape[1]
    sets = chain.from_iterable(combinations(range(width), count) for count in TOGETHER)
    told = sorted((-_told(_keys(rows[FIT], places), y, classes), places) for places in sets)
    blocks: dict[str, list[Tensor]] = {split: [] for split in rows}
    for _, places in told[:SETS]:
        seen, counts = np.unique(_keys(rows[FIT], places), return_counts=True)
        cells = np.sort(seen[np.argsort(-counts, kind="stable")[:CELLS]])
        for split, each in rows.items():
            found = _keys(each, places)[:, None] == cells
            blocks[split].append(torch.from_numpy(found).float())
    return {split: torch.cat(each, 1) for split, each in blocks.items()}


def _keys(rows: Int[ndarray, "row size"], places: Iterable[int]) -> Int[ndarray, " row"]:
    """A number for the tokens in these places."""
    key = np.zeros(len(rows), np.int64)
    for place in places:
        key = key * 2_097_143 + rows[:, place] + 1  # more than any vocabulary; three of them fit 63 bits
    return key


def _told(keys: Int[ndarray, " n"], y: Int[ndarray, " n"], classes: int) -> float:
    """Share of rows whose label is the commonest of the *other* rows with the same key."""
    _, code = np.unique(keys, return_inverse=True)
    counts = np.zeros((code.max() + 1, classes))
    np.add.at(counts, (code, y), 1)
    others, each = counts[code], np.arange(len(y))
    others[each, y] -= 1
    most = others.max(1)
    return float(np.mean((others[each, y] == most) / (others == most[:, None]).sum(1)))


def _embeddings(checkpoint: Checkpoint, rows: Iterable[ndarray]) -> Callable[[ndarray], Tensor]:
    """Gives tokens' embeddings in the checkpoint, less their mean, at length 1; zeros for no token."""
    known = np.unique(np.concatenate([each.ravel() for each in rows]))
    known = known[known != _NONE]
    embed: Any = checkpoint.model.get_input_embeddings()
    with torch.no_grad():
        found = embed(torch.from_numpy(known).to(embed.weight.device)).float().cpu()
    table = pad(normalize(found - found.mean(0), dim=1), (0, 0, 0, 1))

    def give(tokens: ndarray) -> Tensor:
        return table[np.where(tokens == _NONE, len(known), np.searchsorted(known, tokens))]

    return give


def _kernel(
    rows: Mapping[str, Int[ndarray, "row size"]], embedded: Callable[[ndarray], Tensor]
) -> dict[str, Float[Tensor, "row feature"]]:
    """`(1 + mean of the tokens' products)^DEGREE` with landmarks, by Nystroem's map to features."""
    marks = rows[FIT][:: -(-len(rows[FIT]) // LANDMARKS)]
    size = marks.shape[1]

    def products(each: Int[ndarray, "row size"]) -> Float[Tensor, "row mark"]:
        total = torch.zeros(len(each), len(marks))
        for place in range(size):
            tokens, row = np.unique(each[:, place], return_inverse=True)
            total += (embedded(tokens) @ embedded(marks[:, place]).T)[row]
        return (1 + total / size) ** DEGREE

    values, vectors = torch.linalg.eigh(products(marks).double())
    kept = values > values.max() * 1e-7
    root = (vectors[:, kept] * values[kept].rsqrt()) @ vectors[:, kept].T
    return {split: (products(each).double() @ root).float() for split, each in rows.items()}
