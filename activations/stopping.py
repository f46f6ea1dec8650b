"""When a row of generation ends, and what of it is kept."""

from collections.abc import Sequence

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError, shown


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
