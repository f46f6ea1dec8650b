"""What a probe must beat: labels that mean nothing, and the surface of the text."""

from collections import Counter
from collections.abc import Hashable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor


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
