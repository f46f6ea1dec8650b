"""How `trace`'s result is shown: since when the answer is read, layer by layer and reader by reader."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from undertext.jobs.trace.result import Lead, TraceResult
from undertext.report.numbers import number
from undertext.report.page import Section, document, fragment

_LINES = (
    "Right when said: share of problems whose answer is read right at the last token before the trace says "
    "it. Early: share whose answer is read right one token before that or more, and stays so.",
    "With k answers that are equally likely, about 1/k of the problems are read right by luck.",
)
_SHOWS = (
    "Layer by token, a panel a reader: share of problems whose answer is read right. Best layer just before "
    "the answer is said:"
)


def figures(result: TraceResult) -> dict[str, Figure]:
    """`trace`: layer by token; none where no trace says its answer."""
    said = any(lead.problems for lead in result.by_layer)
    return {"trace": result.heatmap()} if said else {}


def summary_html(result: TraceResult) -> str:
    """How early each reader reads the answer, for notebooks."""
    return fragment(f"trace: {result.summary['checkpoint']['name']}", _leads(result))


def lines(result: TraceResult) -> list[str]:
    """How early each reader reads the answer, for a terminal."""
    return [
        f"{lead.reader.replace('_', ' ')}, layer {lead.layer}: right when said "
        f"{number(lead.right_when_said)}, early {number(lead.early)} ({lead.problems} problems)"
        for lead in result.by_layer
    ]


def html(result: TraceResult, pictures: Mapping[str, bytes]) -> str:
    """The page, with the figures as SVG."""
    summary = result.summary
    sections = [_leads(result)]
    if pictures:
        sections.append(Section("Layer by token", picture=(pictures["trace"], f"{_SHOWS} {_best(result)}.")))
    about = {
        "checkpoint": summary["checkpoint"]["name"],
        "task": summary["task"]["name"],
        "split": summary["split"],
    }
    return document(
        f"trace: {about['checkpoint']}",
        "the answer along its trace",
        "Since when the answer is read",
        about,
        sections,
        result.run,
    )


def _best(result: TraceResult) -> str:
    """The layer at which each reader reads the answer best, and how well."""
    best: dict[str, Lead] = {}
    for lead in result.by_layer:
        if (lead.right_when_said or 0) > (best.setdefault(lead.reader, lead).right_when_said or 0):
            best[lead.reader] = lead
    return "; ".join(
        f"{reader.replace('_', ' ')} {number(lead.right_when_said)} at layer {lead.layer} "
        f"(early {number(lead.early)})"
        for reader, lead in best.items()
    )


def _leads(result: TraceResult) -> Section:
    head = ["reader", "layer", "problems", "right when said", "early"]
    rows = [
        [
            lead.reader.replace("_", " "),
            str(lead.layer),
            str(lead.problems),
            number(lead.right_when_said),
            number(lead.early),
        ]
        for lead in result.by_layer
    ]
    return Section("Before the trace says the answer", _LINES, head, rows)
