"""What a tokenizer puts around every text, and what of it a prompt keeps."""

from collections.abc import Sequence
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from undertext.activations.vocabulary import sample_text, try_encode


class Added(NamedTuple):
    """The tokens that a tokenizer puts before and after every text."""

    before: tuple[int, ...]
    after: tuple[int, ...]

    @classmethod
    def by(cls, tokenizer: PreTrainedTokenizerBase) -> "Added":
        """Told by a text with them and without."""
        text = sample_text(tokenizer)
        whole, plain = try_encode(tokenizer, text), try_encode(tokenizer, text, special=False)
        for start in range(len(whole) - len(plain) + 1 if plain else 0):
            if whole[start : start + len(plain)] == plain:
                return cls(tuple(whole[:start]), tuple(whole[start + len(plain) :]))
        return cls((), ())

    def kept(self, ids: Sequence[int]) -> slice:
        """Which of a text's tokens a prompt keeps.

        What was put after it goes: a prompt is gone on from. What was put before it goes where the text
        begins with the very same, as one that a chat template has rendered does: models have seen it once.
        """
        n = len(self.before)
        again = n > 0 and self.opens(ids) and tuple(ids[n : 2 * n]) == self.before
        return slice(n if again else 0, len(ids) - len(self.after))

    def opens(self, ids: Sequence[int]) -> bool:
        """Whether these begin with what the tokenizer puts before every text."""
        return tuple(ids[: len(self.before)]) == self.before
