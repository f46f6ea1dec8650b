"""The trace reader: problems and what was written to them, packed into the page and shown one at a time.

The page holds an index of all problems and, compressed, some problems a block: `reader.js` unpacks a block
when one of its problems is shown. Nothing of it is HTML before that script sets it as text.
"""

import gzip
import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from undertext.report.numbers import visible

BLOCK = 64
"""Problems of a block."""
MOST_CHARACTERS, ALL_CHARACTERS = 20_000, 40_000_000
"""Longest text that the page holds, and how long all of them may be together."""
NATS = 100
"""Surprise is kept in whole hundredths of a nat,"""
MOST_NATS = 99.0
"""and up to here: a token that a model rules out has no end of it."""
PARTS = 1000
"""A probe's probability is kept in whole thousandths, and a feature's strength in thousandths of the greatest
of all."""


class Shades(NamedTuple):
    """The tokens of a text, as one checkpoint reads them."""

    starts: Sequence[int]
    """At which character each begins."""
    end: int
    """Before which character the last one ends."""
    log_probs: Sequence[float]
    ranks: Sequence[int]
    probe: Sequence[float] | None = None
    """Of each, the probability that the checkpoint's own probe gives to the problem's value."""
    feature: Sequence[float] | None = None
    """How strongly a feature fires at each."""


@dataclass(frozen=True)
class Written:
    """One text that was written to a problem."""

    text: str
    grade: str
    """In words."""
    right: bool
    shades: Mapping[str, Shades] = field(default_factory=dict)
    """By reader, where tokens were read."""


@dataclass(frozen=True)
class Shown:
    """One problem in the reader."""

    split: str
    id: str
    type: str | None
    prompt: str
    answer: str
    marks: Sequence[str]
    """The filters that let it through."""
    flags: Sequence[str]
    written: Mapping[str, Written]
    """By writer, in the order of the columns."""
    samples: Sequence[Written] = ()
    """Sampled texts."""
    value: str | None = None
    """What probes give the probability of; None where they read nothing."""


class Packed(NamedTuple):
    """All problems, as the page holds them."""

    contents: str
    """JSON: names of splits, and a row a problem with the filters that let it through; no `<` in it."""
    blocks: Sequence[str]
    """Base64 of gzip of JSON: a list of `BLOCK` problems."""
    most: int
    """Characters after which a text is cut."""


def pack(problems: Sequence[Shown], filters: Sequence[str], **more: Any) -> Packed:
    """`problems` in their order, whose marks are among `filters`; `more` are plain values that the index
    holds beside them."""
    most, strongest = _room(problems), _strongest(problems)
    splits = list(dict.fromkeys(each.split for each in problems))
    rows = [
        [splits.index(each.split), visible(each.id), [filters.index(mark) for mark in each.marks]]
        for each in problems
    ]
    index = {"splits": splits, "block": BLOCK, "nats": NATS, "parts": PARTS, "rows": rows, **more}
    index |= {"strongest": strongest}
    blocks = [
        _block([_problem(each, most, strongest) for each in problems[at : at + BLOCK]])
        for at in range(0, len(problems), BLOCK)
    ]
    return Packed(_json(index).replace("<", "\\u003c"), blocks, most)


def _room(problems: Sequence[Shown]) -> int:
    """The longest that a text may be, so that all of them together have room on a page."""
    lengths = [len(each.text) for one in problems for each in (*one.written.values(), *one.samples)]
    most = MOST_CHARACTERS
    while sum(min(length, most) for length in lengths) > ALL_CHARACTERS and most > 1:
        most = most * 3 // 4
    return most


def _strongest(problems: Sequence[Shown]) -> float:
    """The greatest strength of a feature at any token."""
    return max(
        (
            strength
            for one in problems
            for written in one.written.values()
            for shades in written.shades.values()
            for strength in shades.feature or ()
        ),
        default=0.0,
    )


def _problem(shown: Shown, most: int, strongest: float) -> dict[str, Any]:
    return {
        "type": visible(shown.type or ""),
        "prompt": _cut(shown.prompt, most),
        "answer": _cut(shown.answer, most),
        "flags": list(shown.flags),
        "written": {who: _written(each, most, strongest) for who, each in shown.written.items()},
        "value": None if shown.value is None else visible(shown.value),
        "samples": [[_cut(each.text, most), each.grade, each.right] for each in shown.samples],
    }


def _written(written: Written, most: int, strongest: float) -> dict[str, Any]:
    """A text in pieces, a token each, and by reader the figures of the first so many of them: surprises,
    ranks, the reader's own pieces where it cuts the text otherwise, what a probe reads, how a feature fires.

    What a reader lacks is null, and is left out at the end.
    """
    out: dict[str, Any] = {"grade": written.grade, "right": written.right, "by": {}}
    for reader, shades in written.shades.items():
        starts, surprises, ranks, probe, feature = _by_start(shades)
        pieces = list(_pieces(written.text, [*starts[1:], shades.end] if starts else [], most))
        kept = sum(start < most for start in starts)
        figures = [[round(NATS * min(each, MOST_NATS)) for each in surprises[:kept]], ranks[:kept]]
        same = out.setdefault("pieces", pieces) == pieces
        more = [
            None if same else pieces,
            None if shades.probe is None else [round(PARTS * each) for each in probe[:kept]],
            None
            if shades.feature is None
            else [round(PARTS * each / (strongest or 1.0)) for each in feature[:kept]],
        ]
        while more and more[-1] is None:
            more.pop()
        out["by"][reader] = [*figures, *more]
    out.setdefault("pieces", [_cut(written.text, most)] if written.text else [])
    return out


class _Tokens(NamedTuple):
    """Where tokens begin, and a figure of each by every reading; zeros where there is no such reading."""

    starts: list[int]
    surprises: list[float]
    ranks: list[int]
    probe: list[float]
    feature: list[float]


def _by_start(shades: Shades) -> _Tokens:
    """The tokens of a text. Those that begin at one character, which they share, are one token, with the sum
    of surprises, the largest rank, what a probe reads at the last, and the greatest strength of a feature.
    """
    out = _Tokens([], [], [], [], [])
    nothing = [0.0] * len(shades.starts)
    rows = zip(
        shades.starts, shades.log_probs, shades.ranks, shades.probe or nothing, shades.feature or nothing,
        strict=True,
    )  # fmt: skip
    for start, score, rank, read, strength in rows:
        if out.starts and start <= out.starts[-1]:
            out.surprises[-1] -= score
            out.ranks[-1] = max(out.ranks[-1], rank)
            out.probe[-1] = read
            out.feature[-1] = max(out.feature[-1], strength)
        else:
            out.starts.append(start)
            out.surprises.append(-score)
            out.ranks.append(rank)
            out.probe.append(read)
            out.feature.append(strength)
    return out


def _pieces(text: str, ends: Sequence[int], most: int) -> Iterable[str]:
    """`text` cut at these characters, and what is left; no more than `most` characters, and how many more
    there are."""
    begin = 0
    for end in [*ends, len(text)]:
        if begin < min(end, most):
            yield visible(text[begin : min(end, most)])
            begin = end
    if len(text) > most:
        yield _more(len(text) - most)


def _cut(text: str, most: int) -> str:
    return visible(text[:most]) + (_more(len(text) - most) if len(text) > most else "")


def _more(count: int) -> str:
    return f"… ({count:,} more characters)"


def _block(problems: Sequence[Mapping[str, Any]]) -> str:
    # No time in the header: the same problems give the same bytes.
    return b64encode(gzip.compress(_json(problems).encode("utf-8", "replace"), 6, mtime=0)).decode()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
