"""Judging the bench's pairs, each kept as it is done."""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, get_args

from undertext.activations.errors import UserError, shown
from undertext.activations.store.disk import replace_file
from undertext.core.job import job_run
from undertext.core.resume import Done, Part
from undertext.core.setup import threads
from undertext.core.terms import Verdict
from undertext.jobs.bench.build import read_cases
from undertext.jobs.bench.case import Case, Judged
from undertext.jobs.bench.config import RunConfig
from undertext.jobs.bench.judges import OURS, Judge, Said, baselines, our_comparison, ours
from undertext.jobs.bench.plan import read_plan
from undertext.jobs.bench.records import read_records, write_records
from undertext.tasks.function import imported
from undertext.tasks.task import Task

JUDGED = "judged"
"""Folder below a bench of what judges said: JUDGE-SEED/WORLD/ORGANISM-RECIPE.json. An organism of another
recipe has another file."""
SOURCE = "source"
"""File beside them: a digest of the judge's code."""


class Pair(NamedTuple):
    """A pair that is judged."""

    cases: list[Case]
    base: Path
    tuned: Path
    task: Path
    out: Path
    judge: Judge | None
    """None: our own verdict."""
    name: str
    seed: int
    device: str = "cpu"


def run_bench(config: RunConfig, bench: Path, judge: Judge | None = None) -> list[Judged]:
    """Judge every pair of a set that was built below `bench` and was not judged yet, and return all that was
    said.

    `judge` is called where the config names none; `config.jobs` must be 1 for one that pickle cannot find by
    its name. Raises UserError where organisms are missing, and for a judge that cannot be imported or answers
    otherwise than a judge does.
    """
    pairs, missing = missing_pairs(config, bench, judge)
    if pairs and (called := pairs[0].judge) is not None:
        _same_source(called, pairs[0].name, pairs[0].out.parents[1])
    if missing:
        parts = [
            Part(f"{pair.out.parent.name}/{pair.out.stem}", partial(judge_and_keep, pair), stage="pairs")
            for pair in missing
        ]
        with threads(1), job_run("bench run", config, None, None) as run:
            run.make(parts)
        if lost := [pair.out for pair in missing if not pair.out.exists()]:
            raise UserError(
                f"a machine of the cluster wrote {shown(lost[0])}, and it is not here: machines of a cluster "
                "must all reach the folder"
            )
    return [judged for pair in pairs for judged in read_records(pair.out)]


def missing_pairs(
    config: RunConfig, bench: Path, judge: Judge | None = None
) -> tuple[list[Pair], list[Pair]]:
    """The pairs of a set, and those of them that were not judged yet. Raises UserError as `run_bench`."""
    if config.judge is not None:
        judge = judge_named(config.judge)
    name = config.judge or (OURS if judge is None else name_of(judge))
    pairs = list(_pairs(config, bench, judge, name))
    return pairs, [pair for pair in pairs if not pair.out.exists() or _cases(pair.out) != pair.cases]


def _same_source(judge: Judge, name: str, folder: Path) -> None:
    """Keep a digest of the judge's code, and refuse to go on with what another version of it said."""
    try:
        source = inspect.getsource(inspect.getmodule(judge) or type(judge))
    except (OSError, TypeError):  # of a notebook, say
        code = getattr(judge, "__code__", None)
        source = repr((getattr(code, "co_code", b""), getattr(code, "co_consts", ())))
    digest, file = sha256(source.encode()).hexdigest(), folder / SOURCE
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(file, [digest.encode()])
    elif file.read_text(encoding="utf-8") != digest:
        raise UserError(
            f"{shown(folder)} holds what another version of {shown(name)} said: remove the folder to have "
            "the pairs judged again"
        )


def _cases(path: Path) -> list[Case]:
    """The cases in a file of judgements."""
    cases = {each.case.split: each.case for each in read_records(path)}
    return [cases[split] for split in ("test", "ood") if split in cases]


def name_of(judge: Judge) -> str:
    """What a judge is called in records."""
    kind = type(judge)
    module = getattr(judge, "__module__", kind.__module__)
    own = getattr(judge, "__qualname__", kind.__qualname__)
    return f"{module}:{own.replace('<locals>', '()')}"


def judge_named(name: str) -> Judge:
    """The judge `module:function`. UserError where there is none such."""
    judge: Judge = imported(name, "a judge")
    return judge


def _pairs(config: RunConfig, bench: Path, judge: Judge | None, name: str) -> Iterator[Pair]:
    from undertext.organisms.bench.build import TASK, TYPED

    folder = re.sub(r"[^\w.-]", ".", name)
    for plan in read_plan(config.plan).of(config.size, config.only):
        at = bench / plan.world.name
        for organism in plan.tuned:
            cases, recipe = read_cases(plan, organism, bench)
            yield Pair(
                cases,
                at / str(organism.parent),
                at / organism.name,
                at / (TYPED if organism.needs == "types" else TASK),
                bench / JUDGED / f"{folder}-{config.seed}" / at.name / f"{organism.name}-{recipe}.json",
                judge,
                name,
                config.seed,
                config.device,
            )


def judge_and_keep(pair: Pair, _done: Done | None = None) -> None:
    """Judge a pair, and write what is said of it. A part of the job, kept by the file that it writes."""
    from undertext.activations.quiet import quiet
    from undertext.tasks.load import load_task

    task = load_task(pair.task)
    out = pair.out.parent / "reports" / pair.out.stem
    with quiet():
        records = judge_pair(
            pair.judge,
            pair.name,
            pair.base,
            pair.tuned,
            task,
            pair.cases,
            seed=pair.seed,
            out=out,
            device=pair.device,
        )
    write_records(pair.out, records)


def judge_pair(
    judge: Judge | None,
    name: str,
    base: Path,
    tuned: Path,
    task: Task,
    cases: Sequence[Case],
    *,
    seed: int,
    out: Path | None,
    device: str = "cpu",
) -> list[Judged]:
    """What a judge called `name` says of a pair's cases, on one thread.

    Without a judge it is our own verdict, with the baselines beside it, and its report is written to `out`.
    """
    began = perf_counter()
    with threads(1):
        if judge is None:
            found = our_comparison(base, tuned, task, seed=seed, out=out, device=device)
            said: dict[str, Any] = {OURS: ours(found.splits), **baselines(found.splits)}
        else:
            said = {name: judge(base, tuned, task)}
    seconds = perf_counter() - began
    return [
        judged_of(case, each, seed, _of_split(splits, case.split), seconds, len(task.split(case.split)))
        for each, splits in said.items()
        for case in cases
    ]


def _of_split(said: object, split: str) -> Any:
    return said.get(split) if isinstance(said, Mapping) else said


def judged_of(case: Case, judge: str, seed: int, said: Any, seconds: float, problems: int) -> Judged:
    """What a judge said of a case, as it is kept. UserError where it is not what a judge says."""
    try:
        given = said._asdict() if isinstance(said, Said) else dict(said or {})
        verdict: Verdict = given["verdict"]
        confidence, share = float(given["confidence"]), given.get("share")
        if verdict not in get_args(Verdict) or not 0 <= confidence <= 1:
            raise ValueError("not a verdict, or not a confidence")
        if share is not None:
            value, low, high = (float(each) for each in share)
            share = (value, low, high)
        stability = given.get("stability")
        stability = None if stability is None else float(stability)
        against = int(given.get("against", 0))
        if not (stability is None or 0 <= stability <= 1) or against < 0:
            raise ValueError("not a share of resamples, or not a number of lines")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"judge {shown(judge)}: expected a verdict ({', '.join(get_args(Verdict))}), a confidence from 0 "
            f"to 1 and, where one is said, a share with its bounds, for split {shown(case.split)}, got "
            f"{shown(repr(said), 200)}"
        ) from error
    return Judged(case, judge, seed, verdict, confidence, share, seconds, problems, stability, against)
