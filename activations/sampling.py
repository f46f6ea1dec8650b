"""Choosing the next token of each row."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.checks import check_number
from undertext.activations.errors import UserError


class Sampler:
    """Greedy at temperature 0, and otherwise a draw with a random stream for each row.

    What a row draws depends on its own stream and its own logits alone, so not on its batch.
    """

    def __init__(
        self, temperature: float, top_p: float, streams: Sequence[Sequence[int]], steps: int
    ) -> None:
        """`streams` are the seeds of the rows, each a sequence of numbers.

        UserError when the temperature or a seed is negative, or `top_p` is not above 0 and up to 1.
        """
        check_number("temperature", temperature)
        check_number("top_p", top_p)
        if temperature < 0 or any(number < 0 for stream in streams for number in stream):
            raise UserError(f"temperature and seed must not be negative, got {temperature} and {streams[0]}")
        if not 0 < top_p <= 1:
            raise UserError(f"top_p must be above 0 and at most 1, got {top_p}")
        self._temperature, self._top_p = temperature, top_p
        drawn = [np.random.default_rng(list(stream)).random(steps) for stream in streams if temperature]
        self._uniform = torch.from_numpy(np.array(drawn).reshape(len(drawn), steps))

    def choose(
        self, logits: Float[Tensor, "row d_vocab"], step: int, numbers: Int[Tensor, " row"]
    ) -> Int[Tensor, " row"]:
        """The next token of each row; `numbers` are the rows' places among those given at the start."""
        if not self._temperature:
            return logits.argmax(dim=-1)
        probabilities = torch.softmax(logits.double() / self._temperature, dim=-1)
        if self._top_p < 1:
            probabilities = _nucleus(probabilities, self._top_p)
        cumulative = probabilities.cumsum(dim=-1)
        uniform = self._uniform[numbers.to(self._uniform.device), step, None].to(logits.device)
        drawn = uniform * cumulative[:, -1:]
        # The first token whose cumulative probability exceeds the draw: never one of probability 0.
        return torch.searchsorted(cumulative, drawn, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)


def _nucleus(probabilities: Float[Tensor, "row d_vocab"], top_p: float) -> Float[Tensor, "row d_vocab"]:
    """Zero but for each row's fewest likeliest tokens that hold `top_p` (Holtzman et al., 1904.09751)."""
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered
    return torch.zeros_like(probabilities).scatter(-1, order, ordered.where(before < top_p, 0.0))
