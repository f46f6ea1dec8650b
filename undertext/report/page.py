"""A report as one page that needs nothing else and asks for nothing. It runs no script but reader.js, where
it has a trace reader."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from undertext.report import numbers


class Section(NamedTuple):
    """A heading, some lines, a picture, a table, and pieces of HTML that escape their own text."""

    title: str
    lines: Sequence[str] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    pages: Sequence[str] = ()
    picture: tuple[bytes, str] | None = None
    """An SVG file, and what it shows, for those who cannot see it."""


class Document(NamedTuple):
    """What a page says, from the top."""

    title: str
    kicker: str
    heading: str
    about: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    run: Mapping[str, Any]
    """Config, versions, times and the like, as run.json holds them."""


def document(
    title: str,
    kicker: str,
    heading: str,
    about: Mapping[str, str],
    sections: Sequence[Section],
    run: Mapping[str, Any],
) -> str:
    """The page as HTML; everything but the pieces of a section's `pages` is escaped."""
    whole = Document(title, kicker, heading, list(about.items()), sections, run)
    return template("document.html.j2").render(document=whole)


def fragment(heading: str, section: Section) -> str:
    """A heading with lines and a table, for notebooks: a fragment of HTML."""
    return template("fragment.html.j2").render(heading=heading, section=section)


def data_uri(picture: bytes) -> str:
    """An SVG file as an address that holds it."""
    return f"data:image/svg+xml;base64,{b64encode(picture).decode()}"


@cache
def template(name: str, folder: Path = Path(__file__).parent) -> Template:
    """A template of `folder` or of this one; text put into it is escaped."""
    environment = Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,  # a misspelt name is an error, not a blank
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "data_uri": data_uri,
        "estimate": numbers.estimate,
        "grouped": numbers.grouped,
        "number": numbers.number,
        "percent": numbers.percent,
        "probability": numbers.probability,
        "shown": numbers.shown,
    }
    css, js = (
        (Path(__file__).parent / name).read_text(encoding="utf-8") for name in ("page.css", "reader.js")
    )
    # The page's policy names the script by its digest: no other runs, whatever a model writes.
    digest = b64encode(sha256(js.encode()).digest()).decode()
    environment.globals |= {"interval": numbers.interval, "css": css, "js": js, "js_sha256": digest}
    return environment.get_template(name)
