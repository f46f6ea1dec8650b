"""Which letter of a multiple-choice problem an output gives, and which letters the problem offers."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from undertext.tasks.spans import WORD_CHARACTER

_LABEL = re.compile(
    rf"(?:^|(?<=\n))[ \t*]*(?:([A-Za-z])[.):]|[(\[]([A-Za-z])[)\]])(?=\s)|(?<!{WORD_CHARACTER})\(([A-Za-z])\)"
)
_WHOLE = re.compile(r"(?:\(([A-Za-z])\)|\[([A-Za-z])\]|([A-Za-z])\)?)\.?")
_OPEN, _CLOSE = (
    r"(?:[ \t]|[*_\"'`(\[{$]|\\text(?:bf)?\s?\{|\\\(){0,6}",
    rf"(?!{WORD_CHARACTER}|['\u2019-]{WORD_CHARACTER})",
)
_STATED = re.compile(
    r"(?:(?i:\b(?:answer|(?:correct|right|best) (?:option|choice))[*_]{0,2}"
    r"(?: (?:is|was|would be|must be)\b:?|:)(?: (?:option|choice)\b)?)"
    rf"|\\f?boxed\s?\{{){_OPEN}([A-Za-z]){_CLOSE}"
)
_NOT_ALONE = re.compile(rf"[*_\"'`)\]}}$]{{0,4}}[ \t]*(?:or|and|/|&)[ \t]*{_OPEN}([A-Z]){_CLOSE}")
_ENDS = re.compile(r"[)\]}]|\.?[ \t]*(?:\n(?!\s*[a-z])|\s*\Z)")
"""What shows that a letter in lower case is no word: a bracket, the end of the output or of a line."""
_WORD_AFTER = re.compile(r"\s+(?!(?:because|since|as|and|or|but|not|is)\b)[a-z]")
_BRACKETED = rf"(?<!{WORD_CHARACTER})[(\[]([A-Za-z])[)\]]"
_TOUCHING = rf"{WORD_CHARACTER}|['\u2019\-](?={WORD_CHARACTER})"
_ALONE = rf"(?<!{WORD_CHARACTER})(?<!['\u2019\-])(?!I\s+[a-z])([{{letters}}])(?!{_TOUCHING})"
_STANDING = {
    lower: re.compile(f"{_BRACKETED}|{_ALONE.format(letters='A-Za-z' if lower else 'A-Z')}")
    for lower in (False, True)
}


class Letter(NamedTuple):
    """A letter in an output, and where it stands."""

    letter: str
    start: int


def offered(prompt: str, choices: Sequence[str], answer: str) -> str:
    """The letters that a problem offers, in the case of its answer; empty where that cannot be told.

    Of a list of `choices` as many letters as there are (or the choices themselves where each is a letter);
    otherwise the labels (`A.`, `A)`, `(A)`) from the prompt's last A on, where they follow one another and
    the answer is among them.
    """
    answer = answer.strip()
    if choices and all(len(choice.strip()) == 1 and choice.strip().isalpha() for choice in choices):
        letters = "".join(choice.strip() for choice in choices)
    elif choices:
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(choices)]
    else:
        labels = "".join(match[1] or match[2] or match[3] for match in _LABEL.finditer(prompt)).upper()
        run = labels[labels.rfind("A") :] if "A" in labels else ""
        letters = run if len(run) > 1 and run == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(run)] else ""
    letters = letters.upper() if answer.isupper() else letters.lower()
    return letters if answer in letters else ""


def whole_letter(output: str) -> str | None:
    """The letter that the whole of `output` is, in its form: `B`, `(B)`, `[B]`, `B)`; a period may follow."""
    match = _WHOLE.fullmatch(output.strip())
    return None if match is None else match[1] or match[2] or match[3]


def read_letter(output: str, letters: str = "", *, lower: bool = False) -> Letter | None:
    """The letter that `output` gives, one of `letters` where any are given; None where it gives none.

    The letter that the whole of it is; otherwise what the last "answer is" (or box) says; otherwise the one
    label that a line of it begins with, if its first does; otherwise the last letter that stands alone or in
    brackets. Alone counts in capitals only, since "a" is a word, unless `lower` says that the task's answers
    are lower case. "I" with a lower-case word after it is the pronoun. A letter that is not offered is no
    answer, nor is one of two ("B or C").
    """
    found = _whole(output) or _stated(output, lower) or _labelled(output) or _last(output, lower)
    if found is None or not found.letter:
        return None
    return found if not letters or found.letter.casefold() in letters.casefold() else None


def _whole(output: str) -> Letter | None:
    letter = whole_letter(output)
    return None if letter is None else Letter(letter, output.index(letter))


def _stated(output: str, lower: bool) -> Letter | None:
    """The letter of the last statement; with no letter where the statement names two."""
    for match in reversed(list(_STATED.finditer(output))):
        bracketed = output[match.start(1) - 1 : match.start(1)] in tuple("([{*")
        ends = _ENDS.match(output, match.end()) is not None
        if not (match[1].isupper() or lower or bracketed or ends):
            continue  # "the answer is a car"
        if not bracketed and match[1] in "AI" and _WORD_AFTER.match(output, match.end()):
            continue  # "the answer is A car", "the answer I gave"
        pair = _NOT_ALONE.match(output, match.end())
        return Letter("" if pair and pair[1] != match[1] else match[1], match.start(1))
    return None


def _labelled(output: str) -> Letter | None:
    """The label that the output begins with, where no other label begins a line."""
    labels = [m for m in _LABEL.finditer(output) if m[3] is None]
    if not labels or output[: labels[0].start()].strip():
        return None
    if len({m[1] or m[2] for m in labels}) > 1:
        return None
    first = labels[0]
    return Letter(first[1] or first[2], first.start(1 if first[1] else 2))


def _last(output: str, lower: bool) -> Letter | None:
    every = list(_STANDING[lower].finditer(output))
    return Letter(every[-1][1] or every[-1][2], every[-1].start(1 if every[-1][1] else 2)) if every else None
