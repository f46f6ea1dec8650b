"""`undertext bench`: organisms of known truth, and how often a judge is right on them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from undertext.activations.errors import UserError, shown
from undertext.core.command import DRY_RUN, parse, run_subcommand, say, without_dry_run
from undertext.core.config import Config, part_of
from undertext.core.publish import check_writable, publish
from undertext.jobs.bench.case import Judged
from undertext.jobs.bench.config import BenchConfig, RunConfig

if TYPE_CHECKING:  # what a help text need not wait for
    from undertext.jobs.bench.dry_runs import BenchPlans


class BuildCommand(BenchConfig):
    """Train the organisms of the bench that are missing, and check the ground truth of each, by behaviour and
    by relearning."""

    out: Path = Path("undertext-bench")
    """Folder that the worlds are built below."""


class RunCommand(RunConfig):
    """Judge the pairs of a bench that were not judged yet."""

    bench: Path = Path("undertext-bench")
    """Folder that `undertext bench build` wrote to."""


class CalibrateCommand(Config):
    """Fit the weights of a verdict's confidence on the part of the bench that is for tuning.

    Prints the weights in the form of configs/verdict.yaml. Pairs of the held-out part of the bench are not
    used.
    """

    bench: tuple[Path, ...] = (Path("undertext-bench"),)
    """Folders of benches, or bench.json files, whose judgements are taken together."""
    only: tuple[str, ...] = ()
    """Families or worlds that the weights are fitted on; without any, all of the part `tuning`."""


class ScoreCommand(Config):
    """Score what judges said: rates with intervals, confusion, calibration, and a page.

    The confidence in our own verdicts is that of the weights in configs/verdict.yaml, whichever weights they
    were judged by. Writes bench.json, bench.md and figures.
    """

    bench: tuple[Path, ...] = (Path("undertext-bench"),)
    """Folders of benches, or bench.json files, whose judgements are scored together."""
    out: Path = Path("undertext-bench-scores")
    """Folder that the page and its figures are written to."""


def run(args: Sequence[str]) -> int:
    """Run `undertext bench` with these arguments."""
    return run_subcommand(
        "bench",
        args,
        {
            "build": (_build, "train the organisms that are missing"),
            "run": (_run, "judge the pairs that were not judged yet"),
            "calibrate": (_calibrate, "the weights of a verdict's confidence, from what was judged"),
            "score": (_score, "how often judges are right, on a page"),
        },
    )


def _build(args: Sequence[str]) -> int:
    from undertext.jobs.bench.build import build_bench

    rest, dry = without_dry_run(list(args))
    given = parse(BuildCommand, "bench build", rest, about=DRY_RUN)
    if dry:
        from undertext.jobs.bench.dry_runs import building_plans

        return _say(building_plans(part_of(BenchConfig, given), given.out), "organisms")
    check_writable(given.out)
    for world, cases in build_bench(part_of(BenchConfig, given), given.out).items():
        odd = [case for case in cases if case.ambiguous]
        say(f"{world}: {len(cases)} cases, {len(odd)} of them not scored")
        for case in odd:
            say(f"  {case.organism}, {case.split}: {case.ambiguous}")
    return 0


def _run(args: Sequence[str]) -> int:
    from undertext.jobs.bench.run import run_bench

    rest, dry = without_dry_run(list(args))
    given = parse(RunCommand, "bench run", rest, about=DRY_RUN)
    if dry:
        from undertext.jobs.bench.dry_runs import judging_plans

        return _say(judging_plans(part_of(RunConfig, given), given.bench), "pairs")
    judged = run_bench(part_of(RunConfig, given), given.bench)
    for judge in sorted({each.judge for each in judged}):
        own = [each for each in judged if each.judge == judge and not each.case.ambiguous]
        right, silent = sum(each.right for each in own), sum(not each.given for each in own)
        say(f"{judge}: {right} of {len(own)} right, {silent} undetermined, {len(own) - right - silent} wrong")
    return 0


def _say(planned: "BenchPlans", what: str) -> int:
    """Print what a set would take; `done` counts what there is already."""
    from undertext.core.dry_run import say_together

    if planned.done:
        say(f"{planned.done} {what} are there already, and take nothing")
    if not planned.plans:
        say("nothing is missing: nothing would be run")
        return 0
    say_together(planned.plans, say, smaller=planned.smaller, notes=planned.notes)
    return 0


def _score(args: Sequence[str]) -> int:
    from undertext.jobs.bench.calibration import reweighed
    from undertext.jobs.bench.page import bench_files
    from undertext.jobs.compare.config import verdict_rule

    given = parse(ScoreCommand, "bench score", args)
    check_writable(given.out)
    publish(bench_files(reweighed(_judged(given.bench), verdict_rule())), given.out)
    say(f"page: {given.out / 'bench.md'}")
    return 0


def _calibrate(args: Sequence[str]) -> int:
    from undertext.jobs.bench.calibration import calibrate

    given = parse(CalibrateCommand, "bench calibrate", args)
    fitted = calibrate(_judged(given.bench), given.only)._asdict()
    right, cases = fitted.pop("right"), fitted.pop("cases")
    say(f"# fitted on {cases} verdicts of the part tuning, {right} of them right")
    for name, weight in fitted.items():
        say(f"{name}: {weight:g}")
    return 0


def _judged(folders: Sequence[Path]) -> tuple[Judged, ...]:
    """What judges said, of folders of benches and of bench.json files."""
    from undertext.jobs.bench.records import merged, read_records
    from undertext.jobs.bench.run import JUDGED

    parts = []
    for path in folders:
        files = [path] if path.is_file() else sorted((path / JUDGED).glob("*/*/*.json"))
        if not files:
            raise UserError(
                f"expected a bench.json, or a folder that `undertext bench run` judged, got {shown(path)}"
            )
        parts += [read_records(file) for file in files]
    return merged(*parts)
