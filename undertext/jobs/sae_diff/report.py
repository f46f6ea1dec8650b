"""The report of `sae diff`: fates of features or kinds of latents, effects on answers, and pages."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from undertext.jobs.sae_diff.result import FeatureDiff
from undertext.report.feature_page import Html, about_features, one_page, pages_section
from undertext.report.figures.association import association_figure, association_said
from undertext.report.figures.latents import latents_figure, latents_said
from undertext.report.numbers import estimate, number, percent
from undertext.report.page import Section, document, fragment

LABELS = ("value", "valid", "part")
SORTS = {"norm": "relative decoder norm alone", "scaling": "latent scaling"}


def figures(result: FeatureDiff) -> dict[str, Figure]:
    """`association`: AUROC in base and tuned of the feature that predicts each value best. Of a crosscoder,
    whose latents have one firing for both, `latents`: by relative decoder norm."""
    if _sorted(result):
        drawn = {"latents": latents_figure(result.tables["latents"].to_pylist())}
    else:
        drawn = {"association": association_figure(result.summary["associated"])}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def summary_html(result: FeatureDiff) -> str:
    """What a notebook shows."""
    return fragment(
        _title(result.summary), _kinds(result.summary) if _sorted(result) else _fates(result.summary)
    )


def page(result: FeatureDiff, feature: int) -> Html:
    """One feature's page for a notebook, base and tuned side by side."""
    return one_page(result.tables.get("pages"), feature)


def lines(result: FeatureDiff) -> list[str]:
    """What became of the features, in a few lines."""
    summary = result.summary
    if "kinds" in summary:
        return [f"by {sort}: {_said(shares)}" for sort, shares in summary["kinds"].items()]
    return [
        f"matched in size: {_said(summary['fates'])}",
        f"at their own size: {_said(summary['fates_at_own_size'])}",
        *(
            f"{row['value']} = {row['class']}: feature {row['feature']} {row['fate']}, "
            f"AUROC {number(row['auroc']['base'])} to {number(row['auroc']['tuned'])}"
            for row in summary["associated"]
        ),
    ]


def _said(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {percent(share)}" for name, share in shares.items())


def _sorted(result: FeatureDiff) -> bool:
    """Whether the result is of a crosscoder, whose latents are sorted."""
    return "kinds" in result.summary


def _title(summary: Mapping[str, Any]) -> str:
    return f"features of {summary['base']['name']} in {summary['tuned']['name']} on {summary['task']['name']}"


def html(result: FeatureDiff, pictures: Mapping[str, bytes]) -> str:
    """The page, with the figures as SVG."""
    summary = result.summary
    sections = [_fates(summary)] if not _sorted(result) else []
    if _sorted(result):
        said = f"Latents of the crosscoder. {latents_said(result.tables['latents'].to_pylist())}"
        picture = (pictures["latents"], said) if "latents" in pictures else None
        sections += [_kinds(summary, picture), _latents(result)]
    if summary.get("associated"):
        sections.append(_associated(summary, pictures))
    if summary.get("effects"):
        sections.append(_effects(result))
    return document(
        _title(summary),
        "undertext sae diff",
        "What became of the features?",
        about_features(summary, {"base": summary["base"], "tuned": summary["tuned"]}),
        [*sections, pages_section(result.tables.get("pages"))],
        result.run,
    )


def _fates(summary: Mapping[str, Any]) -> Section:
    norms, scales = summary["mean_norm"], summary["scales"]
    smaller, larger = sorted(norms, key=norms.get)
    scaled = max(scales, key=lambda model: abs(scales[model] - 1))
    return Section(
        "Fates",
        [
            f"Shares of the features that live in either checkpoint on {summary['splits']['reported']} "
            f"({summary['tokens']:,} tokens).",
            f"Activations of {larger} are {number(norms[larger] / norms[smaller], 1)} times as large as "
            f"those of {smaller}; those of {scaled} were multiplied by {number(scales[scaled])} to match. At "
            "their own size the fates are by firing alone.",
        ],
        ["activations", *summary["fates"]],
        [
            ["matched in size", *map(percent, summary["fates"].values())],
            ["at their own size", *map(percent, summary["fates_at_own_size"].values())],
        ],
    )


def _associated(summary: Mapping[str, Any], pictures: Mapping[str, bytes]) -> Section:
    text = "AUROC in base and in tuned of the feature that predicts each value best. "
    text += association_said(summary["associated"])
    return Section(
        "Features by value",
        [
            f"For each value, the feature that predicts it best on {summary['splits']['chosen']}, just "
            f"before the text says the value; AUROC on {summary['splits']['reported']}."
        ],
        ["value", "feature", "AUROC, base", "AUROC, tuned", "fate"],
        [
            [
                f"{row['value']} = {row['class']}",
                str(row["feature"]),
                number(row["auroc"]["base"], 3),
                number(row["auroc"]["tuned"], 3),
                row["fate"],
            ]
            for row in summary["associated"]
        ],
        picture=(pictures["association"], text),
    )


def _effects(result: FeatureDiff) -> Section:
    effects = result.effects
    return Section(
        "Effects on answers",
        [
            "Accuracy with a feature taken out (ablate) or held at its mean strength (clamp) at all tokens, "
            f"less accuracy unchanged; beside {len(effects[0].controls)} random features of equal norm and "
            "like frequency, and the difference to their mean. Brackets hold intervals over problems."
        ],
        ["feature", "checkpoint", "change", "unchanged", "effect", "controls", "over controls"],
        [
            [
                str(one.feature),
                one.model,
                one.operator,
                estimate(one.plain),
                estimate(one.effect),
                f"{number(min(one.controls))} to {number(max(one.controls))}",
                estimate(one.excess),
            ]
            for one in effects
        ],
    )


def _kinds(summary: Mapping[str, Any], picture: tuple[bytes, str] | None = None) -> Section:
    kinds = ("base_only", "shared", "tuned_only")
    named = (("all that live", "kinds"), ("most associated", "kinds_of_most_associated"))
    return Section(
        "Latents by model",
        [
            f"{summary['alive']:,} of {summary['latents']:,} latents live on {summary['splits']['chosen']}. "
            "The norm alone takes a shared feature that was split in two for two features; scaling checks "
            "the activations."
        ],
        ["latents", "sorted by", "base only", "shared", "tuned only"],
        [
            [latents, SORTS[sort], *(percent(shares[kind]) for kind in kinds)]
            for latents, key in named
            for sort, shares in summary[key].items()
        ],
        picture=picture,
    )


def _latents(result: FeatureDiff) -> Section:
    summary, table = result.summary, result.tables["latents"]
    label = next(label for label in LABELS if f"{label}_class" in table.column_names)
    return Section(
        "Latents most associated with the values",
        [f"Chosen on {summary['splits']['chosen']}, reported on {summary['splits']['reported']}."],
        ["latent", "predicts", "AUROC", "fires at", "relative norm", "by norm", "by scaling"],
        [
            [
                str(row["latent"]),
                f"{row['value']} = {row['value_class']}" if label == "value" else row[f"{label}_class"],
                number(row[f"{label}_auroc"], 3),
                f"{100 * row['frequency']:.3g}%",
                number(row["relative_norm"]),
                row["kind_by_norm"].replace("_", " "),
                row["kind_by_scaling"].replace("_", " "),
            ]
            for row in table.take(summary["most_associated"]).to_pylist()
        ],
    )
