"""What a probe must beat: labels that mean nothing, and the surface of the text."""

from collections import Counter
from collections.abc import Hashable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.probes.checks import Labelled

SEEDS = (0, 1, 2)
"""Draws of a control."""


def control_labels(keys: Sequence[Hashable], y: Int[Tensor, " m"], *, seed: int) -> Int[Tensor, " n"]:
    """Hewitt and Liang's control task (arXiv 1909.03368): one random label for each distinct key.

    `keys` is what the surface shows at each row (a token, a window of tokens). Labels are drawn with
    the frequencies of `y`, which may be fewer than the keys (the fitting set's, say), so a probe that
    does well on them has memorised keys.
    """
    distinct = list(dict.fromkeys(keys))
    draws = torch.randint(len(y), (len(distinct),), generator=torch.Generator().manual_seed(seed))
    label = dict(zip(distinct, y[draws].tolist(), strict=True))
    return torch.tensor([label[key] for key in keys], dtype=y.dtype)


def control_draws(
    y: Int[Tensor, "n *target"],
    fit_keys: Sequence[Hashable],
    read_keys: Sequence[Hashable],
    *,
    seeds: Sequence[int] = SEEDS,
) -> tuple[Int[Tensor, "n target draw"], Int[Tensor, "m target draw"]]:
    """`control_labels` of the rows fitted, whose labels are `y`, and of the rows read: a key has one label
    wherever it occurs, another for every target and seed.

    Raises UserError where `fit_keys` and rows differ in number, and where a draw gives all fitted rows one
    label.
    """
    if len(fit_keys) != len(y):
        raise UserError(f"expected a key for each of {len(y)} rows, got {len(fit_keys)}")
    columns, keys = y.reshape(len(y), -1).cpu(), [*fit_keys, *read_keys]
    targets = columns.shape[1]
    draws = torch.stack(
        [
            torch.stack(
                [control_labels(keys, each, seed=seed * targets + i) for i, each in enumerate(columns.T)], -1
            )
            for seed in seeds
        ],
        -1,
    )
    drawn = draws[: len(y)]
    if bool((drawn == drawn[:1]).all(0).any()):
        raise UserError(
            f"control labels show one class alone: the fitted rows have {len(set(fit_keys))} distinct keys, "
            "take longer keys or other seeds"
        )
    return drawn, draws[len(y) :]


def shuffled_draws(rows: Labelled, *, seeds: Sequence[int] = SEEDS) -> Int[Tensor, "n target draw"]:
    """The rows' labels in random order, another for every seed.

    Where all rows of a problem have the same labels, problems trade them, else rows do: rows of one problem
    alike are fewer than they seem.
    """
    problem = torch.unique(rows.problems, return_inverse=True)[1]
    y, problems = rows.y.reshape(len(rows), -1).cpu(), int(problem.max()) + 1
    label = y.new_zeros(problems, y.shape[1])
    label[problem] = y  # one row of each, whichever
    by_problem = bool((label[problem] == y).all())
    drawn = []
    for seed in seeds:
        order = torch.randperm(
            problems if by_problem else len(y), generator=torch.Generator().manual_seed(seed)
        )
        drawn.append(label[order][problem] if by_problem else y[order])
    return torch.stack(drawn, -1)


class Surface:
    """Text before a reading as features: how often each token occurs, and which are the last few.

    The tokens counted are the `vocabulary` commonest of the texts it is made from; the rest share
    one column.
    """

    def __init__(self, texts: Sequence[Sequence[int]], *, window: int = 4, vocabulary: int = 256) -> None:
        """`texts` are the fitting set's token ids, each up to and with its reading position."""
        counts = Counter(token for text in texts for token in text)
        self.index = {token: i for i, (token, _) in enumerate(counts.most_common(vocabulary))}
        self.window = window

    def features(self, texts: Sequence[Sequence[int]]) -> Float[Tensor, "n feature"]:
        """Counts [n, v + 1] beside one-hot last tokens [n, window * (v + 1)] and the length [n, 1]."""
        width = len(self.index) + 1
        out = torch.zeros(len(texts), width * (1 + self.window) + 1)
        for row, text in enumerate(texts):
            columns = [self.index.get(token, width - 1) for token in text]
            out[row, :width] = torch.bincount(
                torch.tensor(columns, dtype=torch.long), minlength=width
            ).float()
            for back, column in enumerate(reversed(columns[-self.window :])):
                out[row, width * (1 + back) + column] = 1.0
            out[row, -1] = len(text)
        return out
