"""Grading an output against an answer, strictly (form included) and leniently (form forgiven).

The two together say how much of a gain is reasoning and how much is only the answer's format.
"""

import re
import unicodedata
from typing import NamedTuple

from undertext.tasks.grader import Grader
from undertext.tasks.number import last_number, parse_number
from undertext.tasks.spans import WORD_CHARACTER

_QUOTES = "\"'*_`\u00ab\u00bb\u2018\u2019\u201c\u201d\u201e"
_LEADING = _QUOTES + "([{<\u00a1\u00bf\u300c\u300e\uff08"
_TRAILING = _QUOTES + ")]}>.,:;!?\u2026\u3001\u3002\u300d\u300f\uff01\uff09\uff0c\uff1a\uff1b\uff1f"
"""Punctuation dropped around an answer. Signs, a leading `.`, % and currency mean something: they stay."""

_BRACKETED_LETTER = rf"(?<!{WORD_CHARACTER})[(\[]([A-Za-z])[)\]]"


class Grade(NamedTuple):
    """Whether an output is right; `strict` implies `lenient`."""

    strict: bool
    lenient: bool


def grade(grader: Grader, output: str, answer: str) -> Grade:
    """Grade `output`, what a model wrote after a prompt, against `answer`; docs/tasks.md has the rules."""
    match grader.kind:
        case "exact":
            strict, lenient = output.strip() == answer.strip(), _exact(output, answer)
        case "number":
            wanted = parse_number(answer)
            strict = wanted is not None and parse_number(output) == wanted
            lenient = wanted is not None and last_number(output) == wanted
        case "choice":
            letter = answer.strip()
            strict, lenient = _is_letter(output, letter), _last_letter(output, letter) == letter.casefold()
        case "regex":
            strict, lenient = _regex(grader.pattern or "", output, answer)
    return Grade(strict, strict or lenient)


def _exact(output: str, answer: str) -> bool:
    lines = [line for line in output.splitlines() if line.strip()]
    return _bare(answer) in {_bare(output), _bare(lines[-1] if lines else "")}


def _bare(text: str) -> str:
    """Case, spacing and surrounding punctuation removed, unless nothing else would be left."""
    plain = " ".join(unicodedata.normalize("NFC", text).casefold().split())
    return plain.lstrip(_LEADING).rstrip(_TRAILING).strip() or plain


def _is_letter(output: str, letter: str) -> bool:
    wanted = re.escape(letter)
    return re.fullmatch(rf"(?:\({wanted}\)|\[{wanted}\]|{wanted}\)?)\.?", output.strip()) is not None


def _last_letter(output: str, letter: str) -> str | None:
    """The last letter of `output` that stands alone, or is bracketed, in lower case.

    Alone counts in capitals only, since "a" is a word, unless the task's answers are lower case. "I"
    with a lower-case word after it is the pronoun.
    """
    letters = "A-Z" if letter.isupper() else "A-Za-z"
    touching = rf"{WORD_CHARACTER}|['\u2019\-](?={WORD_CHARACTER})"
    alone = rf"(?<!{WORD_CHARACTER})(?<!['\u2019\-])(?!I\s+[a-z])([{letters}])(?!{touching})"
    found = [match[1] or match[2] for match in re.finditer(f"{_BRACKETED_LETTER}|{alone}", output)]
    return found[-1].casefold() if found else None


def _regex(pattern: str, output: str, answer: str) -> Grade:
    # Empty matches are passed over: (.*) matches once more at the very end, with nothing in it.
    matches = [match for match in re.finditer(pattern, output) if match[0]]
    if not matches or matches[-1][1] is None:  # group 1 may stand in a branch that was not taken
        return Grade(False, False)
    found = matches[-1][1]
    at_end = not output[matches[-1].end() :].strip()
    numbers = parse_number(_bare(found)), parse_number(answer)
    lenient = numbers[0] == numbers[1] if None not in numbers else _bare(found) == _bare(answer)
    return Grade(at_end and found.strip() == answer.strip(), lenient)
