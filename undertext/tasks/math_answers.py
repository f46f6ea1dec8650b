r"""Answers in mathematics, as models write them: `\boxed{\frac{1}{2}}`, sets, intervals, equations, units.

What stands in an output is found here; what LaTeX comes to is read by math-verify (`math_values`), in a
process of its own that is ended where it takes too long. Plain numbers need neither.
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from importlib.util import find_spec
from typing import NamedTuple

from undertext.activations.errors import UserError, install
from undertext.tasks.last_number import asides_in, unworked_in, within
from undertext.tasks.math_values import Value, rational, reader
from undertext.tasks.numbers import Number, numbers_in
from undertext.tasks.worker import TooLong, Worker

SECONDS = 5.0
"""Time that one content may take to read; what takes longer is no answer."""
LONGEST, DEEPEST, TAIL = 500, 30, 4000
"""Characters and nested braces of a content that is read; characters at an output's end that are looked at
where it has no box."""
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_BOXES = ("\\boxed", "\\fbox", "\\boxed{", "\\fbox{", "\\boxed {", "\\fbox {")
_BARE_BOX = re.compile(r"\\(?:boxed|fbox)[ \t]+([^\s{}$\\]+)")
"""As TeX has it: without braces the box holds what comes next."""
_BRACE = re.compile(rf"{_BOX.pattern}|\\.|[{{}}]", re.DOTALL)
_ENVIRONMENT = re.compile(
    r"\$\$(?P<a>[^$]{1,500})\$\$|(?<!\\)\$(?P<b>[^$\n]{1,500})\$"
    r"|\\\[(?P<c>(?:[^\\]|\\[^\]]){1,500})\\\]|\\\((?P<d>(?:[^\\\n]|\\[^)]){1,500})\\\)"
)
_STATED = re.compile(r"(?i)\b(?:answer|result|solution)s?\b[^.\n:=]{0,40}?(?:\b(?:is|are)\b:?|:|=)[ \t*]*")
_JOINED = re.compile(r"[ \t]*(?:,|,? ?(?:and|or) |&)[ \t]*")
_BETWEEN_BOXES = re.compile(r"[\s$.]*(?:,|and|or|&|\\text\s*\{\s*(?:and|or)\s*\})?[\s$]*")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_TEXT = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}")
_NO_UNIT = r"(?!(?:and|or|to|by|sin|cos|tan|log|ln|pi|sqrt|exp|times|cdot|mod)\b)"
_UNIT = re.compile(rf"(?:\s|\\ )*(?:{_NO_UNIT}[A-Za-z]{{2,}}\.?(?:\s|\\ )*)+(?:\^\{{?\d\}}?|[\u00b2\u00b3])?")
_REPEATING = re.compile(r"(\d*)\.(\d*)\\overline\s*\{(\d+)\}")
_BASED = re.compile(r"([0-9A-Fa-f]+)_\{?(\d+)\}?")
_SPACING = re.compile(r"(?<!\\)\\[,;!: ]|\\q?quad\b|~")

Key = tuple[str, str]


class Piece(NamedTuple):
    """Where a content stands in an output, and the content: `output[start:end]`, or several joined."""

    start: int
    end: int
    content: str


def check_installed() -> None:
    """UserError, naming what to install, where math-verify is not there."""
    if find_spec("math_verify") is None:
        raise UserError(
            f"expected math-verify, which grades the kind math, got no such package: {install('math')}"
        )


def boxes(text: str) -> list[Piece]:
    r"""The contents of `\boxed{...}`, in order; of one within another, the outer. Linear in the text."""
    found: list[Piece] = []
    opened: list[int] = []  # where each brace's content begins; 0 of one that is no box's
    for match in _BRACE.finditer(text):
        if match[0] == "}":
            if opened and (start := opened.pop()):
                while found and found[-1].start > start:
                    found.pop()
                found.append(
                    Piece(start, match.start(), text[start : min(match.start(), start + LONGEST + 1)])
                )
        elif match[0].endswith("{") and match[0] != "\\{":
            opened.append(match.end() if match[0] != "{" else 0)
    bare_ones = [Piece(*match.span(1), match[1][: LONGEST + 1]) for match in _BARE_BOX.finditer(text)]
    braced = [(piece.start, piece.end) for piece in found]
    return sorted([*found, *(each for each in bare_ones if not within(braced, each.start, each.end))])


def pieces(text: str) -> list[Piece]:
    """What an output gives as its answer, in the ways in which it can be read; none where it gives none.

    The last box, and with it those it is joined to by commas or by "and". Without a box, what stands after
    the last "answer is" (or the whole of a text that is nothing but mathematics), and otherwise the last
    formula or number.
    """
    if found := boxes(text):
        joined = [found[-1]]
        for before in reversed(found[:-1]):
            between = text[before.end + 1 : joined[0].start]
            if not _BETWEEN_BOXES.fullmatch(_BOX.sub("", between)):
                break
            joined.insert(0, before)
        if len(joined) == 1:
            return joined
        contents = ", ".join(piece.content for piece in joined)
        return [found[-1], Piece(joined[0].start, joined[-1].end, contents)]
    start = max(0, len(text) - TAIL)
    tail = text[start:]
    if start == 0 and _mathematical(tail.strip()):
        return [_trimmed(text, 0, len(text))]
    if stated := [*_STATED.finditer(tail)]:
        at = start + stated[-1].end()
        line = re.compile(r"[^\n]*").match(text, at)
        return _first_pieces(text, at, line.end() if line else len(text))
    asides = asides_in(text)
    found = [*_environments(text, start), *_plain(text, start, len(text))]
    every = [piece for piece in found if not within(asides, piece.start, piece.end)]
    if every:
        return [max(every, key=lambda piece: (piece.end, -piece.start))]
    last = _trimmed(text, tail.rstrip().rfind("\n") + 1 + start, len(text))
    return [last] if 0 < len(last.content) <= 80 else []


def said_math(text: str) -> frozenset[Key]:
    """What an output answers (`grade.said`)."""
    return frozenset().union(*(_sides(value_in(piece.content), "x", "y") for piece in pieces(text)))


def meant_math(answer: str) -> frozenset[Key]:
    """What an answer is (`grade.meant`)."""
    return _sides(value_in(bare(answer)), "y", "x")


def said_in(content: str) -> frozenset[Key]:
    """What a content answers, as `said_math` gives it of an output."""
    return _sides(value_in(content), "x", "y")


def bare(answer: str) -> str:
    """An answer without the box or the dollars around it."""
    inner = answer.strip()
    found = boxes(inner)
    if len(found) == 1 and inner[: found[0].start].strip() in _BOXES and inner[found[0].end :] in ("", "}"):
        inner = found[0].content.strip()
    match = _ENVIRONMENT.fullmatch(inner)
    return inner if match is None else next(filter(None, match.groups())).strip()


def _sides(value: Value, own: str, other: str) -> frozenset[Key]:
    """Keys of which an output and an answer share one where they are equal.

    A value with a name equals one without (`x = 5` and 5), and none with another name; a decimal equals what
    is no decimal to six places. So the keys of outputs and of answers differ: `own` and `other` tell the
    sides.
    """
    keys = {(key, f"named {value.name}" if value.name else "plain") for key in value.keys}
    keys |= {(key, other if value.name else own) for key in value.keys}
    keys |= {(key, "plain") for key in value.whole}
    if value.decimal:
        keys.add((value.decimal, f"rounded {own}"))
    if value.exact:
        keys.add((value.exact, f"rounded {other}"))
    return frozenset(keys)


@lru_cache(maxsize=200_000)
def value_in(content: str) -> Value:
    """What a content comes to; without keys where nothing does in time."""
    plain = _SPACING.sub(" ", content).replace("\\$", "").replace("$", "").strip().rstrip(".,;").strip()
    plain = plain.removeprefix("=").lstrip()
    if not plain or len(plain) > LONGEST or _depth(plain) > DEEPEST:
        return Value(frozenset())
    if repeating := _REPEATING.fullmatch(plain):
        whole, fixed, period = repeating.groups()
        scale, cycle = 10 ** len(fixed), 10 ** len(period) - 1
        value = Fraction(int((whole + fixed) or "0"), scale) + Fraction(int(period), cycle * scale)
        return rational(value.numerator, value.denominator)
    if based := _BASED.fullmatch(plain):
        return Value(
            frozenset({f"digits {based[1].casefold()}"}) | value_in(based[1]).keys, f"base {based[2]}"
        )
    if re.search(r"\d\s*:\s*\d", plain):  # a time or a ratio, which LaTeX would divide
        return Value(frozenset({f"text {_words(plain)}"}))
    if (number := _whole_number(plain)) is not None:
        return number
    if words := _as_text(plain):
        return Value(frozenset({f"text {words}"}))
    share = re.fullmatch(r"(.*?[^\\\s])\s*\\?%", plain)
    read = _read(re.sub(r"(?<![\\A-Za-z])pi\b", r"\\pi", share[1] if share else plain))
    if share and read.keys:
        hundredth = _read(rf"\frac{{{share[1]}}}{{100}}")
        return read._replace(keys=read.keys | hundredth.keys)
    spelt = "" if read.keys and not re.fullmatch("[A-Za-z ]{1,3}", plain) else _words(plain)
    return read._replace(keys=read.keys | {f"text {spelt}"}) if spelt else read


def _read(content: str) -> Value:
    check_installed()
    try:
        value = Value(*_WORKER.ask(content, SECONDS))
    except TooLong:
        return Value(frozenset())
    except UserError as error:
        if "math-verify" in str(error):
            raise
        return Value(frozenset())  # sympy raises anything on what it cannot read
    return value


_WORKER = Worker(reader)


def _whole_number(content: str) -> Value | None:
    """The value of a content that is one number, a currency or a unit in words beside it."""
    if re.search(r",(?!\d{3}(?!\d)|\})", content) and not re.search(r"\d\.\d{3},\d", content):
        return None  # in mathematics 2,1 are two numbers
    text = _TEXT.sub(lambda match: match[1], content)
    text = re.sub(r"^[\u20ac\u00a3\u00a5]\s?", "", text)
    found = [number for number in numbers_in(text) if not number.part]
    if not found or min(number.start for number in found) > 0:
        return None
    end = max(number.end for number in found)
    if any(n.end != end or n.start or n.value is None for n in found) or not (
        not text[end:] or _UNIT.fullmatch(text, end)
    ):
        return None
    return _numbers(found)


def _numbers(found: list[Number]) -> Value:
    """The value of one number, with all its readings."""
    values = [_of_number(number) for number in found]
    return values[0]._replace(keys=frozenset().union(*(value.keys for value in values)))


def _of_number(number: Number) -> Value:
    fraction = Fraction(number.value if number.value is not None else 0)
    decimal = not isinstance(number.value, Fraction) and fraction.denominator != 1
    if fraction.numerator.bit_length() + fraction.denominator.bit_length() > 4000:
        return Value(frozenset({f"number {number.value}"}))
    return rational(fraction.numerator, fraction.denominator, decimal=decimal)


def _first_pieces(text: str, start: int, end: int) -> list[Piece]:
    """What the text from `start` on begins with: one formula or number, or several joined."""
    whole = _trimmed(text, start, end)
    if _mathematical(whole.content):
        return [whole]
    every = sorted(p for p in [*_environments(text, start), *_plain(text, start, end)] if p.end <= end)
    if not every:
        return [whole] if 0 < len(whole.content) <= 80 else []
    first = [every[0]]
    for piece in every[1:]:
        if piece.start < first[-1].end:
            continue
        if not _JOINED.fullmatch(text[first[-1].end : piece.start].strip("$") or "x"):
            break
        first.append(piece)
    contents = ", ".join(piece.content for piece in first)
    return [Piece(first[0].start, first[-1].end, contents)]


def _environments(text: str, start: int) -> Iterator[Piece]:
    for match in _ENVIRONMENT.finditer(text, start):
        group = next(name for name in "abcd" if match[name] is not None)
        yield Piece(match.start(group), match.end(group), match[group])


def _plain(text: str, start: int, end: int) -> Iterator[Piece]:
    """Numbers outside formulas, whole, and roots and functions of them; with "none" for what is no number as
    a whole, such as a date."""
    inside = list(_environments(text, start))
    for span in unworked_in(text[start:end]):
        inside.append(Piece(start + span[0], start + span[1], text[start + span[0] : start + span[1]]))
        yield inside[-1]
    seen: set[int] = set()
    for number in numbers_in(text[start:end]):
        at, to = start + number.start, start + number.end
        if number.part or to in seen or any(p.start <= at < p.end for p in inside):
            continue
        seen.add(to)
        yield Piece(at, to, text[at:to])


def _trimmed(text: str, start: int, end: int) -> Piece:
    while start < end and (text[start].isspace() or text[start] in "*_`"):
        start += 1
    while end > start and (text[end - 1].isspace() or text[end - 1] in "*_`."):
        end -= 1
    return Piece(start, end, bare(text[start:end]))


def _mathematical(text: str) -> bool:
    """Whether a text is nothing but mathematics: no words but commands and what stands in `\\text`."""
    if not text or len(text) > LONGEST or "\n" in text:
        return False
    plain = _COMMAND.sub(" ", _TEXT.sub(" ", text))
    return not re.search(r"[^\W\d_]{3}|[^\W\d_]\s+[^\W\d_]{2}|[^\W\d_]{2}\s+\w", plain) and bool(
        re.search(r"\w", text)
    )


def _as_text(content: str) -> str:
    """The words of a content that is nothing but words; empty for mathematics."""
    marked = re.fullmatch(rf"(?:{_TEXT.pattern}|[\s,.()])+", content)
    words = re.fullmatch(r"[^\W\d_][^\W\d_\s,.'()-]+(?:[\s,.'()-]+[^\W\d_]+)*[.)]?|\([^\W\d_]\)", content)
    short = words and re.fullmatch(r"[A-Za-z]{2,3}|pi|sin|cos|tan|log|ln|sqrt|exp", content)
    return _words(content) if marked or (words and not short) else ""


def _words(content: str) -> str:
    text = _TEXT.sub(lambda match: match[1], content)
    return " ".join(text.casefold().split()).strip(" .,;()'\"*$")


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        depth += (character in "{([") - (character in "})]")
        deepest = max(deepest, depth)
    return deepest
