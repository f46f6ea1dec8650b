"""How a row of generation chooses its next token, when it ends, and what of it is kept."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.checks import check_number
from undertext.activations.errors import UserError, shown

_PART = 1 << 22
"""Numbers of the logits that are worked on at a time."""


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
        self, logits: Float[Tensor, "row d_vocab"], steps: Int[Tensor, " row"], numbers: Int[Tensor, " row"]
    ) -> Int[Tensor, " row"]:
        """The next token of each row, after `steps` others; `numbers` are its place among those at the start.

        Both are on the CPU.
        """
        parts = some_rows(logits)
        if not self._temperature:
            return torch.cat([some.float().argmax(dim=-1) for some in parts])
        uniform = self._uniform[numbers, steps, None].to(logits.device).split([len(some) for some in parts])
        return torch.cat([self._draw(some, own) for some, own in zip(parts, uniform, strict=True)])

    def _draw(
        self, logits: Float[Tensor, "row d_vocab"], uniform: Float[Tensor, "row 1"]
    ) -> Int[Tensor, " row"]:
        probabilities = torch.softmax(logits.double() / self._temperature, dim=-1)
        if self._top_p < 1:
            probabilities = _nucleus(probabilities, self._top_p)
        cumulative = probabilities.cumsum(dim=-1)
        drawn = uniform * cumulative[:, -1:]
        # The first token whose cumulative probability exceeds the draw: never one of probability 0.
        return torch.searchsorted(cumulative, drawn, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)


def some_rows(logits: Float[Tensor, "row d_vocab"]) -> tuple[Tensor, ...]:
    """Logits in parts of few rows: what is made of those of a large vocabulary, in more than 16 bits, would
    otherwise take more memory than the model's own pass."""
    return logits.split(max(1, _PART // logits.shape[-1]))


def _nucleus(probabilities: Float[Tensor, "row d_vocab"], top_p: float) -> Float[Tensor, "row d_vocab"]:
    """Zero but for each row's fewest likeliest tokens that hold `top_p` (Holtzman et al., 1904.09751)."""
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered
    return torch.zeros_like(probabilities).scatter(-1, order, ordered.where(before < top_p, 0.0))


class Stopping:
    """Ends a row at an end-of-sequence token or as soon as its text holds a stop string."""

    def __init__(self, checkpoint: Checkpoint, stop: Sequence[str]) -> None:
        """UserError when a stop string is empty, or when `stop` is one string instead of a list."""
        if not isinstance(stop, list | tuple) or not all(isinstance(each, str) and each for each in stop):
            raise UserError(f"stop must be a list of strings that are not empty, got {shown(repr(stop), 80)}")
        self._checkpoint, self._stop = checkpoint, tuple(stop)
        self._last = "".join({text[-1] for text in stop})
        self._completes: dict[int, bool] = {}
        self._end = end_tokens(checkpoint)

    def ended(self, produced: Sequence[int]) -> bool:
        """Whether the tokens produced so far end with an end token or hold a stop string."""
        if produced[-1] in self._end:
            return True
        if not self._stop or not self._may_complete(produced[-1]):
            return False
        text = self._decode(produced)
        return any(stop in text for stop in self._stop)

    def cut(self, produced: Sequence[int]) -> tuple[list[int], str]:
        """The tokens before the end token or the stop string, and the text before the stop string.

        Special tokens are in the text as they are spelt, but for the end token.
        A token that holds the beginning of a stop string is left out; its text before it is kept.
        """
        tokens = list(produced)
        while tokens and tokens[-1] in self._end:
            tokens.pop()
        text = self._decode(tokens)
        starts = [at for stop in self._stop if (at := text.find(stop)) >= 0]
        if starts:
            text = text[: min(starts)]
            while tokens and len(self._decode(tokens)) > len(text):
                tokens.pop()
        return tokens, text

    def _decode(self, produced: Sequence[int]) -> str:
        return self._checkpoint.decode(produced, start=False)

    def _may_complete(self, token: int) -> bool:
        """Whether a stop string can end in this token; saves decoding the whole row at every step.

        White space between words and characters spelt over several tokens do not show in a token
        alone, so in doubt the answer is yes.
        """
        if token not in self._completes:
            text = self._decode([token])
            hidden = any(character.isspace() for character in self._last) or "\ufffd" in text
            self._completes[token] = hidden or any(character in text for character in self._last)
        return self._completes[token]


def end_tokens(checkpoint: Checkpoint) -> frozenset[int]:
    """The ids that end a text, by the tokenizer and by the model's generation settings."""
    settings = getattr(checkpoint.model, "generation_config", None)
    stated = getattr(settings, "eos_token_id", None)
    many = stated if isinstance(stated, list | tuple) else [stated]
    return frozenset(token for token in (*many, checkpoint.tokenizer.eos_token_id) if token is not None)
