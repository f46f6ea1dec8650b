"""A comparison for a paper: a sentence, and a table in LaTeX and in Markdown."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from undertext.core.terms import CONTROL_KINDS, OTHER
from undertext.jobs.compare.result import Comparison, SplitResult
from undertext.jobs.compare.words import confident
from undertext.report import latex, markdown
from undertext.report.numbers import NOTHING, estimate, interval, percent

Row = Mapping[str, Any]

HEAD = (
    "split",
    "n",
    "base",
    "tuned",
    "verdict",
    "confidence",
    "same in",
    "gap",
    "share latent",
    "recovered",
    "best control",
)


class Paper(NamedTuple):
    """What can be copied."""

    sentence: str
    markdown: str
    latex: str


def paper_of(result: Comparison) -> Paper:
    """The sentence and the table of a result, with intervals and controls."""
    rows = [_cells(result, split, found) for split, found in result.splits.items()]
    caption = _caption(result)
    return Paper(
        " ".join(_sentence(result, split, found) for split, found in result.splits.items()) + " " + caption,
        f"{markdown.table(HEAD, rows)}\n\n{caption}",
        latex.table(HEAD, rows, caption),
    )


def _caption(result: Comparison) -> str:
    base, tuned, task = (result.summary[name]["name"] for name in ("base", "tuned", "task"))
    level = next(iter(result.splits.values())).accuracy["base"].level
    version = result.run.get("versions", {}).get("undertext")
    by = f"undertext {version}" if version else "undertext"
    return (
        f"Base: {base}; tuned: {tuned}; task: {task}. Brackets: {100 * level:.0f}% intervals over problems. "
        "Gap: problems that the stronger has right and the weaker wrong. Recovered: share of the difference "
        "in accuracy that a constant vector brings back, its setting chosen on dev; best control: the most "
        f"that a control of any kind recovers after the same search ({by}, seed {result.summary['seed']})."
    )


def _cells(result: Comparison, split: str, found: SplitResult) -> list[str]:
    best, control = _best(result, split), _control(result, split)
    return [
        split,
        str(found.accuracy["base"].n),
        estimate(found.accuracy["base"]),
        estimate(found.accuracy["tuned"]),
        found.verdict,
        confident(found),
        percent(found.stability),
        NOTHING if found.latent is None else str(found.latent.n),
        NOTHING if found.latent is None else estimate(found.latent),
        NOTHING if best is None else _recovered(best),
        NOTHING if control is None else f"{_recovered(control)} ({control['control']})",
    ]


def _sentence(result: Comparison, split: str, found: SplitResult) -> str:
    base, tuned = (f"{role} {estimate(found.accuracy[role])}" for role in ("base", "tuned"))
    said = (
        f"On {split} ({found.accuracy['base'].n} problems; accuracy: {base}, {tuned}) the capability was "
        f"{found.verdict} ({_sure(found)})"
    )
    if found.weaker == "neither":
        return f"{said}."
    if found.latent is not None and found.latent.value == found.latent.value:
        said += (
            f"; of the {found.latent.n} problems that the {OTHER[found.weaker]} has right and the "
            f"{found.weaker} wrong, a share of {estimate(found.latent)} was latent in the {found.weaker}"
        )
    best, control = _best(result, split), _control(result, split)
    if best is not None and best["recovered"] is not None:
        said += f"; a constant vector recovers {_recovered(best)} of the difference in accuracy"
        if control is not None and control["recovered"] is not None:
            said += f", the best control under the same search ({control['control']}) {_recovered(control)}"
    return f"{said}."


def _sure(found: SplitResult) -> str:
    same = f"the same verdict in {percent(found.stability)} of resamples"
    return same if found.verdict == "undetermined" else f"confidence {confident(found)}; {same}"


def _recovered(row: Row) -> str:
    return interval(*(row[name] for name in ("recovered", "recovered_low", "recovered_high")))


def _best(result: Comparison, split: str) -> Row | None:
    return next((row for row in _recovery(result, split) if row["best_vector"]), None)


def _control(result: Comparison, split: str) -> Row | None:
    """The control that recovers most on the split; None without one whose gap can be told."""
    controls = [row for row in _recovery(result, split) if row["control"] in CONTROL_KINDS]
    controls = [row for row in controls if row["recovered"] is not None]
    return max(controls, key=lambda row: row["recovered"], default=None)


def _recovery(result: Comparison, split: str) -> list[Row]:
    if "recovery" not in result.tables:
        return []
    return [row for row in result.tables["recovery"].to_pylist() if row["split"] == split]
