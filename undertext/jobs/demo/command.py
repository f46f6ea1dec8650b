"""`undertext demo`: the zoo's pairs, judged, beside their known truth."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape as markup
from rich.table import Table

from undertext.activations.errors import shown
from undertext.core.command import DRY_RUN, parse, say, without_dry_run
from undertext.core.config import part_of
from undertext.core.output import encoded, plain
from undertext.core.publish import check_writable, publish
from undertext.jobs.demo.config import DemoConfig
from undertext.jobs.demo.job import Judged, demo
from undertext.report.numbers import estimate, number

SUMMARY = ("pair", "split", "truth", "verdict", "confidence")
COLUMNS = (*SUMMARY, "recovered gap [95%]")


class DemoCommand(DemoConfig):
    """Compare every pair of a zoo and print the verdicts beside the truth.

    The exit code is 1 when a verdict is not the true one.
    """

    out: Path = Path("undertext-demo")
    """Folder that the reports and summary.json are written to."""


def run(args: Sequence[str]) -> int:
    """Compare, print one table, write summary.json."""
    rest, dry = without_dry_run(list(args))
    given = parse(DemoCommand, "demo", rest, about=DRY_RUN)
    if dry:
        return _dry_run(part_of(DemoConfig, given))
    check_writable(given.out)
    say(f"comparing the pairs of the zoo on the task chain, seed {given.seed}; reports go to {given.out}")
    judged = demo(part_of(DemoConfig, given), given.out)
    Console(width=None if sys.stdout.isatty() else 100).print(_table(judged))
    summary = [{name: getattr(one, name) for name in SUMMARY} for one in judged]
    if any(one.recovered is not None for one in judged):
        say("recovered gap: how much of the stronger checkpoint's lead a vector gives to the weaker one;")
        say("above 1 the weaker one passes it. test: new problems of the kind fitted on; ood: longer ones")
    files = {"summary.json": encoded(json.dumps(plain(summary), indent=2) + "\n")}
    publish(files | _figure(judged), given.out)
    right = sum(one.verdict == one.truth for one in judged)
    say(f"{right} of {len(judged)} verdicts are the true ones; reports: {given.out}/*/report.html")
    return 0 if right == len(judged) else 1


def _dry_run(config: DemoConfig) -> int:
    """Print what each pair would take, and all of them."""
    from undertext.core.dry_run import say_together
    from undertext.jobs.demo.job import demo_plans

    plans = demo_plans(config)
    beside = min(config.jobs, len(plans))
    notes = [
        f"--jobs {beside}: so many pairs are compared side by side, on one CPU thread each; the time is that "
        "of one after another, and the memory that of one",
        "smaller: a folder of fewer organisms, for --zoo",
    ]
    say_together(plans, say, notes=notes)
    return 0


def _figure(judged: Sequence[Judged]) -> dict[str, bytes]:
    """What a vector opens in each pair on the first split that any has; no file where no pair has a gap."""
    from undertext.report.figures.opened import opened_figure
    from undertext.report.style import svg

    pairs = [one.opened for one in judged if one.opened is not None and one.split == judged[0].split]
    if not pairs:
        return {}
    pairs.sort(key=lambda pair: pair.alone - pair.steered)
    return {"figures/opened.svg": svg(opened_figure(pairs, judged[0].split), "What a vector opens")}


def _table(judged: Sequence[Judged]) -> Table:
    table = Table(box=SIMPLE, padding=(0, 1))
    for column in COLUMNS:
        table.add_column(column.replace("[", "\\["), no_wrap=True)
    for one in judged:
        gap = "no gap" if one.recovered is None else estimate(one.recovered).replace("[", "\\[")
        verdict = f"[{'green' if one.verdict == one.truth else 'red'}]{one.verdict}[/]"
        names = (markup(shown(name)) for name in (one.pair, one.split, one.truth))
        table.add_row(*names, verdict, number(one.confidence), gap)
    return table
