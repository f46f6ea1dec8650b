"""How a comparison is shown: the files of a run, its figures, and the table of a notebook."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from undertext.core.statistics import Estimate
from undertext.core.terms import ROLES, Role
from undertext.jobs.compare import trace_words, words
from undertext.jobs.compare.features_shown import dictionaries_of
from undertext.jobs.compare.key_panels import accuracy_panels, recovery_panels
from undertext.jobs.compare.paper import paper_of
from undertext.jobs.compare.reading import reader_of
from undertext.jobs.compare.result import Comparison, SplitResult
from undertext.jobs.compare.trace_curves import GAIN, GIVEN
from undertext.jobs.compare.trace_figures import AFTER, BEFORE
from undertext.jobs.compare.value_pages import (
    VALUE_CAPTIONS,
    value_alternatives,
    value_figures,
    values_of_splits,
)
from undertext.report.figures.accuracy import accuracy_figure, panels_said, recovery_figure
from undertext.report.figures.curves import Line, curves_figure
from undertext.report.figures.doses import doses_figure, doses_said
from undertext.report.figures.latents import latents_figure, latents_said
from undertext.report.numbers import NOTHING, estimate, interval, number, percent
from undertext.report.page import Document, Section, fragment, template
from undertext.tasks.steps import THINK, split_steps

GRADE = "lenient"
"""The grade that figures and the sample of problems go by; the page gives both."""
SHOWN = 4
"""Problems of a split that are on the page itself, for print and for those who run no script."""

_STEPS, _STEP = 3, 40
"""Steps of an output that are shown to say how outputs are split, and characters of each."""

Row = dict[str, Any]


class Split(NamedTuple):
    """What the page shows of one split."""

    name: str
    result: SplitResult
    grades: list[tuple[str, float, float, float]]
    """Of base, tuned and, where measured, steered: accuracy, strict and lenient, and share unfinished."""
    vectors: list[Row]
    """Rows of the table `recovery`: what the evidence rests on, the best vector, the others by accuracy."""
    controls: Mapping[str, list[Row]]
    """Rows of the controls, by kind."""
    gained: int
    """Number of problems that the tuned checkpoint solves and the base does not."""
    lost: int
    """Number of problems that the base solves and the tuned checkpoint does not."""
    traces: Mapping[str, Mapping[str, Row]]
    """Rows of the table `trace`, by figure and checkpoint."""
    problems: list[Row]
    """The first problems on which the checkpoints differ, some of either kind."""
    best_keys: Mapping[str, Row]
    """Of each kind of key in words the one that did best on dev: rows of the table `keys`."""
    missing: list[str]
    """Lines of evidence that were not measured."""


def figures(result: Comparison) -> dict[str, Figure]:
    """`accuracy`, then `recovery`, `heatmap-SPLIT` and `values-SPLIT` of each split, `probes`, `doses`,
    `confidence`, `gain` and `latents` where they were measured, in that order."""
    drawn: dict[str, Figure | None] = {
        "accuracy": accuracy_figure(accuracy_panels(result)),
        "recovery": recovery_figure(recovery_panels(result)),
        **value_figures(result),
        "doses": doses_figure(_rows(result, "sweep")),
        "confidence": curves_figure(_curves(result, GIVEN), "probability", (-0.03, 1.03)),
        "gain": curves_figure(_curves(result, GAIN), "nats"),
        "latents": latents_figure(_rows(result, "latents")),
    }
    return {name: figure for name, figure in drawn.items() if figure is not None}


def summary_html(result: Comparison) -> str:
    """A table with a row a split, for notebooks."""
    base, tuned, task = (result.summary[name]["name"] for name in ("base", "tuned", "task"))
    rows = []
    for split, found in result.splits.items():
        best = _best(result, split)
        recovered = [NOTHING, NOTHING]
        if best is not None:
            columns = (("accuracy", "low", "high"), ("recovered", "recovered_low", "recovered_high"))
            recovered = [interval(*(best[name] for name in each)) for each in columns]
        rows.append(
            [
                split,
                words.VERDICTS[found.verdict][0],
                words.confident(found),
                f"{percent(found.stability)} of resamples",
                estimate(found.accuracy["base"]),
                estimate(found.accuracy["tuned"]),
                *recovered,
            ]
        )
    head = ["split", "verdict", "confidence", "same verdict in", "base", "tuned", "steered", "recovered gap"]
    heading = f"{base} and {tuned} on {task}, seed {result.summary['seed']}"
    return fragment(heading, Section("", head=head, rows=rows))


def lines(result: Comparison) -> list[str]:
    """The verdict on each split, its lines of evidence, and its flags, for a terminal."""
    said = []
    for split, found in result.splits.items():
        accuracy = ", ".join(f"{role} {number(found.accuracy[role].value)}" for role in ROLES)
        said.append(f"{split}: {found.verdict} ({words.sureness(found)}; accuracy {accuracy})")
        said += [f"  {line.name}: {line.says}" for line in found.evidence]
        said += [f"  note: {flag}" for flag in found.flags]
    return said


def html(result: Comparison, pictures: Mapping[str, bytes]) -> str:
    """The page, with the figures as SVG."""
    base, tuned, task = (result.summary[name] for name in ("base", "tuned", "task"))
    about = {"base": base["name"], "tuned": tuned["name"], "task": f"{task['name']}: {task['description']}"}
    about["outputs"] = words.limits(task)
    title = f"{base['name']} and {tuned['name']} on {task['name']}"
    splits = [_split(result, name, found) for name, found in result.splits.items()]
    keyed = {}
    if "recovery" in pictures:
        keyed = {"accuracy": words.CAPTIONS["accuracy"] + words.KEYED}
    return template("page.html.j2", Path(__file__).parent).render(
        document=Document(title, "undertext comparison", words.QUESTION, list(about.items()), (), result.run),
        splits=splits,
        reader=reader_of(result),
        paper=paper_of(result),
        made=dict.fromkeys(("command", "device", "dtype")) | result.run.get("made", {}),
        missing=[*result.run.get("not_measured", []), *_unmeasured(result, splits)],
        summary=result.summary,
        split_by=_split_by(result),
        dictionaries=(dictionaries := dictionaries_of(result)),
        present=_present(splits, pictures) | ({"features"} if dictionaries else set()),
        read=result.summary["read"],
        words=words,
        trace_words=trace_words,
        pictures=pictures,
        captions=words.CAPTIONS | VALUE_CAPTIONS | keyed,
        values=values_of_splits(result, pictures),
        alternatives={
            "accuracy": f"Accuracy. {panels_said(accuracy_panels(result))}",
            "recovery": f"Recovered gap. {panels_said(recovery_panels(result))}",
            **value_alternatives(result),
            "doses": f"Accuracy by dose. {doses_said(_rows(result, 'sweep'))}",
            "confidence": " ".join(
                [words.CAPTIONS["confidence"], *(said for s in splits if (said := _sureness(result, s.name)))]
            ),
            "gain": f"{words.CAPTIONS['gain']} {_gains(result)}",
            "latents": f"Latents of the crosscoder. {latents_said(_rows(result, 'latents'))}",
        },
    )


def _split(result: Comparison, name: str, found: SplitResult) -> Split:
    recovery, problems = _rows(result, "recovery", split=name), _rows(result, "problems", split=name)
    vectors = [row for row in recovery if row["control"] is None or row["strongest"]]
    controls: dict[str, list[Row]] = {}
    for row in recovery:
        if row["control"] is not None:
            controls.setdefault(row["control"], []).append(row)
    traces: dict[str, dict[str, Row]] = {}
    for row in _rows(result, "trace", split=name):
        traces.setdefault(row["figure"], {})[row["checkpoint"]] = row
    grades = [
        (
            who,
            fmean(row[f"{who}_strict"] for row in problems),
            fmean(row[f"{who}_lenient"] for row in problems),
            fmean(row[f"{who}_unfinished"] for row in problems),
        )
        for who in ("base", "tuned", "steered")
        if problems and problems[0][f"{who}_{GRADE}"] is not None
    ]
    gained = [row for row in problems if row[f"tuned_{GRADE}"] and not row[f"base_{GRADE}"]]
    lost = [row for row in problems if row[f"base_{GRADE}"] and not row[f"tuned_{GRADE}"]]
    more, less = (gained, lost) if len(gained) >= len(lost) else (lost, gained)
    less = less[: max(SHOWN // 3, SHOWN - len(more))]  # the rarer kind is given up to a third of the places
    return Split(
        name,
        found,
        grades,
        sorted(vectors, key=lambda row: (not row["strongest"], not row["best_vector"], -row["accuracy"])),
        controls,
        len(gained),
        len(lost),
        traces,
        [*more[: SHOWN - len(less)], *less],
        {row["kind"]: row for row in _rows(result, "keys", checkpoint=found.weaker) if row["chosen"]},
        [
            name
            for name in words.LINES
            if found.line(name) is None and (name != "undone" or found.weaker == "tuned")
        ],
    )


def _present(splits: Sequence[Split], pictures: Mapping[str, bytes]) -> set[str]:
    """Ids of the page's sections; those of what was not measured are left out."""
    some = {
        "keys": any(split.result.opened for split in splits),
        "values": "probes" in pictures,
        "doses": "doses" in pictures,
        "traces": "confidence" in pictures or "gain" in pictures or any(split.traces for split in splits),
    }
    always = {"verdicts", "evidence", "recovery", "outputs", "paper", "missing", "again"}
    return always | {name for name, there in some.items() if there}


def _unmeasured(result: Comparison, splits: Sequence[Split]) -> list[str]:
    """What this comparison did not measure, and why, as far as that is no flag."""
    said = []
    for split in splits:
        missing = [name for name in split.missing if name not in words.NEVER]
        if "rephrased" in missing and not any("`rephrased`" in flag for flag in split.result.flags):
            missing.remove("rephrased")
            if split.result.weaker != "neither":
                said.append(f"{split.name}: `rephrased`: no problem in the gap has a paraphrase.")
        if split.result.weaker == "neither":
            said.append(
                f"{split.name}: every line of evidence, since no checkpoint counts as the weaker one."
            )
        elif missing:
            lines = ", ".join(f"`{name}`" for name in missing)
            said.append(
                f"{split.name}: {lines}: the task or the pair does not allow it, and the flags say why."
            )
    config = result.run.get("config", {})
    for what, key in (("Traces", "trace_problems"), ("Tokens of the outputs", "token_problems")):
        most = config.get(key)
        more = [split for split in splits if most and split.result.accuracy["base"].n > most]
        if more:
            counts = ", ".join(f"{split.name} has {split.result.accuracy['base'].n:,}" for split in more)
            said.append(f"{what} of more than {most:,} problems of a split (`{key}`): {counts}.")
    if config.get("trace_problems") == 0:  # that no token is read is said by the run itself
        said.append("Traces: `trace_problems` is 0.")
    if "sae" in config and config["sae"] is None:
        said.append("Steering with features of an SAE: none was given (`sae`).")
    if not any(kind in result.summary for kind in ("sae", "crosscoder")):
        said.append(words.FEATURES_ELSEWHERE)
    return [*said, *words.ELSEWHERE]


def _split_by(result: Comparison) -> dict[str, Any] | None:
    """The rule by which outputs were split into steps, and the text before answers, as they can be seen; with
    the first steps of an output. None where no traces were read."""
    if (split_by := result.run.get("split_by")) is None:
        return None
    rule, shown = split_by["steps"], list[str]()
    for row in _rows(result, "problems"):
        text = (row["tuned_output"] or "").strip()
        if rule != THINK and len(spans := split_steps(text, rule)) > 1:
            shown = [text[slice(*span)].strip()[:_STEP] for span in spans[:_STEPS]]
            break
    return {"steps": rule, "lead": repr(split_by["lead"]), "shown": " | ".join(shown)}


def _ends(result: Comparison, split: str) -> dict[Role, list[Estimate]]:
    """Confidence before the first step and after the last, by checkpoint."""
    rows = {(row["checkpoint"], row["figure"]): row for row in _rows(result, "trace", split=split)}
    return {
        role: [
            Estimate(row["value"], row["low"], row["high"], row["n"])
            for row in (rows[role, BEFORE], rows[role, AFTER])
        ]
        for role in ROLES
        if (role, BEFORE) in rows
    }


def _curves(result: Comparison, figure: str) -> dict[str, dict[str, Line]]:
    """A figure along traces, by split and checkpoint; splits of which it was measured."""
    splits: dict[str, dict[str, list[tuple[float, Estimate]]]] = {}
    for row in _rows(result, "curves", figure=figure):
        found = Estimate(row["value"], row["low"], row["high"], row["n"])
        splits.setdefault(row["split"], {}).setdefault(row["checkpoint"], []).append((row["share"], found))
    return {split: dict(roles) for split, roles in splits.items()}


def _gains(result: Comparison) -> str:
    """Where the curves of information gain end."""
    return " ".join(
        f"{split}: {'; '.join(f'{role} {number(line[-1][1].value)} nats' for role, line in roles.items())}."
        for split, roles in _curves(result, GAIN).items()
    )


def _sureness(result: Comparison, split: str) -> str:
    found = _ends(result, split).items()
    parts = [
        f"{role} {number(before.value)} before, {number(after.value)} after"
        for role, (before, after) in found
    ]
    return f"{split}: {'; '.join(parts)}." if parts else ""


def _best(result: Comparison, split: str) -> Row | None:
    """The row of the best vector on a split; None where nothing was steered, or nothing but controls."""
    return next(iter(_rows(result, "recovery", split=split, best_vector=True)), None)


def _rows(result: Comparison, table: str, **wanted: Any) -> list[Row]:
    """Rows of a table whose columns hold the values `wanted`; none where there is no such table."""
    if table not in result.tables:
        return []
    rows: list[Row] = result.tables[table].to_pylist()
    return [row for row in rows if all(row[column] == value for column, value in wanted.items())]
