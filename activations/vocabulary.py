"""Loading a tokenizer as it was saved, and checking that it fits its model."""

import json
import math
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from undertext.activations.errors import UserError, shown
from undertext.activations.files import is_file, one_line
from undertext.activations.quiet import quiet

PROBES = (
    "The answer is 42: 3 + 4 = 7, so x1 = -5.",
    "if (a == b) { return a * 2; }  // two  spaces\n\tand a tab",
    "naïve café, 東京, \u03b1\u03b2\u03b3",
)
"""Texts on which two tokenizers with one vocabulary can still differ: spaces, digits, marks, scripts."""

_FILES = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt")


_MOST_GROWTH = 1000


def has_tokenizer(folder: Path) -> bool:
    """Whether `folder` holds a tokenizer of its own."""
    return any(is_file(folder / name) for name in _FILES)


def load_tokenizer(source: str | Path, **options: Any) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or of a hub id; UserError when there is none that can be read.

    A folder's tokenizer.json is what its model was trained with. AutoTokenizer goes by the model's
    type, and may rebuild a tokenizer of that type around the file's words: in a qwen2 folder it
    then encodes every text to nothing, or decodes without spaces. Where its answer and the file's
    differ, the file is right.
    """
    file = Path(source) / "tokenizer.json"
    try:
        with quiet():
            tokenizer: Any = AutoTokenizer.from_pretrained(source, **options)
            if is_file(file):
                saved = Tokenizer.from_file(str(file))
                _check_growth(saved, source)
                saved.no_padding()
                saved.no_truncation()
                if not _agree(tokenizer, saved):
                    tokenizer = PreTrainedTokenizerFast.from_pretrained(source, **options)
            if tokenizer.is_fast:
                _check_growth(tokenizer.backend_tokenizer, source)
    except UserError:
        raise
    except Exception as error:
        # Whatever the many tokenizer classes raise here is about these files, so it is told as such.
        raise UserError(f"cannot load a tokenizer from {shown(source)}: {one_line(error)}") from error
    checked: PreTrainedTokenizerBase = tokenizer
    return checked


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, d_vocab: int, name: str) -> None:
    """UserError when a text of the tokenizer's own words becomes no tokens, or tokens the model has not."""
    text = sample_text(tokenizer)
    ids = try_encode(tokenizer, text)
    if not ids:
        raise UserError(f"{name}: its tokenizer ({type(tokenizer).__name__}) encodes {text!r} to no tokens")
    if max(ids) >= d_vocab:
        raise UserError(
            f"{name}: its tokenizer gives token id {max(ids)}, but the model embeds only {d_vocab} tokens"
        )


def sample_text(tokenizer: PreTrainedTokenizerBase, but: Set[int] = frozenset()) -> str:
    """A short text that the tokenizer must know: the first and last words of its vocabulary, `but` some."""
    special = {*tokenizer.all_special_ids, *but}
    ids = sorted(set(tokenizer.get_vocab().values()) - special)
    return str(tokenizer.decode(ids[:8] + ids[-8:], skip_special_tokens=True))


def try_encode(
    tokenizer: PreTrainedTokenizerBase | Tokenizer, text: str, *, special: bool = True
) -> list[int]:
    """The ids of a text, none where the tokenizer refuses it (a word it has not, and no token for such).

    Without `special`, nothing is put around the text.
    """
    try:
        if isinstance(tokenizer, Tokenizer):
            return list(tokenizer.encode(text, add_special_tokens=special).ids)
        return list(tokenizer.encode(text, add_special_tokens=special, verbose=False))
    except Exception:
        # The tokenizers library raises bare Exceptions.
        return []


def _check_growth(tokenizer: Tokenizer, source: str | Path) -> None:
    """UserError when replacements that a tokenizer makes one after the other might lengthen a text without
    bounds: forty that each double it would fill any memory."""
    for part in (tokenizer.normalizer, tokenizer.decoder):
        if part is not None and (times := _growth(json.loads(part.__getstate__()))) > _MOST_GROWTH:
            raise UserError(
                f"cannot load a tokenizer from {shown(source)}: its replacements may make a text {times:.3g} "
                f"times as long, at most {_MOST_GROWTH} times is expected"
            )


def _growth(part: Any) -> float:
    """How many times longer a text may become in a normalizer or decoder, read as its file has it."""
    if isinstance(part, dict) and part.get("type") == "Replace":
        (replaced,) = part["pattern"].values()  # a regular expression may match a single character
        return max(1.0, len(part["content"]) / (len(replaced) if "String" in part["pattern"] else 1))
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return min(1e300, math.prod(map(_growth, inner), start=1.0))


def _agree(tokenizer: PreTrainedTokenizerBase, saved: Tokenizer) -> bool:
    """Whether the two encode and decode alike, special tokens aside."""
    special = set(tokenizer.all_special_ids)
    for text in (*PROBES, saved.decode(list(range(min(64, saved.get_vocab_size()))))):
        expected = [token for token in try_encode(saved, text) if token not in special]
        found = [token for token in try_encode(tokenizer, text) if token not in special]
        if found != expected or tokenizer.decode(found) != saved.decode(expected):
            return False
    return True


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
