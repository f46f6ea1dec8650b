"""The report as one page that needs nothing else, and a summary for notebooks."""

from base64 import b64encode
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from undertext.comparison import Comparison
from undertext.report import numbers, words
from undertext.report.figures import figures
from undertext.report.recoveries import recoveries
from undertext.report.rows import headline
from undertext.report.sample import grades, sample
from undertext.report.style import svg


def page(comparison: Comparison, svgs: Mapping[str, bytes] | None = None) -> str:
    """report.html: figures and style are in it, it runs no script and asks for nothing.

    `svgs` are the comparison's figures where they are drawn already. Everything that comes from a
    task or a model is escaped.
    """
    if svgs is None:
        svgs = {name: svg(figure) for name, figure in figures(comparison).items()}
    return template("page.html.j2").render(
        comparison=comparison,
        pictures={name: _data_uri(data) for name, data in svgs.items()},
        alternative=partial(words.alternative, comparison),
        caption=partial(words.caption, comparison),
        grades=partial(grades, comparison),
        recoveries=partial(recoveries, comparison),
        sample=partial(sample, comparison),
    )


def summary(comparison: Comparison) -> str:
    """The verdicts as a table, for notebooks: a fragment of HTML."""
    return template("summary.html.j2").render(comparison=comparison, headline=partial(headline, comparison))


def _data_uri(picture: bytes) -> str:
    return f"data:image/svg+xml;base64,{b64encode(picture).decode()}"


@cache
def template(name: str) -> Template:
    """A template of this folder; text put into it is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,  # a misspelt name is an error, not a blank
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "estimate": numbers.estimate,
        "flat": numbers.flat,
        "number": numbers.number,
        "percent": numbers.percent,
        "probability": numbers.probability,
        "shown": numbers.shown,
    }
    environment.globals |= {
        "always": words.ALWAYS,
        "interval": numbers.interval,
        "lines": words.LINES,
        "verdicts": words.VERDICTS,
    }
    return environment.get_template(name)
