"""The ten findings: organisms built where they are missing, measured, and set beside what was published."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy import ndarray
from pydantic import Field

from docs.make.findings import came_out
from docs.make.findings_figure import Drawn, findings_figure
from docs.make.findings_measured import Figures, figures_of
from docs.make.page import Page
from docs.make.ten_findings import CHOSEN_ON, FINDINGS, NAMES, Asked, Compared, Finding, Share
from undertext.activations.errors import UserError
from undertext.core.over_seeds import FEWEST, over_seeds
from undertext.core.progress import Progress
from undertext.core.statistics import Estimate, only, share
from undertext.organisms.findings.build import FindingsFolder, digest
from undertext.organisms.folder import read_card
from undertext.report.markdown import table
from undertext.report.numbers import NOTHING, estimate, number
from undertext.report.style import svg

Found = Mapping[Asked, Sequence[Figures]]
"""By organism and what it is asked, the figures of each seed."""


class FindingsPage(Page):
    """Build the organisms of the ten findings, measure them, and write findings.md with its figure."""

    folder: Path = Path("build/findings")
    """Folder of the organisms, one below it for each seed; what stands there already is used."""
    seeds: tuple[int, ...] = Field(default=(10, 11, 12, 13, 14, 15), min_length=FEWEST)
    """Seeds of the organisms, and of the problems that they are asked."""
    numbers: tuple[int, ...] = tuple(finding.number for finding in FINDINGS)
    """Findings whose organisms are built where they are missing; of the others those are shown whose
    organisms stand there."""
    build: bool = True
    """Whether to train organisms that are missing; otherwise their findings are not measured."""
    problems: int = Field(default=100, ge=2)
    """Largest number of problems of a split."""

    def check(self) -> None:
        """UserError for a finding that there is not."""
        known = {finding.number for finding in FINDINGS}
        if unknown := sorted(set(self.numbers) - known):
            raise UserError(f"expected numbers of findings from 1 to {max(known)}, got {unknown[0]}")

    def files(self, bars: Progress) -> dict[str, bytes]:
        """findings.md and figures/findings.svg. UserError as `measure`."""
        found = {
            finding.number: self._figures(finding, bars) for finding in FINDINGS if self._wanted(finding)
        }
        estimates = {
            finding.number: [
                compared(each, *of(finding, each, found[finding.number]), self.seed)
                for each in finding.compared
            ]
            for finding in FINDINGS
            if finding.number in found
        }
        page = _page(self, found, estimates)
        files = {"findings.md": page.encode()}
        if estimates:
            drawn = [
                _drawn(finding, found[finding.number], estimates[finding.number][0])
                for finding in FINDINGS
                if finding.number in estimates
            ]
            files["figures/findings.svg"] = svg(findings_figure(drawn))
        return files

    def _wanted(self, finding: Finding) -> bool:
        """Whether a finding is measured: its organisms stand there, or are built."""
        return (self.build and finding.number in self.numbers) or all(
            _stands(self.folder / str(seed), name) for seed in self.seeds for name in finding.organisms
        )

    def _figures(self, finding: Finding, bars: Progress) -> dict[Asked, list[Figures]]:
        """What each organism of a finding comes to, by what it is asked; a list over seeds."""
        every = dict.fromkeys(asked for each in finding.compared for asked in finding.asked(each))
        return {
            asked: [
                figures_of(
                    FindingsFolder(self.folder / str(seed), seed, bars),
                    asked.organism,
                    asked.family,
                    asked.split,
                    asked.measures,
                    self.problems,
                    bars,
                )
                for seed in self.seeds
            ]
            for asked in every
        }


class Row(NamedTuple):
    """A figure of two organisms; None where too few seeds have it."""

    one: Estimate | None
    other: Estimate | None
    difference: Estimate | None
    """The other's less the one's, over the problems that have both."""


def _stands(folder: Path, name: str) -> bool:
    """Whether an organism of today's recipe is there."""
    return (folder / name).exists() and read_card(folder / name).get("recipe") == digest(name)


def of(finding: Finding, each: Compared, found: Found) -> tuple[Sequence[Figures], Sequence[Figures]]:
    """The figures of a comparison's two organisms, of each seed."""
    one, other = finding.asked(each)
    return found[one], found[other]


def compared(each: Compared, one: Sequence[Figures], other: Sequence[Figures], seed: int) -> Row:
    """A figure's three estimates, over seeds and problems."""
    pairs = list(zip(one, other, strict=True))
    both = [_columns([first.get(each.figure, {}), second.get(each.figure, {})]) for first, second in pairs]
    return Row(
        _over([_columns([first.get(each.figure, {})]) for first, _ in pairs], seed, only),
        _over([_columns([second.get(each.figure, {})]) for _, second in pairs], seed, only),
        _over(both, seed, lambda means: means[..., 1] - means[..., 0]),
    )


def share_of(each: Share, finding: Finding, found: Found, seed: int) -> Estimate | None:
    """One organism's gain over the base as a share of another one's."""
    names = (each.other, each.whole, each.base)
    asked = [Asked(name, each.split, finding.family, finding.measures) for name in names]
    by_seed = zip(*(found[one] for one in asked), strict=True)
    models = [_columns([figures.get("accuracy", {}) for figures in own]) for own in by_seed]
    return _over(models, seed, share)


def _columns(figures: Sequence[Mapping[str, float]]) -> ndarray:
    """[problem, organism] of the problems that every organism has the figure of."""
    known = [problem for problem in figures[0] if all(problem in each for each in figures)]
    rows = [[each[problem] for each in figures] for problem in known]
    return np.array(rows, float).reshape(len(known), len(figures))


def _over(models: Sequence[ndarray], seed: int, statistic: Callable[[ndarray], ndarray]) -> Estimate | None:
    """An estimate over models, of those that have the figure; None of fewer than two."""
    kept = [rows for rows in models if len(rows)]
    if len(kept) < FEWEST:
        return None
    made = over_seeds(statistic, kept, seed=seed)
    return made if np.isfinite(made.value) else None


def _drawn(finding: Finding, found: Found, row: Row) -> Drawn:
    first = finding.compared[0]
    pairs = zip(*of(finding, first, found), strict=True)
    columns = [_columns([one.get(first.figure, {}), other.get(first.figure, {})]) for one, other in pairs]
    each = [float((rows[:, 1] - rows[:, 0]).mean()) for rows in columns if len(rows)]
    return Drawn(
        f"{finding.number}. {NAMES[first.figure]}: {first.other} less {first.one}", each, row.difference
    )


def _page(
    asked: FindingsPage,
    found: Mapping[int, Found],
    estimates: Mapping[int, Sequence[Row]],
) -> str:
    seeds = ", ".join(map(str, asked.seeds))
    rows = []
    for finding in FINDINGS:
        shown, outcome = NOTHING, "not measured yet"
        if finding.number in estimates:
            first, own = finding.compared[0], estimates[finding.number]
            difference = own[0].difference
            figure = NOTHING if difference is None else estimate(difference)
            shown = f"{NAMES[first.figure]}, `{first.other}` less `{first.one}`: {figure}"
            outcome = _outcome(finding, own)
        rows.append(
            [str(finding.number), finding.title, f"{finding.published} ({finding.source})", shown, outcome]
        )
    summary = table(["no.", "finding", "published", "our organisms show", "outcome"], rows)
    sections = "\n".join(
        _section(finding, found[finding.number], estimates[finding.number], asked)
        for finding in FINDINGS
        if finding.number in estimates
    )
    figure = (
        "![The deciding figure of each finding: seeds, and the interval](figures/findings.svg)\n"
        if found
        else ""
    )
    return f"""# The ten findings on organisms

Written by `python -m docs.make findings` (seeds {seeds}). For each finding this project is about there is a
pair of recipes for organisms: models of two layers on `chain` (additions modulo 7) and `countdown` (modulo
7), as `undertext zoo build NAME` builds them. Published figures are of large models on other tasks:
a direction can be compared with them, a size cannot.

A figure stands with its 95% interval over seeds and problems: a hierarchical bootstrap that draws seeds and,
within each, problems, widened for there being few seeds (`undertext.core.over_seeds`). Each seed has its own
base, its own training documents and its own problems. {_chosen(asked.seeds)}

A finding *came out* where every figure that it says something of is on the side that it says, with its whole
interval. Whether a pair was built to show something is plain from its recipe
(`undertext/organisms/findings/recipes.py`): that it comes out says that the measure sees it, and little about
large models.

{summary}

{figure}
{sections}"""


def _chosen(seeds: Sequence[int]) -> str:
    """Whether the recipes were chosen with these seeds in sight."""
    seen = [str(seed) for seed in seeds if seed in CHOSEN_ON]
    if seen:
        return f"Recipes were chosen with seeds {', '.join(seen)} in sight."
    chosen = ", ".join(map(str, CHOSEN_ON))
    return f"Recipes were chosen on seeds {chosen}; nothing was chosen on those shown here."


def _outcome(finding: Finding, rows: Sequence[Row]) -> str:
    decides = [
        (each.says, each.margin, row.difference)
        for each, row in zip(finding.compared, rows, strict=True)
        if each.says is not None
    ]
    return came_out(decides)


def _section(finding: Finding, found: Found, rows: Sequence[Row], asked: FindingsPage) -> str:
    body = [
        [
            NAMES[each.figure],
            each.split,
            *(
                f"`{name}` {NOTHING if value is None else number(value.value)}"
                for name, value in zip((each.one, each.other), row[:2], strict=True)
            ),
            NOTHING if row.difference is None else estimate(row.difference),
            _says(each),
        ]
        for each, row in zip(finding.compared, rows, strict=True)
    ]
    lines = [f"**{_outcome(finding, rows).capitalize()}.**"]
    if finding.share is not None:
        part = share_of(finding.share, finding, found, asked.seed)
        lines.append(
            f"Of what `{finding.share.whole}` gains over `{finding.share.base}`, `{finding.share.other}` "
            "gains "
            f"{'a share that cannot be given' if part is None else estimate(part)}."
        )
    if finding.missing:
        lines.append(f"Not in these figures: {finding.missing}.")
    if finding.tried:
        lines.append(f"Tried: {finding.tried}")
    return f"""## {finding.number}. {finding.title}

Published: {finding.published} (arXiv {finding.source}).

{table(["figure", "split", "one", "other", "other less one", "the finding says"], body)}

{" ".join(lines)}

    python -m docs.make findings --numbers {finding.number}
"""


def _says(each: Compared) -> str:
    if each.says is None:
        return NOTHING
    return f"not less by {each.margin:g}" if each.says == "not less" else each.says
