"""Grading an output against an answer, strictly (form included) and leniently (form forgiven).

The two together say how much of a gain is reasoning and how much is only the answer's format.
"""

import re
import unicodedata
from collections.abc import Hashable
from typing import Literal, NamedTuple

from pydantic import Field, field_validator

from undertext.activations.patterns import Found, find_all, pattern_groups
from undertext.core.printable import shown
from undertext.tasks.fields import AnyText, Info, Line, Part, expected
from undertext.tasks.numbers import last_numbers, numbers_in, parse_number
from undertext.tasks.spans import WORD_CHARACTER


class Grader(Part):
    """The way of grading; `pattern` is a regular expression whose group 1 is the answer (kind `regex`)."""

    kind: Literal["exact", "number", "choice", "regex", "reasoning_gym"]
    pattern: AnyText | None = Field(default=None, validate_default=True)
    dataset: Line | None = Field(default=None, validate_default=True)
    """Name of the generator whose `score_answer` grades (kind `reasoning_gym`)."""

    @field_validator("pattern")
    @classmethod
    def _suits_kind(cls, pattern: str | None, info: Info) -> str | None:
        kind = info.data.get("kind")
        if pattern is None:
            if kind == "regex":
                raise ValueError("expected a regular expression (the kind is regex), got nothing")
            return None
        if kind is not None and kind != "regex":
            raise expected(f"no pattern (the kind is {kind})", pattern)
        if pattern_groups(pattern) == 0:
            raise expected(r"a pattern with a group that holds the answer, as in 'answer (\d+)'", pattern)
        return pattern

    @field_validator("dataset")
    @classmethod
    def _names_generator(cls, dataset: str | None, info: Info) -> str | None:
        kind = info.data.get("kind")
        if (dataset is None) == (kind == "reasoning_gym"):
            wanted = "the name of a generator" if dataset is None else "no dataset"
            raise expected(f"{wanted} (the kind is {kind})", dataset)
        return dataset

    @property
    def asks_for_form(self) -> bool:
        """Whether the task asks for a form around the answer, so that a right answer can lack it.

        Kind `regex` does, by its pattern. By the other kinds an output is right strictly when it is the
        answer and nothing else, which is the grader's own demand and none of the task's.
        """
        return self.kind == "regex"

    @property
    def strict_form(self) -> str:
        """What a strictly right output is, in words that go on after "the output is"."""
        return "one that ends in the pattern's match" if self.asks_for_form else "the answer and nothing else"


def answer_fault(grader: Grader, answer: str) -> str | None:
    """Why no output could be graded right against `answer`, as "expected ..., got ...", or None."""
    if grader.kind == "number" and parse_number(answer) is None:
        return f"expected a number (the grader's kind is number), got {shown(answer)}"
    if grader.kind == "choice" and not re.fullmatch("[A-Za-z]", answer.strip()):
        return f"expected a single letter (the grader's kind is choice), got {shown(answer)}"
    return None


_QUOTES = "\"'*_`\u00ab\u00bb\u2018\u2019\u201c\u201d\u201e"
_LEADING = _QUOTES + "([{<\u00a1\u00bf\u300c\u300e\uff08"
_TRAILING = _QUOTES + ")]}>.,:;!?\u2026\u3001\u3002\u300d\u300f\uff01\uff09\uff0c\uff1a\uff1b\uff1f"
"""Punctuation dropped around an answer. Signs, a leading `.`, % and currency mean something: they stay."""

_BRACKETED_LETTER = rf"(?<!{WORD_CHARACTER})[(\[]([A-Za-z])[)\]]"


Key = Hashable
"""One reading of an answer: a number, or text without case and punctuation."""


class Grade(NamedTuple):
    """Whether an output is right; `strict` implies `lenient`."""

    strict: bool
    lenient: bool


def grade(grader: Grader, output: str, answer: str) -> Grade:
    """Grade `output`, what a model wrote after a prompt, against `answer`; docs/tasks.md has the rules.

    Raises UserError where the pattern is not done with the output in time (`activations.patterns.SECONDS`).
    """
    return Grade(_strict(grader, output, answer), bool(said(grader, output) & meant(grader, answer)))


def said(grader: Grader, output: str) -> frozenset[Key]:
    """What `output` answers, in every way in which it can be read.

    An output is right, leniently, for the answers whose `meant` shares a key with it: so it can be graded
    against any number of answers at once.
    """
    match grader.kind:
        case "exact":
            lines = [line for line in output.splitlines() if line.strip()]
            return frozenset({_bare(output), _bare(lines[-1] if lines else "")})
        case "number":
            whole = parse_number(output)
            return last_numbers(output) if whole is None else last_numbers(output) | {whole}
        case "choice":
            whole_form = _letter(output)
            alone = {(case, _last_letter(output, case)) for case in ("A", "a")}
            return frozenset(alone if whole_form is None else {*alone, whole_form})
        case "regex":
            matches = matches_in(grader, output)
            return _readings(matches[-1].groups[0] or "") if matches else frozenset()
        case "reasoning_gym":
            raise ValueError("kind reasoning_gym is graded with its problem alone")


def meant(grader: Grader, answer: str) -> frozenset[Key]:
    """The keys of a right answer, as `said` gives those of an output."""
    number = parse_number(answer)
    match grader.kind:
        case "exact":
            return frozenset({_bare(answer)})
        case "number":
            return frozenset() if number is None else frozenset({number})
        case "choice":
            letter = answer.strip()
            return frozenset({letter, ("A" if letter.isupper() else "a", letter.casefold())})
        case "regex":
            return frozenset({_bare(answer)} if number is None else {_bare(answer), number})
        case "reasoning_gym":
            raise ValueError("kind reasoning_gym is graded with its problem alone")


def matches_in(grader: Grader, output: str) -> list[Found]:
    """The pattern's matches that hold anything, where group 1 is in the last of them. (Kind `regex`.)"""
    # Empty matches are passed over: (.*) matches once more at the very end, with nothing in it.
    matches = [match for match in find_all(grader.pattern or "", output) if match.end > match.start]
    # Group 1 may stand in a branch that was not taken.
    return matches if matches and matches[-1].groups[0] is not None else []


def _strict(grader: Grader, output: str, answer: str) -> bool:
    match grader.kind:
        case "exact":
            return output.strip() == answer.strip()
        case "number":
            wanted = parse_number(answer)
            return wanted is not None and parse_number(output) == wanted
        case "choice":
            return _letter(output) == answer.strip()
        case "regex":
            matches = matches_in(grader, output)
            ends = bool(matches) and not output[matches[-1].end :].strip()
            return ends and (matches[-1].groups[0] or "").strip() == answer.strip()
        case "reasoning_gym":
            raise ValueError("kind reasoning_gym is graded with its problem alone")


def _bare(text: str) -> str:
    """Case, spacing and surrounding punctuation removed, unless nothing else would be left."""
    plain = " ".join(unicodedata.normalize("NFC", text).casefold().split())
    return plain.lstrip(_LEADING).rstrip(_TRAILING).strip() or plain


def _letter(output: str) -> str | None:
    """The letter that the whole of `output` is, in its form."""
    match = re.fullmatch(r"(?:\(([A-Za-z])\)|\[([A-Za-z])\]|([A-Za-z])\)?)\.?", output.strip())
    return None if match is None else match[1] or match[2] or match[3]


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


def _readings(found: str) -> frozenset[Key]:
    """What the text in a pattern's group may be read as: itself, or its one number."""
    numbers = [number for number in numbers_in(found) if not number.part]
    if len({number.end for number in numbers}) != 1:
        return frozenset({_bare(found)})
    read = {n.value for n in numbers if n.value is not None and not n.glued and not n.named}
    return frozenset({_bare(found), *read})
