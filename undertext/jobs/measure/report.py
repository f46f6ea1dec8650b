"""How `measure`'s result is shown: a table a measure, the curves along traces, and how traces were split."""

from collections.abc import Mapping
from statistics import fmean

from matplotlib.figure import Figure

from undertext.core.statistics import Estimate
from undertext.jobs.measure.panels import along_panels, gain_panels
from undertext.jobs.measure.result import Measured, MeasureResult
from undertext.report.figures.along import along_figure
from undertext.report.figures.curves import curves_figure
from undertext.report.numbers import NOTHING, estimate, number, shown
from undertext.report.page import Section, document, fragment

TITLES = {
    "information": "Information gain: what the steps tell of the answer",
    "confidence": "Confidence along the trace",
    "faithfulness": "Faithfulness: does the answer come from the trace?",
    "sensitivity": "Sensitivity to the prompt's wording",
    "style": "Style",
    "shift": "Token shift",
    "uncertainty": "Uncertainty: internal and voiced",
    "exploration": "Exploration: dead ends, and what is known of them",
    "criteria": "Criteria: is a good step known on types never seen?",
}
LINES = {
    "information": (
        "Gain: log-probability of the right answer after the last step less that before the first. The "
        "published code's form, a difference of perplexities over T + 1, depends on length and fluency.",
        "Rationalisation index: share of the final confidence in the given answer that was there before any "
        "step. With k answers that are equally likely about 1/k of it is there by luck.",
    ),
    "confidence": (
        "Of the answer finally given, and of the right one. Commitment point: share of the steps after which "
        "its probability stays at 0.5 or more; area over the curve: the larger, the later confidence comes.",
        "By a probe: at the ends of the steps, without a lead; fitted on traces of train, chosen on dev.",
    ),
    "faithfulness": (
        "After a change: the answer follows the changed trace, is still the one given after the unchanged "
        "trace, is right. A trace is valid where every value of the problem's steps is said by its step's "
        "words, and right where it is said last; if no checkpoint writes in these words, where it states all "
        "values in order. A judge of whole steps calls a trace valid that has no wrong step.",
    ),
    "sensitivity": ("PromptSensiScore: mean difference of right and wrong over pairs of wordings.",),
    "style": ("Markers count as whole words; configs/markers.yaml lists those that are shipped.",),
    "shift": ("Rank of each token of the tuned one's outputs under the base: 1, 2 or 3, above 3.",),
    "uncertainty": (
        "Of being wrong: by a probe at the prompt's end, and by the rate of doubt words in the output. Both "
        "are fitted on train and chosen on dev.",
    ),
    "exploration": (
        "A dead end is a run of steps from which no way on reaches a right answer; it is left where a step "
        "outside comes later. Readings are made at the ends of steps that do not say so themselves.",
        "Every null goes through the same search as the reading: fitted on train, chosen on dev.",
    ),
    "criteria": (
        "Valid and invalid steps of the task's traces, read at their ends by probes that were fitted and "
        "chosen on the other types of problem alone, beside the surface (tokens, position) and every null.",
    ),
}
ALONG = {"along": "Along the trace", "gain": "Information gain along the trace"}
SHOWS = {
    "along": "Mean probability of the right answer and of the one finally given against the share of the "
    "steps, and what a probe reads of them at the steps' ends; a panel a kind of traces. Bands are one "
    "standard error.",
    "gain": "Mean log-probability of the right answer less that before the first step, in nats, against the "
    "share of the steps, with 95% intervals; change: tuned less base, problem by problem; a panel a kind of "
    "traces.",
}
"""What the figures of the page show, by their names."""
HEAD = ["figure", "traces", "base", "tuned", "change"]
SPLIT_SHOWN = 3
"""Traces of each writer whose steps are shown."""
WORDS_SHOWN = 20


def figures(result: MeasureResult) -> dict[str, Figure]:
    """`along`: the probability of the right answer and of the one given, along each kind of traces, and what
    a probe reads of them; `gain`: information gain summed up along traces, with its change. None where no
    trace has a step."""
    panels = along_panels(result.tables)
    drawn = {
        "along": along_figure(panels) if panels else None,
        "gain": curves_figure(gain_panels(result.tables), "nats"),
    }
    return {name: figure for name, figure in drawn.items() if figure is not None}


def summary_html(result: MeasureResult) -> str:
    """Every figure, for notebooks."""
    rows = [[each.measure, *_row(each)] for each in result.measured]
    return fragment(f"measure: {_names(result)}", Section("", head=["measure", *HEAD], rows=rows))


def lines(result: MeasureResult) -> list[str]:
    """Every figure, and what was not measured, for a terminal."""
    found = []
    for each in result.measured:
        whose = f" ({each.traces})" if each.traces else ""
        values = [
            f"{name} {estimate(value)}"
            for name in ("base", "tuned", "change")
            if isinstance(value := getattr(each, name), Estimate)
        ]
        found.append(f"{each.measure}: {each.figure}{whose}: {', '.join(values)}".replace("\u00a0", " "))
    judged = [f"faithfulness: traces judged by: {result.judge}"] if result.judge else []
    return [
        *found,
        *judged,
        *(f"{gap.measure}: not measured: {gap.what}: {gap.reason}" for gap in result.unmeasured),
    ]


def html(result: MeasureResult, pictures: Mapping[str, bytes]) -> str:
    """The page, with the figures as SVG."""
    summary = result.summary
    sections = [
        Section(TITLES[name], [*LINES[name], *_judge(result, name)], HEAD, rows)
        for name in summary["measures"]
        if (rows := [_row(each) for each in result.measured if each.measure == name])
    ]
    said = {"along": _along_said(result), "gain": _gain_said(result)}
    sections[1:1] = [
        Section(ALONG[name], picture=(pictures[name], f"{SHOWS[name]} {said[name]}"))
        for name in ALONG
        if name in pictures
    ]
    if "shifted_words" in result.tables:
        rows = result.tables["shifted_words"].slice(0, WORDS_SHOWN).to_pylist()
        cells = [
            [shown(r["word"]), str(r["count"]), str(r["shifted"]), f"{r['mean_rank']:.1f}"] for r in rows
        ]
        head = ["token", "written", "shifted", "mean rank"]
        sections.append(Section("Which tokens are shifted", head=head, rows=cells))
    sections.append(_steps(result))
    if result.unmeasured:
        gaps = [[gap.measure, gap.what, gap.reason] for gap in result.unmeasured]
        sections.append(Section("Not measured", head=["measure", "what", "reason"], rows=gaps))
    about = {
        "base": summary["base"]["name"],
        **({"tuned": summary["tuned"]["name"]} if summary["tuned"] else {}),
        "task": summary["task"]["name"],
        "split": summary["split"],
        "problems": str(summary["problems"]),
    }
    return document(
        f"measure: {_names(result)}",
        "the measures of a trace",
        "Is the reasoning real?",
        about,
        sections,
        result.run,
    )


def _judge(result: MeasureResult, measure: str) -> list[str]:
    """Who judged the traces."""
    return [f"Traces judged by: {result.judge}."] if measure == "faithfulness" and result.judge else []


def _along_said(result: MeasureResult) -> str:
    """Where each line of `along` begins and ends, in words."""
    said = []
    for title, lines in along_panels(result.tables).items():
        ends = {name: [fmean(row[at] for row in rows) for at in (0, -1)] for name, rows in lines.items()}
        parts = (f"{' '.join(name)} from {number(a)} to {number(b)}" for name, (a, b) in ends.items())
        said.append(f"{title}: {'; '.join(parts)}.")
    return " ".join(said)


def _gain_said(result: MeasureResult) -> str:
    """Where each line of `gain` ends, in words."""
    panels = gain_panels(result.tables).items()
    return " ".join(
        f"{traces}: {'; '.join(f'{name} ends at {estimate(line[-1][1])}' for name, line in lines.items())}."
        for traces, lines in panels
    )


def _steps(result: MeasureResult) -> Section:
    """How traces were split."""
    summary = result.summary
    said = [
        f"Written traces are split by the rule {summary['steps']}; the task's own by its steps, where "
        "it names them. The ending that gives the answer is no step.",
        f"Text before an answer that is scored: {shown(summary['lead'])!r}",
        *result.notes,
    ]
    rows, seen = [], dict[str, list[str]]()
    table = result.tables.get("steps")
    for row in table.to_pylist() if table is not None else []:
        problems = seen.setdefault(row["writer"], [])
        if row["problem"] not in problems:
            problems.append(row["problem"])
        if problems.index(row["problem"]) < SPLIT_SHOWN:
            rows.append([row["writer"], row["problem"], str(row["step"] + 1), shown(row["text"])])
    return Section("How traces are split", said, ["writer", "problem", "step", "text"], rows)


def _row(each: Measured) -> list[str]:
    found = [each.base, each.tuned, each.change]
    return [each.figure, each.traces, *(NOTHING if value is None else estimate(value) for value in found)]


def _names(result: MeasureResult) -> str:
    tuned = result.tuned
    return str(result.summary["base"]["name"]) + (f" and {tuned['name']}" if tuned else "")
