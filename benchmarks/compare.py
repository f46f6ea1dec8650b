"""compare.*: what a comparison costs beside bare forward passes and beside a script, and how it grows.

`undertext compare` of `zoo:base` and `zoo:elicited` on the shipped chain task, with its report, as
docs/start.md has it; float32, one thread; what is compared alternates in one process.

- compare.floor: over bare forward passes of Hugging Face on as many tokens as the comparison read or wrote,
  counted while it runs (`_compare_work.counted`), in the fastest of several batches of texts. Passes that
  stop at a layer count as whole ones.
- compare.growth: with four times the problems of `test`, over the shipped ones.
- compare.resumed: run again after a kill (SIGKILL, in another process) as soon as its steering search was
  kept, over the whole run. The verdict is the same.
- compare.peers: a script over `run_with_cache`, scikit-learn, `generate` with a hook and naive information
  gain (`_peer_pair.py`, `_peer_reading.py`, `_peer_steering.py`), over a comparison that is set to make the
  same evidence (`SAME`). One round; the figures of both are held against each other.
  In both times: answers, samples, probes with their nulls, next steps, values of other problems put in, keys,
  vectors and controls with their search, answers along traces.
  In the script's alone: the whole grid of the search, where ours, by halving, tries most settings on a few
  problems.
  In ours alone, since no setting leaves it out: answers after changed traces, completions of the problems'
  first parts, side effects of steering, fingerprints, the drawing of random weights, intervals, the verdict
  and its tables.
  In neither: loading; outputs read token by token; fresh problems completed, or answered in other numbers;
  the report, and parts that are kept on disk.
  Beside it, without an id: the same where ours tries the whole grid too; and the script over the whole job
  with its report, in which all these are.

Then where the time goes, and how it grows with problems, layers, tokens and width (`_compare_sizes.py`).
`--smoke` makes all of it small.
"""

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import _peer_reading as reading
import _peer_steering as steering
import torch
from _common import HEAD
from _compare_held import agree, differences
from _compare_sizes import print_growth
from _compare_work import (  # this folder is where Python looks first when a file in it is run
    BASE,
    CONFIG,
    QUICK,
    SMOKE,
    SPLIT,
    TEST,
    TUNED,
    Counting,
    bare_passes,
    counted,
    row,
    run,
    task_of,
    timed,
    until_searched,
)
from _peer_pair import PeerPair

from undertext import compare
from undertext.core.setup import open_checkpoint
from undertext.jobs.compare.result import Comparison

ROUNDS = 1 if SMOKE else 3
PEER_ROUNDS = 1
PIECES: dict[str, tuple[Callable[[PeerPair], Any], tuple[str, ...]]] = {
    "answers": (reading.answers, ("base on test", "tuned on test")),
    "samples": (reading.samples, ("sampling on test",)),
    "probes": (reading.probes, ("probing", "probing both")),
    "next_steps": (reading.next_steps, ("steps on test",)),
    "interchange": (steering.interchange, ("use on test",)),
    "keys": (reading.keys, ("keys", "keys on test")),
    "search": (steering.search, ("vectors", "steering search", "steering on test")),
    "along": (reading.along, ("base's traces", "tuned's traces")),
}
"""What the script does, and our stages that do it; those of traces do more."""
SAME = CONFIG.model_copy(update={"token_problems": 0, "fresh": SPLIT})
"""A comparison without what the script does not do, as far as settings go. Problems that are fresh and those
that are judged being the same, they are completed once, and none is answered in other numbers."""
GRID = SAME.model_copy(update={"search": "grid"})
WHAT = {
    "both": "answers, samples, probes with their nulls, next steps, values of other problems put in, keys, "
    "vectors and controls with their search, answers along traces",
    "the script's": "the whole grid of the search, where ours, by halving, tries most settings on a few "
    "problems",
    "ours": "answers after changed traces, completions of the problems' first parts, side effects of "
    "steering, fingerprints, the drawing of random weights, intervals, the verdict and its tables",
    "neither": "loading; outputs read token by token; fresh problems completed, or answered in other "
    "numbers; the report, and parts that are kept on disk",
}
"""What is in the times of `compare.peers`."""


def killed_after_search(out: Path) -> None:
    """A comparison into this folder in another process, of which the parts up to the search's are left."""
    command = [sys.executable, __file__, "--until-searched", str(out), *(["--smoke"] if SMOKE else [])]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def alternate(folder: Path, floor: Callable[[], None]) -> dict[str, float]:
    """Rounds of the whole run, the floor, the run on more problems, and the one that goes on after a kill."""
    tasks = {count: task_of(count) for count in (TEST, 4 * TEST)}
    spent: dict[str, list[float]] = {name: [] for name in ("whole", "floor", "more", "resumed")}
    for turn in range(ROUNDS):
        at = folder / str(turn)
        killed_after_search(at / "resumed")
        spent["whole"].append(timed(lambda: run(tasks[TEST], at / "whole")))  # noqa: B023
        spent["floor"].append(timed(floor))
        spent["more"].append(timed(lambda: run(tasks[4 * TEST], at / "more")))  # noqa: B023
        spent["resumed"].append(timed(lambda: run(tasks[TEST], at / "resumed")))  # noqa: B023
        whole, resumed = (Comparison.load(at / name) for name in ("whole", "resumed"))
        assert whole.summary == resumed.summary, "what went on after a kill is another result"
    return {
        "compare.floor": row("compare.floor", spent["whole"], spent["floor"]),
        "compare.growth": row(f"compare.growth, {4 * TEST} problems", spent["more"], spent["whole"]),
        "compare.resumed": row("compare.resumed", spent["resumed"], spent["whole"]),
    }


def peers(folder: Path) -> float:
    """The script beside ours, piece by piece; ends with an error where their figures differ."""
    task, found = task_of(TEST), {}
    pair = PeerPair(open_checkpoint(BASE), open_checkpoint(TUNED), task, SPLIT, CONFIG)
    opened = open_checkpoint(BASE), open_checkpoint(TUNED)
    theirs: dict[str, list[float]] = {name: [] for name in PIECES}
    stages: dict[str, list[float]] = {name: [] for name in PIECES}
    spent: dict[str, list[float]] = {name: [] for name in ("same", "grid", "whole")}
    for turn in range(PEER_ROUNDS):
        counting = Counting()
        start = perf_counter()
        result = compare(*opened, task, config=SAME, progress=counting)
        spent["same"].append(perf_counter() - start)
        for name, (piece, of_ours) in PIECES.items():
            start = perf_counter()
            found[name] = piece(pair)
            theirs[name].append(perf_counter() - start)
            stages[name].append(sum(counting.timings[stage] for stage in of_ours))
        spent["grid"].append(timed(lambda: compare(*opened, task, config=GRID, progress=False)))
        spent["whole"].append(timed(lambda: run(task, folder / f"beside-{turn}")))  # noqa: B023
    script = [sum(each[turn] for each in theirs.values()) for turn in range(PEER_ROUNDS)]
    ratio = row("compare.peers", script, spent["same"])
    row("(the same, the whole grid in ours too)", script, spent["grid"])
    row("(the script over the whole job)", script, spent["whole"])
    print("\n| in the times of compare.peers | |\n|---|---|")
    for whose, what in WHAT.items():
        print(f"| {whose} | {what} |")
    print("\n| piece | script, s | our stages, s |\n|---|---|---|")
    for name in PIECES:
        print(f"| {name} | {statistics.median(theirs[name]):.2f} | {statistics.median(stages[name]):.2f} |")
    rest = spent["same"][-1] - sum(each[-1] for each in stages.values())
    print(f"| our other stages, the verdict and its tables | | {rest:.2f} |")
    agree(differences(result, SPLIT, found))
    return ratio


def where(counts: Counting, elapsed: float, per_token: float) -> None:
    """Seconds and tokens by stage, and what a stage takes over bare passes on its tokens."""
    print(
        "\nWhere the time of one comparison goes (another run than those above, with its tokens counted):\n"
    )
    print("| stage | seconds | tokens read | written | over bare passes |\n|---|---|---|---|---|")
    for name, seconds in sorted(counts.timings.items(), key=lambda each: -each[1]):
        tokens = counts.read[name] + counts.written[name]
        over = f"{seconds / (tokens * per_token):.1f}" if tokens else ""
        print(f"| {name} | {seconds:.2f} | {counts.read[name]} | {counts.written[name]} | {over} |")
    rest = elapsed - sum(counts.timings.values())
    print(f"| checks, tables, the verdict, the report | {rest:.2f} | {counts.read['']} | | |")


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description="What a comparison costs, and how it grows.")
    parser.add_argument("--smoke", action="store_true", help="make all of it small")
    parser.add_argument("--until-searched", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.until_searched:
        until_searched(task_of(TEST), args.until_searched)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        run(task_of(TEST), folder / "first", config=QUICK)  # imports, and caches of the system
        with counted() as counts:
            start = perf_counter()
            run(task_of(TEST), folder / "counted", counts)
            elapsed = perf_counter() - start
        model = open_checkpoint(BASE).model
        floor, shape = bare_passes(model, counts.tokens, 32)
        print(f"{counts.read.total()} tokens read, {counts.written.total()} written; bare passes: {shape}\n")
        print(HEAD)
        found = alternate(folder, floor)
        found["compare.peers"] = peers(folder)
        where(counts, elapsed, timed(floor) / counts.tokens)
        print_growth(folder)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
