"""The files of `sae diff`: its tables, diff.json, and a page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from undertext.core.output import PAGE, RUN, encoded, json_bytes, parquet, publish
from undertext.core.statistics import Estimate
from undertext.jobs.sae_diff.job import FeatureDiff
from undertext.jobs.sae_features.report import about
from undertext.report.document import Section, document
from undertext.report.figures.carriers import carriers_figure
from undertext.report.numbers import estimate, number, percent
from undertext.report.style import png, svg

SUMMARY = "diff.json"


def save_diff(found: FeatureDiff, out: Path) -> Path:
    """Write the files under `out` and return it; see `publish` for what happens to what is there."""
    files = {f"tables/{name}.parquet": parquet(table) for name, table in found.tables.items()}
    if (figure := carriers_figure(found.summary)) is not None:
        files |= {"figures/carriers.svg": svg(figure), "figures/carriers.png": png(figure)}
    files |= {SUMMARY: json_bytes(found.summary), PAGE: encoded(page(found))}
    files[RUN] = json_bytes({**found.run, "files": sorted([*files, RUN])})
    return publish(files, out)


def page(found: FeatureDiff) -> str:
    """report.html."""
    summary = found.summary
    parts = _of_sae(found) if "fates" in summary else _of_crosscoder(found)
    return document(
        f"features of {summary['base']['name']} in {summary['tuned']['name']} on {summary['task']['name']}",
        "undertext features",
        "What became of the features?",
        about(summary, {"base": summary["base"], "tuned": summary["tuned"]}),
        [*parts, Section("Where they fire", pages=[each._repr_html_() for each in found.pages])],
        found.run,
    )


def _of_sae(found: FeatureDiff) -> list[Section]:
    summary = found.summary
    where = summary["splits"]["reported"]
    norms, scales = summary["mean_norm"], summary["scales"]
    larger = "base" if norms["base"] > norms["tuned"] else "tuned"
    ratio = norms[larger] / norms["tuned" if larger == "base" else "base"]
    scaled = max(scales, key=lambda model: abs(scales[model] - 1))
    fates = Section(
        "Fates",
        [
            f"Shares of the features that live in either checkpoint on {where} "
            f"({summary['tokens']:,} tokens).",
            f"Activations of {larger} are {number(ratio, 1)} times as large as the other's; those of "
            f"{scaled} were multiplied by {number(scales[scaled])} to match. At their own size the fates "
            "are by firing alone.",
        ],
        ["activations", *summary["fates"]],
        [
            ["matched in size", *map(percent, summary["fates"].values())],
            ["at their own size", *map(percent, summary["fates_at_own_size"].values())],
        ],
    )
    carriers = Section(
        "Features that tell a value",
        [
            f"For each, the feature that tells it best on {summary['splits']['chosen']}, just before the "
            f"text says it; AUROC on {where}."
        ],
        ["value", "feature", "AUROC, base", "AUROC, tuned", "fate"],
        [
            [
                f"{each['value']} = {each['class']}",
                str(each["feature"]),
                number(each["auroc"]["base"], 3),
                number(each["auroc"]["tuned"], 3),
                each["fate"],
            ]
            for each in summary["carriers"]
        ],
    )
    shown = [fates, carriers] if summary["carriers"] else [fates]
    if summary["effects"]:
        controls = len(summary["effects"][0]["controls"])
        shown.append(
            Section(
                "Effects on answers",
                [
                    "Accuracy with a feature taken out (ablate) or held at its mean strength (clamp), at all "
                    f"tokens, less accuracy as it is; beside {controls} random features of equal norm and "
                    "like frequency, and the difference to their mean. Brackets hold intervals over problems."
                ],
                ["feature", "checkpoint", "", "as it is", "effect", "controls", "over controls"],
                [_effect_row(each) for each in summary["effects"]],
            )
        )
    return shown


def _effect_row(each: Mapping[str, Any]) -> list[str]:
    found = {name: Estimate(**each[name]) for name in ("plain", "effect", "excess")}
    controls = f"{number(min(each['controls']))} to {number(max(each['controls']))}"
    return [
        str(each["feature"]),
        each["model"],
        each["operator"],
        estimate(found["plain"]),
        estimate(found["effect"]),
        controls,
        estimate(found["excess"]),
    ]


def _of_crosscoder(found: FeatureDiff) -> list[Section]:
    summary = found.summary
    names = {"norm": "relative decoder norm alone", "scaling": "latent scaling"}
    heads = ["of", "by", "base only", "shared", "tuned only"]
    rows = [
        [of, names[sort], *(percent(shares[kind]) for kind in ("base_only", "shared", "tuned_only"))]
        for of, kinds in (("all that live", "kinds"), ("those that tell the most", "kinds_of_top"))
        for sort, shares in summary[kinds].items()
    ]
    kinds = Section(
        "Whose latents",
        [
            f"{summary['alive']:,} of {summary['latents']:,} latents live on {summary['splits']['chosen']}. "
            "The norm alone takes a shared feature that was split in two for two features; scaling asks the "
            "activations."
        ],
        heads,
        rows,
    )
    table = [found.tables["latents"].slice(latent, 1).to_pylist()[0] for latent in summary["top"]]
    told = next(
        kind for kind in ("value", "valid", "part") if f"{kind}_class" in (table or [{"part_class": 0}])[0]
    )
    tells = Section(
        "Latents that tell the most",
        [f"Chosen on {summary['splits']['chosen']}, reported on {summary['splits']['reported']}."],
        ["latent", "tells", "AUROC", "fires at", "relative norm", "by norm", "by scaling"],
        [
            [
                str(row["latent"]),
                f"{row['value']} = {row['value_class']}" if told == "value" else row[f"{told}_class"],
                number(row[f"{told}_auroc"], 3),
                f"{100 * row['frequency']:.3g}%",
                number(row["relative_norm"]),
                row["kind_by_norm"].replace("_", " "),
                row["kind_by_scaling"].replace("_", " "),
            ]
            for row in table
        ],
    )
    return [kinds, tells]
