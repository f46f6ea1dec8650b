"""What the page of a comparison shows of the SAE and the crosscoder that it was given."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from undertext.core.terms import ROLES
from undertext.jobs.compare.result import Comparison
from undertext.report.feature_page import page_html
from undertext.report.numbers import NOTHING, number, percent

Row = Mapping[str, Any]
_KINDS = {"base_only": "base only", "shared": "shared", "tuned_only": "tuned only"}
_SORTS = {"norm": "relative decoder norm alone", "scaling": "latent scaling"}


class Page(NamedTuple):
    """The page of one feature."""

    id: str
    """What a link to it names."""
    title: str
    html: str


class Dictionary(NamedTuple):
    """One SAE or crosscoder, as the template takes it."""

    kind: str
    title: str
    about: str
    low: list[str]
    """What it keeps too little of."""
    kept: list[list[str]]
    """A row a checkpoint: its name, explained variance, loss recovered."""
    lines: list[str]
    shares: tuple[list[str], list[list[str]]]
    """Head and rows of the table of fates or kinds."""
    rows: tuple[list[str], list[tuple[str, list[str]]]]
    """Head and rows of the features that have a page, each with the link to it."""
    pages: list[Page]
    notes: list[str]


def dictionaries_of(result: Comparison) -> list[Dictionary]:
    """Those of a result: the SAE, then the crosscoder."""
    pages = [] if "pages" not in result.tables else result.tables["pages"].to_pylist()
    found = []
    for kind, make in (("sae", _sae), ("crosscoder", _crosscoder)):
        if (summary := result.summary.get(kind)) is not None:
            found.append(make(result, summary, [page for page in pages if page["of"] == kind]))
    return found


def _sae(result: Comparison, summary: Row, pages: Sequence[Row]) -> Dictionary:
    table = result.tables.get("features")
    rows = [] if table is None else table.to_pylist()
    fates = summary["fates"]
    lines = []
    if (retained := summary["retained"]) is not None:
        lines.append(
            f"Retained: {retained['stable']} of the {retained['of']} features that predict a value best "
            "in the base fire alike in the tuned, and predict it about as well (stable)."
        )
    for role in ROLES:
        if (scale := summary["scales"][role]) != 1:
            lines.append(
                f"Activations of the {role} were multiplied by {number(scale)}, to the mean norm of those "
                "that the SAE was trained on."
            )
    head = ["feature", "why it is shown", "predicts", "AUROC, base", "AUROC, tuned", "fires, base",
            "fires, tuned", "fate"]  # fmt: skip
    shown = [
        (
            f"sae-{row['feature']}",
            [
                str(row["feature"]),
                row["chosen_by"],
                row["predicts"] or NOTHING,
                *(number(row[f"auroc_{role}"], 3) for role in ROLES),
                *(_rate(row[f"frequency_{role}"]) for role in ROLES),
                row["fate"],
            ],
        )
        for row in rows
    ]
    return Dictionary(
        "SAE",
        "Features of the SAE",
        f"SAE {summary['source']}, {summary['features']:,} features, at {summary['hook_point']}; read on "
        f"{summary['tokens']:,} tokens of prompts and traces.",
        _low(result, summary),
        _kept(summary),
        lines,
        (["features", *fates], [["that live in either", *map(percent, fates.values())]]),
        (head, shown),
        [Page(f"sae-{page['feature']}", _title("Feature", page), page_html(page)) for page in pages],
        list(summary["notes"]),
    )


def _crosscoder(result: Comparison, summary: Row, pages: Sequence[Row]) -> Dictionary:
    table = result.tables.get("latents_shown")
    rows = [] if table is None else table.to_pylist()
    head = ["latent", "why it is shown", "predicts", "AUROC", "fires at", "relative norm", "cosine",
            "by norm", "by scaling"]  # fmt: skip
    shown = [
        (
            f"crosscoder-{row['latent']}",
            [
                str(row["latent"]),
                row["chosen_by"],
                row["predicts"] or NOTHING,
                number(row["auroc"], 3),
                _rate(row["frequency"]),
                number(row["relative_norm"]),
                number(row["cosine"]),
                *(row[by].replace("_", " ") for by in ("norm", "scaling")),
            ],
        )
        for row in rows
    ]
    return Dictionary(
        "crosscoder",
        "Latents of the crosscoder",
        f"Crosscoder {summary['source']}, {summary['latents']:,} latents, at "
        f"{', '.join(summary['hook_points'])}; read on {summary['tokens']:,} tokens of prompts and traces.",
        _low(result, summary),
        _kept(summary),
        ["Relative norm: 0 where the base's decoder alone writes a latent, 1 where the tuned's does. The "
         "norm alone takes a shared feature that was split in two for two; scaling checks the activations."],
        (
            ["latents that live, sorted by", *_KINDS.values()],
            [
                [_SORTS[sort], *(percent(shares[kind]) for kind in _KINDS)]
                for sort, shares in summary["kinds"].items()
            ],
        ),
        (head, shown),
        [Page(f"crosscoder-{page['feature']}", _title("Latent", page), page_html(page)) for page in pages],
        list(summary["notes"]),
    )  # fmt: skip


def _kept(summary: Row) -> list[list[str]]:
    kept = summary["kept"]
    return [
        [role, *(number(kept[role][name]) for name in ("explained_variance", "loss_recovered"))]
        for role in ROLES
    ]


def _low(result: Comparison, summary: Row) -> list[str]:
    """Checkpoints of which some figure is below the threshold; a figure that was not measured is not."""
    least = result.run["feature_rule"]["keeps"]
    return [
        role
        for role in ROLES
        if any(value is not None and value < least for value in summary["kept"][role].values())
    ]


def _title(what: str, page: Row) -> str:
    return f"{what} {page['feature']}: fires at {' and '.join(map(_rate, page['frequency']))} of tokens"


def _rate(share: float) -> str:
    return f"{100 * share:.3g}%"
