"""The report of `sae features`: shares that survive falsification, and pages of the features most
associated."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from undertext.jobs.sae_features.result import FeatureTable
from undertext.report.feature_page import Html, about_features, one_page, pages_section
from undertext.report.figures.association import association_figure, association_said
from undertext.report.numbers import number, percent, probability
from undertext.report.page import Section, document, fragment

KINDS = ("value", "valid", "part")


def figures(result: FeatureTable) -> dict[str, Figure]:
    """`association`: AUROC of the feature that predicts each value best, on both splits."""
    drawn = association_figure(result.summary["associated"])
    return {} if drawn is None else {"association": drawn}


def summary_html(result: FeatureTable) -> str:
    """What a notebook shows."""
    return fragment(_title(result), _survival(result.summary))


def page(result: FeatureTable, feature: int) -> Html:
    """One feature's page for a notebook."""
    return one_page(result.tables.get("pages"), feature)


def _title(result: FeatureTable) -> str:
    return f"features of {result.summary['checkpoint']['name']} on {result.summary['task']['name']}"


def lines(result: FeatureTable) -> list[str]:
    """How many features survive, for a terminal."""
    summary = result.summary
    top = ", ".join(map(str, summary["most_associated"]))
    said = [
        f"{summary['alive']} of {summary['features']} features live",
        f"most associated with the task's values: {top or 'none asked for'}",
    ]
    for name, which in (("tested", "tested"), ("most_associated", "most associated")):
        shares = summary["falsification"][name]
        said.append(f"of {shares['features']} features {which}, {percent(shares['fail'])} fail")
    return [*said, *(f"note: {note}" for note in summary["notes"])]


def html(result: FeatureTable, pictures: Mapping[str, bytes]) -> str:
    """The page, with the figures as SVG."""
    summary = result.summary
    sections = [_survival(summary)]
    for picture in pictures.values():
        text = (
            "AUROC of the feature that predicts each value best, on the split of the choice and on another. "
            f"{association_said(summary['associated'])}"
        )
        lines = [f"Chosen on {summary['splits']['chosen']}, just before the text says the value."]
        sections.append(Section("Features by value", lines, picture=(picture, text)))
    sections += [_most_associated(result), pages_section(result.tables.get("pages"))]
    return document(
        _title(result),
        "undertext sae features",
        "Which features predict the task's values?",
        about_features(summary, {"model": summary["checkpoint"]}),
        sections,
        {**summary["sae"], **result.run},
    )


def _survival(summary: Mapping[str, Any]) -> Section:
    names = {"tested": "that fire at any text", "most_associated": "most associated with the values"}
    columns = ("fail", "word_detectors", "wording_bound", "fail_uncorrected")
    shares = summary["falsification"]
    return Section(
        "Survival of falsification",
        [
            f"{summary['alive']:,} of {summary['features']:,} features live on "
            f"{summary['splits']['reported']}.",
            f"Words inserted: {', '.join(summary['words'])}. Texts without reasoning: "
            f"{summary['plain_texts']}.",
            *(f"Note: {note}" for note in summary["notes"]),
        ],
        ["features", "number", "fail", "detect words", "depend on wording", "fail, uncorrected"],
        [
            [name, str(shares[key]["features"]), *(percent(shares[key][column]) for column in columns)]
            for key, name in names.items()
        ],
    )


def _most_associated(result: FeatureTable) -> Section:
    summary, table = result.summary, result.tables["features"]
    kind = next(kind for kind in KINDS if f"{kind}_class" in table.column_names)
    rows = table.take(summary["most_associated"]).to_pylist()
    return Section(
        "Features most associated with the values",
        [
            f"Chosen on {summary['splits']['chosen']}, reported on {summary['splits']['reported']}, at "
            f"{summary['tokens']:,} tokens. AUROC: the class against the rest. d: Cohen's d of the words "
            "inserted into texts without reasoning, and of the task's wording against its paraphrases; p by "
            "Holm."
        ],
        [
            *("feature", "predicts", "AUROC", "nats", "fires at", "ReasonScore"),
            *("words: d", "p", "wording: d", "p", "fails"),
        ],
        [_row(row, kind) for row in rows],
    )


def _row(row: Mapping[str, Any], kind: str) -> list[str]:
    return [
        str(row["feature"]),
        f"{row['value']} = {row['value_class']}" if kind == "value" else row[f"{kind}_class"],
        number(row[f"{kind}_auroc"], 3),
        number(row[f"{kind}_information"], 3),
        f"{100 * row['frequency']:.3g}%",
        number(row["reason_score"], 4),
        number(row["injection_d"]),
        probability(row["injection_p_holm"]),
        number(row["paraphrase_d"]),
        probability(row["paraphrase_p_holm"]),
        "yes" if row["fails"] else "no",
    ]
