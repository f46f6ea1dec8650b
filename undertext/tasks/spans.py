"""Finding things in text: whole words, parts in order, and how a prompt and what follows it are joined."""

import re
from collections.abc import Sequence

WORD_CHARACTER = r"[^\W\u2e80-\u9fff\uac00-\ud7ff\uf900-\ufaff]"
"""A character that makes one word with its neighbour, as a regular expression: `\\w` less the Chinese,
Japanese and Korean scripts, which put no space between a word and the number or letter beside it."""


def join(prompt: str, text: str) -> str:
    """`prompt` followed by `text`, with one space between unless either has whitespace there already."""
    between = "" if prompt[-1:].isspace() or text[:1].isspace() else " "
    return prompt + between + text


def whole_words(text: str, word: str, *, any_case: bool = False) -> list[tuple[int, int]]:
    """Start and end of each place where `word` is no part of a longer word or decimal."""
    before, after = "", ""
    if any(c.isalnum() for c in word):
        before, after = f"(?<!{WORD_CHARACTER})", f"(?!{WORD_CHARACTER})"
    if word[:1].isdigit():
        before += r"(?<!\d[.,])"
    if word[-1:].isdigit():
        after += r"(?![.,]\d)"
    flags = re.IGNORECASE if any_case else re.NOFLAG
    return [match.span() for match in re.finditer(before + re.escape(word) + after, text, flags)]


def starts_in_order(text: str, parts: Sequence[str]) -> list[int]:
    """Where each of `parts` starts in `text`, each looked for after the end of the one before it.

    Shorter than `parts` when one is not found: its length is then the index of that part.
    """
    starts: list[int] = []
    end = 0
    for part in parts:
        start = text.find(part, end)
        if start < 0:
            break
        starts.append(start)
        end = start + len(part)
    return starts
