"""`undertext demo`: the zoo's pairs, judged, beside their known truth."""

import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from tqdm.auto import tqdm

from undertext.activations.errors import UserError
from undertext.core.command import parse, say
from undertext.core.config import Config
from undertext.core.output import check_writable
from undertext.core.shipped import SHIPPED, organisms
from undertext.jobs.compare.config import CompareConfig
from undertext.organisms.folder import read_card


class DemoJob(Config):
    """Compare every pair of a zoo and print the verdicts beside the truth.

    Exits with 1 when a verdict is not the true one.
    """

    out: Path = Path("undertext-demo")
    """Folder the reports and summary.json are written to."""
    seed: int = Field(default=0, ge=0)
    """Of the analysis."""
    zoo: Path = SHIPPED
    """Folder that holds the organisms."""
    jobs: int = Field(default=min(2, os.cpu_count() or 1), ge=1)
    """Pairs compared side by side, with one CPU thread each."""


def run(args: Sequence[str]) -> int:
    """Compare, print one table, write summary.json."""
    job = parse(DemoJob, "demo", args)
    check_writable(job.out)
    found = organisms(job.zoo) if job.zoo.is_dir() else {}
    cards = {name: read_card(folder) for name, folder in found.items()}
    pairs = [(card["parent"], name) for name, card in cards.items() if card["parent"] in found]
    if not pairs:
        raise UserError(f"expected pairs of organisms in {job.zoo}, got none")
    tasks = [(str(found[base]), str(found[tuned]), str(job.out / tuned), job.seed) for base, tuned in pairs]
    results: dict[str, Any] = {}
    say(f"comparing {len(pairs)} pairs on the task chain, seed {job.seed}; reports go to {job.out}")
    # Processes rather than threads: two small models side by side want a core each. SIGINT is ours to handle.
    with multiprocessing.get_context("spawn").Pool(job.jobs, initializer=_ignore_interrupts) as pool:
        for name, splits in tqdm(pool.imap_unordered(_compare, tasks), total=len(tasks), desc="pairs"):
            results[name] = splits
        pool.close()
        pool.join()  # so that the workers end by themselves, and clear up, rather than being ended
    rows = [
        {"pair": tuned, "split": split, "truth": cards[tuned]["truth"][split], **result}
        for _, tuned in pairs
        for split, result in results[tuned].items()
    ]
    _print(rows)
    summary = [{key: row[key] for key in ("pair", "split", "truth", "verdict", "confidence")} for row in rows]
    _write(summary, job.out / "summary.json")
    wrong = sum(row["verdict"] != row["truth"] for row in rows)
    say(f"{len(rows) - wrong} of {len(rows)} verdicts are the true ones; reports: {job.out}/*/report.html")
    return 1 if wrong else 0


def _ignore_interrupts() -> None:
    # tqdm's own lock is shared between processes, and a worker that is ended leaves it behind with a warning.
    tqdm.set_lock(threading.RLock())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _compare(task: tuple[str, str, str, int]) -> tuple[str, dict[str, Any]]:
    from undertext.jobs.compare.job import compare
    from undertext.tasks.builtin.chain import new_chain

    base, tuned, out, seed = task
    comparison = compare(
        base, tuned, new_chain(0), config=CompareConfig(seed=seed, threads=1), out=out, progress=False
    )
    splits = {}
    for split, result in comparison.splits.items():
        recovered = result.line("recovered")
        splits[split] = {
            "verdict": result.verdict,
            "confidence": result.confidence,
            "recovered": None if recovered is None else (
                recovered.estimate.value, recovered.estimate.low, recovered.estimate.high
            ),
        }  # fmt: skip
    return Path(tuned).name, splits


def _print(rows: Sequence[dict[str, Any]]) -> None:
    table = Table(box=SIMPLE, padding=(0, 1))
    for column in ("pair", "split", "truth", "verdict", "confidence", "recovered gap \\[95%]"):
        table.add_column(column, no_wrap=True)
    for row in rows:
        gap = "no gap" if row["recovered"] is None else "{:.2f} \\[{:.2f}, {:.2f}]".format(*row["recovered"])
        colour = "green" if row["verdict"] == row["truth"] else "red"
        table.add_row(
            row["pair"],
            row["split"],
            row["truth"],
            f"[{colour}]{row['verdict']}[/]",
            f"{row['confidence']:.2f}",
            gap,
        )
    Console(width=None if sys.stdout.isatty() else 100).print(table)


def _write(summary: list[dict[str, Any]], path: Path) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, prefix=".summary-") as partial:
        try:
            json.dump(summary, partial, indent=2)
            partial.write("\n")
            partial.close()
            os.chmod(partial.name, 0o644)
            os.replace(partial.name, path)
        finally:
            Path(partial.name).unlink(missing_ok=True)
