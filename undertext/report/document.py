"""A page of sections and tables, in the report's style: it runs no script and asks for nothing."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from undertext.report import numbers
from undertext.report.html import template


class Section(NamedTuple):
    """A heading, some lines, a table, and pieces of HTML that escape their own text."""

    title: str
    lines: Sequence[str] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    pages: Sequence[str] = ()


class Document(NamedTuple):
    """What a page says, from the top."""

    title: str
    kicker: str
    heading: str
    about: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    run: Sequence[tuple[str, Any]]


def document(
    title: str,
    kicker: str,
    heading: str,
    about: Mapping[str, str],
    sections: Sequence[Section],
    run: Mapping[str, Any],
) -> str:
    """The page as HTML; everything but the pieces of a section's `pages` is escaped."""
    found = Document(title, kicker, heading, list(about.items()), sections, list(numbers.flat(run)))
    return template("document.html.j2").render(document=found)
