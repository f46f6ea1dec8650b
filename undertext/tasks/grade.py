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
from undertext.tasks.choice import read_letter, whole_letter
from undertext.tasks.fields import AnyText, Info, Line, Part, expected
from undertext.tasks.last_number import given_numbers, last_numbers
from undertext.tasks.math_answers import bare, boxes, meant_math, pieces, said_in, said_math
from undertext.tasks.numbers import numbers_in, parse_number

Kind = Literal["exact", "number", "choice", "regex", "math", "likelihood", "python", "reasoning_gym"]
NORMALISED = Literal["none", "tokens", "characters"]


class Grader(Part):
    """The way of grading; `pattern` is a regular expression whose group 1 is the answer (kinds `regex`,
    `math`).

    `normalise` (kind `likelihood`) is what a choice's log-probability is divided by; `dataset` is the
    generator whose `score_answer` grades (kind `reasoning_gym`).
    """

    kind: Kind
    pattern: AnyText | None = Field(default=None, validate_default=True)
    normalise: NORMALISED = "none"
    dataset: Line | None = Field(default=None, validate_default=True)

    @field_validator("pattern")
    @classmethod
    def _suits_kind(cls, pattern: str | None, info: Info) -> str | None:
        kind = info.data.get("kind")
        if pattern is None:
            if kind == "regex":
                raise ValueError("expected a regular expression (the kind is regex), got nothing")
            return None
        if kind is not None and kind not in ("regex", "math"):
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

    @field_validator("normalise")
    @classmethod
    def _of_likelihood(cls, normalise: str, info: Info) -> str:
        kind = info.data.get("kind")
        if normalise != "none" and kind is not None and kind != "likelihood":
            raise expected(f"no such key (the kind is {kind})", normalise)
        return normalise

    @property
    def asks_for_form(self) -> bool:
        r"""Whether the task asks for a form around the answer, so that a right answer can lack it.

        Kinds `regex` and `math` do, by their pattern or by `\boxed{}`. By the other kinds an output is right
        strictly when it is the answer and nothing else, which is the grader's own demand and none of the
        task's.
        """
        return self.kind in ("regex", "math")

    @property
    def strict_form(self) -> str:
        """What a strictly right output is, in words that go on after "the output is"."""
        if self.kind == "math" and self.pattern is None:
            return r"one whose last \boxed{} holds the answer"
        return "one that ends in the pattern's match" if self.asks_for_form else "the answer and nothing else"


def answer_fault(grader: Grader, answer: str, choices: list[str] | None = None) -> str | None:
    """Why no output could be graded right against `answer`, as "expected ..., got ...", or None."""
    if grader.kind == "number" and parse_number(answer) is None:
        return f"expected a number (the grader's kind is number), got {shown(answer)}"
    if grader.kind == "choice" and not re.fullmatch("[A-Za-z]", answer.strip()):
        return f"expected a single letter (the grader's kind is choice), got {shown(answer)}"
    if grader.kind == "likelihood" and answer not in (choices or ()):
        return f"expected one of the problem's choices (the grader's kind is likelihood), got {shown(answer)}"
    return None


_QUOTES = "\"'*_`\u00ab\u00bb\u2018\u2019\u201c\u201d\u201e"
_LEADING = _QUOTES + "([{<\u00a1\u00bf\u300c\u300e\uff08"
_TRAILING = _QUOTES + ")]}>.,:;!?\u2026\u3001\u3002\u300d\u300f\uff01\uff09\uff0c\uff1a\uff1b\uff1f"
"""Punctuation dropped around an answer. Signs, a leading `.`, % and currency mean something: they stay."""


Key = Hashable
"""One reading of an answer: a number, or text without case and punctuation."""


_FOR_A_BOX = re.compile(r"\\\\boxed\\?\{\((?:\.|\[\^[\\{}]+\])[*+]\??\)\\?\}")
"""Patterns that mean what a `\\boxed{}` holds: `\\\\boxed\\{(.*?)\\}`, `\\\\boxed{([^{}]+)}`."""


class Grade(NamedTuple):
    """Whether an output is right; `strict` implies `lenient`."""

    strict: bool
    lenient: bool


def grade(grader: Grader, output: str, answer: str, letters: str = "") -> Grade:
    """Grade `output`, what a model wrote after a prompt, against `answer`; docs/tasks.md has the rules.

    `letters` are those that the problem offers (kind `choice`; `tasks.choice.offered`). Kinds `python`
    and `reasoning_gym` are graded by `OutputGrader`, which knows the problem.

    Raises UserError where the pattern is not done with the output in time (`activations.patterns.SECONDS`),
    and for kind `math` without math-verify.
    """
    strict = _strict(grader, output, answer)
    return Grade(strict, strict or bool(said(grader, output, letters) & meant(grader, answer)))


def said(grader: Grader, output: str, letters: str = "") -> frozenset[Key]:
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
            whole_form = whole_letter(output)
            if whole_form is not None and letters and whole_form.casefold() not in letters.casefold():
                return frozenset()
            read = {case: read_letter(output, letters, lower=case == "a") for case in ("A", "a")}
            alone = {(case, found.letter.casefold()) for case, found in read.items() if found}
            return frozenset(alone if whole_form is None else {*alone, whole_form})
        case "regex":
            matches = matches_in(grader, output)
            return _readings(matches[-1].groups[0] or "") if matches else frozenset()
        case "math":
            formed = _formed(grader, output)
            return said_math(output) if formed is None else said_math(output) | said_in(formed)
        case "likelihood":
            return frozenset({output})
        case "python" | "reasoning_gym":
            raise ValueError("graded by a function alone, with the problem: by OutputGrader")


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
        case "math":
            return meant_math(answer)
        case "likelihood":
            return frozenset({answer})
        case "python" | "reasoning_gym":
            raise ValueError("graded by a function alone, with the problem: by OutputGrader")


def matches_in(grader: Grader, output: str) -> list[Found]:
    r"""The pattern's matches that hold anything, where group 1 is in the last of them.

    Without a pattern (kind `math`) the contents of boxes; so with one that is written for a box, such as
    `\\boxed\{(.*)\}`: no regular expression of Python tells which brace closes which.
    """
    if grader.pattern is None or _FOR_A_BOX.fullmatch(grader.pattern):
        inside = [(piece.start, piece.end) for piece in boxes(output)]
        return [Found(a, b + 1, (output[a:b],), ((a, b),)) for a, b in inside]
    # Empty matches are passed over: (.*) matches once more at the very end, with nothing in it.
    matches = [match for match in find_all(grader.pattern or "", output) if match.end > match.start]
    # Group 1 may stand in a branch that was not taken.
    return matches if matches and matches[-1].groups[0] is not None else []


def find_answer(grader: Grader, text: str, letters: str = "") -> tuple[int, int] | None:
    """The characters of the answer in what was written, whatever the right one is; None without any.

    The last match of the grader's pattern; the last number; the letter that is read; what mathematics is
    read; for the other kinds the last word.
    """
    match grader.kind:
        case "regex":
            spans = [match.spans[0] for match in matches_in(grader, text)]
        case "number":
            spans = [(number.start, number.end) for number in given_numbers(text)]
        case "choice":
            found = read_letter(text, letters) or read_letter(text, letters, lower=True)
            spans = [] if found is None else [(found.start, found.start + 1)]
        case "math":
            spans = [match.spans[0] for match in matches_in(grader, text)] if grader.pattern else []
            spans = spans or [(piece.start, piece.end) for piece in pieces(text)[:1]]
        case "likelihood":
            spans = [(0, len(text))] if text else []
        case _:
            spans = (
                [match.span() for match in re.finditer(r"\S+(?=\s*$)", text.rstrip())] if text.strip() else []
            )
    return spans[-1] if spans else None


def _strict(grader: Grader, output: str, answer: str) -> bool:
    match grader.kind:
        case "exact":
            return output.strip() == answer.strip()
        case "number":
            wanted = parse_number(answer)
            return wanted is not None and parse_number(output) == wanted
        case "choice":
            return whole_letter(output) == answer.strip()
        case "regex":
            matches = matches_in(grader, output)
            ends = bool(matches) and not output[matches[-1].end :].strip()
            return ends and (matches[-1].groups[0] or "").strip() == answer.strip()
        case "math":
            formed = _formed(grader, output)
            return formed is not None and bool(said_in(formed) & meant_math(answer))
        case _:
            return output == answer


def _formed(grader: Grader, output: str) -> str | None:
    """What stands in the form that the task asks for (kind `math`)."""
    matches = matches_in(grader, output)
    return bare(matches[-1].groups[0] or "") if matches else None


def _bare(text: str) -> str:
    """Case, spacing and surrounding punctuation removed, unless nothing else would be left."""
    plain = " ".join(unicodedata.normalize("NFC", text).casefold().split())
    return plain.lstrip(_LEADING).rstrip(_TRAILING).strip() or plain


def _readings(found: str) -> frozenset[Key]:
    """What the text in a pattern's group may be read as: itself, or its one number."""
    numbers = [number for number in numbers_in(found) if not number.part]
    if len({number.end for number in numbers}) != 1:
        return frozenset({_bare(found)})
    read = {n.value for n in numbers if n.value is not None and not n.glued and not n.named}
    return frozenset({_bare(found), *read})
