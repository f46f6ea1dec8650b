"""A feature's page as one piece of HTML: nothing is loaded or run, and all text is escaped.

Pages come as plain mappings, as `dataclasses.asdict` makes them of a `saes.FeaturePage`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import pyarrow as pa

from undertext.activations.errors import UserError
from undertext.report.page import Section

# After Okabe and Ito: the colour-blind can tell them apart. What they say is said in numbers too.
COLOURS = "0, 114, 178", "213, 94, 0"
LINES = "solid", "dashed"
INK, SOFT, RULE = "#1b1f24", "#565d66", "#d5d8dc"
DARKEST = 0.45
"""Opacity behind the strongest token: dark text stays readable on it."""
_CELL = f"padding:2px 8px;border-bottom:1px solid {RULE};text-align:left;vertical-align:top;color:{INK}"
_SIDES = "display:flex;flex-wrap:wrap;gap:8px 24px"
_SIDE = "flex:1 1 260px;min-width:0"


@dataclass(frozen=True)
class Html:
    """A piece of HTML that a notebook shows."""

    text: str

    def _repr_html_(self) -> str:
        return self.text


def one_page(pages: pa.Table | None, feature: int) -> Html:
    """The page of a feature, of the table `pages` of a result; UserError naming the features that have
    one."""
    rows = [] if pages is None else pages.to_pylist()
    for row in rows:
        if row["feature"] == feature:
            return Html(page_html(row))
    shown = ", ".join(str(row["feature"]) for row in rows) or "none"
    raise UserError(f"feature {feature} has no page; there are pages of: {shown}")


def pages_section(pages: pa.Table | None) -> Section:
    """All pages, one below the other."""
    rows = [] if pages is None else pages.to_pylist()
    lines = [] if rows else ["No pages were asked for."]
    return Section("Where they fire", lines, pages=[page_html(row) for row in rows])


def about_features(summary: Mapping[str, Any], checkpoints: Mapping[str, Any]) -> dict[str, str]:
    """What a page on features is about: checkpoints, dictionary and task."""
    kind = "sae" if "sae" in summary else "crosscoder"
    given = summary[kind]
    named = given["source"] if given["sae_id"] is None else f"{given['source']}, {given['sae_id']}"
    points = summary.get("hook_points") or [summary["hook_point"]]
    return {
        **{name: each["name"] for name, each in checkpoints.items()},
        "SAE" if kind == "sae" else "crosscoder": f"{named}, at {', '.join(points)}",
        "task": f"{summary['task']['name']}: {summary['task']['description']}",
    }


def page_html(page: Mapping[str, Any]) -> str:
    """The page as a `<section>` with its styles in it."""
    roles = _roles(len(page["names"]))
    named = "; ".join(_with(role, shown(text)) for role, text in zip(roles, page["names"], strict=True))
    top = max(page["histogram"]["edges"][-1], 1e-30)
    contexts = "".join(_context(context, top) for context in page["contexts"])
    frequencies = " and ".join(
        f"{100 * share:.3g}%{f' in {role}' if role else ''}"
        for share, role in zip(page["frequency"], roles, strict=True)
    )
    logits = "".join(_logits(role, effects) for role, effects in zip(roles, page["logits"], strict=True))
    return (
        f'<section style="font:14px/1.5 system-ui,sans-serif;color:{INK};background:#fff;padding:12px;'
        f'max-width:100%;box-sizing:border-box;overflow-wrap:anywhere">'
        f'<h3 style="margin:0 0 4px;color:{INK}">Feature {page["feature"]}</h3>'
        f"<p>Fires at {frequencies}, of {page['rows']} tokens. {named}.</p>"
        f"{_heading('Where it fires most')}"
        f'<p style="color:{SOFT}">The small number after a token is the strength there; the strongest '
        "token of a text is in bold.</p>"
        f"{contexts or '<p>It fires at none of these tokens.</p>'}"
        f"{_heading('How strongly it fires')}{_histogram(page['histogram'])}"
        f"{_heading('What it adds to the logits')}"
        f'<p style="color:{SOFT}">A unit of strength, by the unembedding alone: '
        "no later layer, no final norm.</p>"
        f'<div style="{_SIDES}">{logits}</div>'
        "</section>"
    )


def _roles(count: int) -> tuple[str, ...]:
    """What the checkpoints are called; one alone needs no name."""
    return ("base", "tuned") if count > 1 else ("",)


def _with(role: str, what: str, between: str = ": ") -> str:
    return f"{role}{between}{what}" if role else what


def shown(text: str) -> str:
    """`text` as HTML that cannot run; characters that cannot be printed are spelled out."""
    marked = {"\n": "⏎", "\t": "⇥", "\r": "␍"}
    return escape(
        "".join(marked.get(c) or (c if c.isprintable() else f"\\u{ord(c):04x}") for c in text), quote=True
    )


def _heading(text: str) -> str:
    return f'<h4 style="margin:12px 0 4px;color:{INK}">{text}</h4>'


def _context(context: Mapping[str, Any], top: float) -> str:
    sides = "".join(
        f'<div style="{_SIDE}">{_role_line(role)}'
        f"{_tokens(context['tokens'], strengths, context['peak'], colour, top)}</div>"
        for role, strengths, colour in zip(
            _roles(len(context["strengths"])), context["strengths"], COLOURS, strict=False
        )
    )
    return (
        f'<div style="border-top:1px solid {RULE};padding:4px 0">'
        f'<span style="color:{SOFT}">text {context["text"]}, from token {context["start"]}</span>'
        f'<div style="{_SIDES}">{sides}</div></div>'
    )


def _role_line(role: str) -> str:
    return f'<span style="color:{SOFT}">{role}</span><br>' if role else ""


def _tokens(tokens: Sequence[str], strengths: Sequence[float], peak: int, colour: str, top: float) -> str:
    parts = []
    for i, (token, strength) in enumerate(zip(tokens, strengths, strict=True)):
        style = "font-weight:700;" if i == peak else ""
        number = ""
        if strength > 0:
            style += (
                f"background:rgba({colour},{DARKEST * min(strength / top, 1):.3f});border-bottom:2px solid;"
            )
            number = f'<sub style="font-size:10px;font-weight:400">{strength:.2g}</sub>'
        style = f"white-space:pre-wrap;margin-right:3px;{style}"
        parts.append(f'<bdi style="{style}">{shown(token) or "∅"}{number}</bdi><wbr>')
    return "".join(parts)


def _histogram(histogram: Mapping[str, Any]) -> str:
    most = max(1, *(count for counts in histogram["counts"] for count in counts))
    looks = tuple(zip(COLOURS, LINES, strict=True))
    rows = "".join(
        f'<tr><td style="{_CELL};white-space:nowrap">{low:.2g}–{high:.2g}</td>'
        + "".join(
            f'<td style="{_CELL}">{count}</td>{_bar(count / most, *look)}'
            for count, look in zip(counts, looks, strict=False)
        )
        + "</tr>"
        for low, high, *counts in zip(
            histogram["edges"], histogram["edges"][1:], *histogram["counts"], strict=False
        )
    )
    head = "".join(
        f'<th scope="col" style="{_CELL}"{span}>{name}</th>'
        for name, span in (
            ("strength", ""),
            *((_with(role, "tokens"), ' colspan="2"') for role in _roles(len(histogram["counts"]))),
        )
    )
    return (
        '<table style="border-collapse:collapse;width:100%;max-width:640px;font-size:12px;table-layout:auto">'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _bar(share: float, colour: str, line: str) -> str:
    bar = (
        f'<div style="width:{100 * share:.1f}%;min-width:2px;height:10px;box-sizing:border-box;'
        f'background:rgba({colour},0.35);border:1px {line} rgb({colour})"></div>'
    )
    return f'<td style="{_CELL};width:30%">{bar if share else ""}</td>'


def _logits(name: str, effects: Mapping[str, Any]) -> str:
    columns = "".join(
        f'<div style="flex:1 1 110px"><span style="color:{SOFT}">{_with(name, word, ", ")}</span>'
        + "".join(
            f'<div><bdi style="white-space:pre-wrap">{shown(added["token"]) or "∅"}</bdi> '
            f"{added['value']:+.2g}</div>"
            for added in listed
        )
        + "</div>"
        for word, listed in (("raised", effects["raised"]), ("lowered", effects["lowered"]))
    )
    return f'<div style="{_SIDE};display:flex;flex-wrap:wrap;gap:4px 16px">{columns}</div>'
