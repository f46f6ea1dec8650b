"""Choosing the next token of each row."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from activations.errors import UserError


class Sampler:
    """Greedy at temperature 0, and otherwise a draw with a random stream for each row.

    A row's stream depends on the seed and on its index among all prompts, so that what it draws
    does not depend on its batch.
    """

    def __init__(
        self, temperature: float, seed: int, rows: Sequence[int], steps: int, device: torch.device
    ) -> None:
        """UserError when temperature or seed is negative."""
        if temperature < 0 or seed < 0:
            raise UserError(f"temperature and seed must not be negative, got {temperature} and {seed}")
        self._temperature = temperature
        streams = [np.random.default_rng([seed, row]).random(steps) for row in rows] if temperature else []
        self._uniform = torch.from_numpy(np.array(streams).reshape(len(streams), steps)).to(device)

    def choose(
        self, logits: Float[Tensor, "row d_vocab"], step: int, numbers: Int[Tensor, " row"]
    ) -> Int[Tensor, " row"]:
        """The next token of each row; `numbers` are the rows' places among those given at the start."""
        if not self._temperature:
            return logits.argmax(dim=-1)
        cumulative = torch.softmax(logits.double() / self._temperature, dim=-1).cumsum(dim=-1)
        drawn = self._uniform[numbers, step, None] * cumulative[:, -1:]
        # The first token whose cumulative probability exceeds the draw: never one of probability 0.
        return torch.searchsorted(cumulative, drawn, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
