"""The files of `sae features`: its tables, features.json, and a page of the features that tell the most."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from undertext.core.output import PAGE, RUN, encoded, json_bytes, parquet, publish
from undertext.jobs.sae_features.job import FeatureTable
from undertext.report.document import Section, document
from undertext.report.numbers import number, percent, probability

SUMMARY = "features.json"


def save_table(found: FeatureTable, out: Path) -> Path:
    """Write the files under `out` and return it; see `publish` for what happens to what is there."""
    files = {
        "tables/features.parquet": parquet(found.table),
        "tables/classes.parquet": parquet(found.classes),
        SUMMARY: json_bytes(found.summary),
        PAGE: encoded(page(found)),
    }
    files[RUN] = json_bytes({**found.run, "files": sorted([*files, RUN])})
    return publish(files, out)


def page(found: FeatureTable) -> str:
    """report.html."""
    summary = found.summary
    rows = [found.table.slice(feature, 1).to_pylist()[0] for feature in summary["top"]]
    told = next(
        (kind for kind in ("value", "valid", "part") if f"{kind}_class" in found.table.column_names), "part"
    )
    sections = [
        Section("How many withstand", _lines(summary), *_withstand(summary)),
        Section(
            "Features that tell the most",
            [
                f"Chosen on {summary['splits']['chosen']}, reported on {summary['splits']['reported']}, at "
                f"{summary['tokens']:,} tokens. AUROC: of the class against the rest. d: Cohen's, from texts "
                "without reasoning to the same with its words put in; p by Holm."
            ],
            [
                "feature",
                "tells",
                "AUROC",
                "nats",
                "fires at",
                "ReasonScore",
                "words: d",
                "p",
                "wording: d",
                "p",
                "fails",
            ],
            [_row(row, told) for row in rows],
        ),
        Section("Where they fire", pages=[each._repr_html_() for each in found.pages]),
    ]
    return document(
        f"features of {summary['checkpoint']['name']} on {summary['task']['name']}",
        "undertext features",
        "Which features carry the reasoning?",
        about(summary, {"model": summary["checkpoint"]}),
        sections,
        {**summary["sae"], **found.run},
    )


def about(summary: Mapping[str, Any], checkpoints: Mapping[str, Any]) -> dict[str, str]:
    """What a page is about."""
    kind = "sae" if "sae" in summary else "crosscoder"
    given = summary[kind]
    named = given["source"] if given["sae_id"] is None else f"{given['source']}, {given['sae_id']}"
    points = summary.get("hook_points") or [summary["hook_point"]]
    return {
        **{name: each["name"] for name, each in checkpoints.items()},
        "SAE" if kind == "sae" else "latents": f"{named}, at {', '.join(points)}",
        "task": f"{summary['task']['name']}: {summary['task']['description']}",
    }


def _lines(summary: Mapping[str, Any]) -> list[str]:
    return [
        f"{summary['alive']:,} of {summary['features']:,} features live on {summary['splits']['reported']}.",
        f"Words put in: {', '.join(summary['words'])}. Texts without reasoning: {summary['plain_texts']}.",
        *(f"Note: {note}" for note in summary["notes"]),
    ]


def _withstand(summary: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    head = ["of the features", "how many", "fail", "detect words", "hang on wording", "fail, uncorrected"]
    names = {"tested": "that fire at any text", "tell_the_most": "that tell the most"}
    rows = []
    for key, name in names.items():
        one = summary[key]
        shares = [one[each] for each in ("fail", "word_detectors", "wording_bound", "fail_uncorrected")]
        rows.append([name, str(one["features"]), *map(percent, shares)])
    return head, rows


def _row(row: Mapping[str, Any], told: str) -> list[str]:
    named = f"{row['value']} = {row['value_class']}" if told == "value" else row[f"{told}_class"]
    return [
        str(row["feature"]),
        named,
        number(row[f"{told}_auroc"], 3),
        number(row[f"{told}_information"], 3),
        f"{100 * row['frequency']:.3g}%",
        number(row["reason_score"], 4),
        number(row["injection_d"]),
        probability(row["injection_p_holm"]),
        number(row["paraphrase_d"]),
        probability(row["paraphrase_p_holm"]),
        "yes" if row["fails"] else "no",
    ]
