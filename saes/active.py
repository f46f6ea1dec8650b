"""Which latents are active: the k largest of each row, or k a row on average, found without ranking
everything.

On a CPU, `torch.topk` over thousands of latents costs as much as the encoder's matrix product. Here rows are
encoded a chunk at a time and read while they are in cache; a lower bound on the value sought leaves few
candidates, and only those are ranked. The bound decides what the answer costs, never what it is.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

CHUNK = 512
"""Rows encoded at a time: 512 x 4096 values are 8 MiB."""
GROUPS_PER_K = 4
"""Maxima that give a row's bound, for each of the k sought: with more, the bound is tighter and costs
more."""
SAMPLE_ROWS = 64
"""Rows that the bound for a whole batch is estimated from."""

Scores = Callable[[slice], Float[Tensor, "rows d_sae"]]
"""Encodes some rows of a batch. Higher scores are taken first, and only positive ones at all."""


class Active(NamedTuple):
    """The active latents of a batch by row and, within a row, by latent: the parts of a sparse CSR matrix."""

    starts: Int[Tensor, " n_plus_1"]
    """Where each row's latents begin, and last how many there are in all."""
    latents: Int[Tensor, " active"]
    scores: Float[Tensor, " active"]

    def rows(self) -> Int[Tensor, " active"]:
        """The row of each active latent."""
        counts = self.starts.diff()
        return torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)


def top_k(scores: Scores, n_rows: int, k: int) -> Active:
    """The k largest positive scores of each row (fewer where fewer are positive)."""
    found = []
    for start in range(0, n_rows, CHUNK):
        chunk = scores(slice(start, min(start + CHUNK, n_rows)))
        # The smallest positive number bounds from below what can be active at all.
        bound = _row_bound(chunk, k).clamp(min=torch.finfo(chunk.dtype).tiny)
        found.append(_trim(_candidates(chunk, chunk >= bound), k))
    return _joined(found)


def batch_top_k(scores: Scores, n_rows: int, total: int) -> Active:
    """The `total` largest positive scores of all rows together (fewer where fewer are positive)."""
    sample = scores(slice(0, n_rows, max(1, n_rows // SAMPLE_ROWS)))
    share = total * len(sample) / n_rows  # of the total, in the sample
    for excess in (1.25, 2.5):
        count = int(excess * share) + 1
        if count < sample.numel():
            bound = sample.flatten().topk(count).values[-1].item()
            active = _above(scores, n_rows, max(bound, 0.0))
            if len(active.scores) >= total:
                return _cut(active, total)
    return _cut(_above(scores, n_rows, 0.0), total)


def _above(scores: Scores, n_rows: int, bound: float) -> Active:
    found = []
    for start in range(0, n_rows, CHUNK):
        chunk = scores(slice(start, min(start + CHUNK, n_rows)))
        found.append(_candidates(chunk, chunk > bound))
    return _joined(found)


def _row_bound(chunk: Float[Tensor, "rows d_sae"], k: int) -> Float[Tensor, "rows 1"]:
    """A number that at least k scores of the row reach: the k-th largest of the maxima of disjoint groups."""
    groups = min(GROUPS_PER_K * k, chunk.shape[1])
    size = chunk.shape[1] // groups
    maxima = chunk[:, : groups * size].unflatten(1, (size, groups)).amax(dim=1)
    return maxima.topk(k, dim=1, sorted=False).values.amin(dim=1, keepdim=True)


def _candidates(chunk: Float[Tensor, "rows d_sae"], mask: Bool[Tensor, "rows d_sae"]) -> Active:
    if mask.device.type == "cpu":
        flat = torch.from_numpy(np.flatnonzero(mask.numpy()))  # three times as fast as torch's for few hits
    else:
        flat = mask.flatten().nonzero()[:, 0]
    width = chunk.shape[1]
    ends = torch.arange(len(chunk) + 1, device=chunk.device) * width
    return Active(torch.searchsorted(flat, ends), flat % width, chunk.flatten()[flat])


def _trim(active: Active, k: int) -> Active:
    """The k largest of each row."""
    counts = active.starts.diff()
    widest = int(counts.max()) if len(counts) else 0
    if widest <= k:
        return active
    rows = active.rows()
    places = torch.arange(len(rows), device=rows.device) - active.starts[rows]
    padded = active.scores.new_full((len(counts), widest), -torch.inf)
    padded[rows, places] = active.scores
    kept = torch.zeros_like(padded, dtype=torch.bool)
    kept.scatter_(1, padded.topk(k, dim=1, sorted=False).indices, True)
    return _only(active, kept[rows, places])


def _cut(active: Active, total: int) -> Active:
    """The `total` largest of all rows."""
    if len(active.scores) <= total:
        return active
    kept = torch.zeros_like(active.scores, dtype=torch.bool)
    kept[active.scores.topk(total, sorted=False).indices] = True
    return _only(active, kept)


def _only(active: Active, kept: Bool[Tensor, " active"]) -> Active:
    before = torch.nn.functional.pad(kept.cumsum(0), (1, 0))
    return Active(before[active.starts], active.latents[kept], active.scores[kept])


def _joined(parts: list[Active]) -> Active:
    counts = torch.cat([part.starts.diff() for part in parts])
    return Active(
        torch.nn.functional.pad(counts.cumsum(0), (1, 0)),
        torch.cat([part.latents for part in parts]),
        torch.cat([part.scores for part in parts]),
    )
