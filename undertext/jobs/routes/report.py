"""How `routes`' result is shown: the page, the two figures, and a table for a terminal."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from undertext.jobs.routes.result import Route, RoutesResult
from undertext.report.figures.routes import agreement_figure, routes_figure
from undertext.report.numbers import NOTHING, estimate, number
from undertext.report.page import Section, document, fragment
from undertext.report.style import house_style

_TRAINING = (
    "Routes marked as training are reference points and no evidence that the capability was latent: "
    "gradient descent can also teach a skill that the checkpoint never had."
)
_AGREEMENT = (
    "Cohen's kappa of which problems two routes get right. Near the ceiling kappa is close to 0 whatever the "
    "routes do, or not defined."
)
_HEAD = ("route", "accuracy", "recovered gap", "tokens", "training tokens", "access")


def figures(result: RoutesResult) -> dict[str, Figure]:
    """`routes`: the gap that each route recovers; `agreement`: the routes' kappas. A panel a split."""
    ends = {split: [end.value for end in ends.values()] for split, ends in result.unaided.items()}
    with house_style():
        return {
            "routes": routes_figure(result.tables["routes"].to_pylist(), ends),
            "agreement": agreement_figure(result.tables["agreement"].to_pylist()),
        }


def summary_html(result: RoutesResult) -> str:
    """The table of routes of each split, for notebooks."""
    return "".join(fragment(f"routes on {split}", _table(result, split)) for split in result.splits)


def lines(result: RoutesResult) -> list[str]:
    """By split a table in Markdown, a row a route, with its agreement with the others in the same order."""
    said = []
    for split, routes in result.splits.items():
        kappas = result.agreement[split]
        head = ["", *_HEAD[:4], _HEAD[5], "kappa with 1, 2, ..."]
        said += [
            f"## {split}",
            "",
            f"| {' | '.join(head)} |".replace("|  |", "| |"),
            "|---" * len(head) + "|",
        ]
        for place, route in enumerate(routes, 1):
            name, accuracy, gap, tokens, _, access = _cells(route)
            agreement = " ".join(f"{kappas[route.name, other.name]:.2f}" for other in routes)
            said.append(f"| {place} | {name} | {accuracy} | {gap} | {tokens} | {access} | {agreement} |")
        said.append("")
    return [*said, *(f"note: {note}" for note in (*result.run.get("notes", ()), *result.notes))]


def html(result: RoutesResult, pictures: Mapping[str, bytes]) -> str:
    """The page, with the figures as SVG."""
    summary = result.summary
    about = {
        "weaker": summary["checkpoint"]["name"],
        "stronger": summary["stronger"]["name"],
        "task": summary["task"]["name"],
    }
    sections = [_table(result, split) for split in result.splits]
    recovered = f"What each route recovers of the gap, or its accuracy where there is none. {_said(result)}"
    sections.append(Section("Recovered gap", [_TRAINING], picture=(pictures["routes"], recovered)))
    agreement = f"A grid of Cohen's kappa for every two routes, by split. {_agreeing(result)}"
    sections.append(Section("Agreement", [_AGREEMENT], picture=(pictures["agreement"], agreement)))
    if result.notes:
        sections.append(Section("Notes", result.notes))
    return document(
        f"routes: {about['weaker']}",
        "ways to elicit a capability",
        "How much each route recovers",
        about,
        sections,
        result.run,
    )


def _said(result: RoutesResult) -> str:
    """What every route recovers, by split."""
    said = []
    for split, routes in result.splits.items():
        found = [r.accuracy if any(each.gap is None for each in routes) else r.gap for r in routes]
        parts = [f"{r.name} {number(each.value)}" for r, each in zip(routes, found, strict=True) if each]
        said.append(f"{split}: {'; '.join(parts)}.")
    return " ".join(said)


def _agreeing(result: RoutesResult) -> str:
    """The range of kappa between two routes, by split."""
    said = []
    for split, kappas in result.agreement.items():
        found = [kappa for (one, other), kappa in kappas.items() if one != other and kappa == kappa]
        span = f"from {number(min(found))} to {number(max(found))}" if found else "not defined"
        said.append(f"{split}: {span}.")
    return " ".join(said)


def _table(result: RoutesResult, split: str) -> Section:
    ends = result.unaided[split]
    text = (
        f"Accuracy (lenient) of the weaker checkpoint {estimate(ends['weaker'])}, of the stronger "
        f"{estimate(ends['stronger'])}, on {ends['weaker'].n} problems."
    )
    rows = [_cells(route) for route in result.splits[split]]
    return Section(f"Routes on {split}", [text, _TRAINING], _HEAD, rows)


def _cells(route: Route) -> list[str]:
    return [
        f"{route.name} (training)" if route.training else route.name,
        estimate(route.accuracy),
        NOTHING if route.gap is None else estimate(route.gap),
        number(route.tokens, 1),
        f"{route.training_tokens:,}" if route.training else NOTHING,
        route.access,
    ]
