"""`compare`: two checkpoints and a task to a verdict a split."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from undertext.activations.pair import Pair
from undertext.core.job import JobRun, job_run
from undertext.core.output import plain
from undertext.core.progress import Progress
from undertext.core.resume import Done, Part
from undertext.core.setup import checkpoint_record, layers_of, noted, open_pair
from undertext.core.terms import CHOOSE, FIT, ROLES, Role
from undertext.jobs.compare.config import CompareConfig, verdict_rule
from undertext.jobs.compare.evidence import RawLine, split_evidence
from undertext.jobs.compare.measured import Rows, measure, table_rows
from undertext.jobs.compare.outputs import output_flags
from undertext.jobs.compare.result import SCHEMA, Comparison
from undertext.jobs.compare.verdict import gap_between, split_result
from undertext.measures.answers import Answers, greedy, same_answer
from undertext.measures.recovery.parts import SteeringParts, sae_of
from undertext.measures.recovery.rows import schema_of
from undertext.tasks.draws import check_prompts
from undertext.tasks.limits import limited
from undertext.tasks.open import check_task_fits, open_task, splits_to_report, task_record, texts_of
from undertext.tasks.output_grader import chance_right
from undertext.tasks.task import Task

_VECTORS, _BYTES_A_TOKEN, _BYTES_A_ROW = 16, 4, 200
"""About how many vectors are searched with, and how large a text and its row are."""
Answered = Mapping[str, Mapping[Role, Answers]]
"""Greedy answers, by split and checkpoint."""


def compare(
    base: Any,
    tuned: Any,
    task: str | Path | Task,
    *,
    config: CompareConfig | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
) -> Comparison:
    """Was the capability that tells `base` from `tuned` on `task` already latent in the weaker of the two?

    `base` and `tuned` are whatever `Checkpoint.load` takes (folders, hub ids, PEFT adapters, live models),
    `zoo:NAME`, or Checkpoints; `task` is a task's
    folder, `zoo:chain` or a Task. With `out`, the report is written there, and a run that was killed goes on
    where it was. `progress` shows bars on stderr (None: where that is a terminal). The same inputs, config,
    machine and versions give the same result, timings aside.

    Raises UserError, before any long work where it can be told, for checkpoints that cannot be read or
    are no pair, a task that does not validate, a split it lacks, prompts that do not fit the context,
    NaN in the activations, an `out` that cannot be written, and one that holds parts of another comparison.
    """
    config, rule = config or CompareConfig(), verdict_rule()
    with job_run("compare", config, out, progress) as run:
        task = open_task(task, config)
        splits = splits_to_report(task, config.splits)
        with run.bars.stage("loading"):
            pair, sae = open_pair(base, tuned, config, texts_of(task)), sae_of(config)
        layers = layers_of(pair.base, config.layers, config.max_layers)
        task = limited(task, pair)
        shared = {split: check_prompts(task, [split]) for split in splits}
        check_task_fits(pair, task, splits)

        def steering(role: Role) -> SteeringParts:
            ends = pair if role == "base" else pair[::-1]
            return SteeringParts(
                *ends, task, config, layers, sae=sae, scratch=run.scratch, name=f"steering/{role}"
            )

        described = {
            "base": checkpoint_record(pair.base),
            "tuned": checkpoint_record(pair.tuned),
            "task": task_record(task),
        }
        run.begin(
            **{name: record["fingerprint"] for name, record in described.items()},
            rule=rule.model_dump(mode="json"),
            room=_room(task, splits, config),
            **steering("base").inputs,
        )

        answered = _answers(run, pair, task, splits, config)
        gaps = {split: gap_between(answered[split], rule) for split in splits}
        weaker = [role for role in ROLES if any(gap.weaker == role for gap in gaps.values())]
        unnamed = None
        if weaker and not task.names_values:
            unnamed = {**_answers(run, pair, task, [FIT, CHOOSE], config), **answered}
        measured = {}
        for role in weaker:
            own = {split: gap.problems for split, gap in gaps.items() if gap.weaker == role}
            told = None if unnamed is None else _weaker_first(unnamed, role)
            measured[role] = measure(run, steering(role), role, own, splits, told, config)

        results: dict[str, Any] = {}
        tables: dict[str, Rows] = {"problems": []}
        for split, gap in gaps.items():
            lines: list[RawLine] = []
            flags: list[str] = []
            steered = None
            if gap.weaker != "neither":
                on, both = measured[gap.weaker], _weaker_first(answered, gap.weaker)[split]
                lines, flags = split_evidence(on, task, split, gap.problems, *both, config, rule)
                best = on.searched.best_vector
                steered = None if best is None else on.steered[split][best]
            problems, answers = task.split(split), answered[split]
            alike = {role: same_answer(task, problems, answers[role].texts, rule.max_alike) for role in ROLES}
            flags = [*pair.notes, *output_flags(task, split, answers, rule), *flags, *shared[split]]
            result = split_result(
                answers,
                {
                    role: chance_right(task, problems, answers[role].texts, answers[role].unfinished)
                    for role in ROLES
                },
                {role: answer for role, answer in alike.items() if answer is not None},
                gap.weaker,
                lines,
                flags,
                rule,
                config.seed,
                grader=task.grader,
            )
            results[split] = plain(asdict(result))
            tables["problems"] += _problem_rows(task, split, answered[split], gap.problems, steered)
        for role, on in measured.items():
            both_of = _weaker_first(answered, role)
            for name, rows in table_rows(on, both_of, seed=config.seed, level=rule.level).items():
                tables.setdefault(name, []).extend(rows)

        return run.finish(
            Comparison,
            {"schema": SCHEMA, **described, "seed": config.seed, "splits": results},
            {name: pa.Table.from_pylist(rows, schema_of(rows)) for name, rows in tables.items() if rows},
            **noted(pair.notes),
        )


def _room(task: Task, splits: Sequence[str], config: CompareConfig) -> int:
    """About how many bytes parts and tables take: texts of answers, sampled, steered and searched with."""
    judged = sum(len(task.split(split)) for split in splits)
    texts = judged * (_VECTORS + config.samples + 2)
    settings = config.max_layers * len(config.doses) * len(config.positions) * _VECTORS
    texts += settings * min(config.search_problems, len(task.split(CHOOSE)))
    return 2 * texts * (_BYTES_A_TOKEN * (task.max_new_tokens or 256) + _BYTES_A_ROW)


def _answers(
    run: JobRun, pair: Pair, task: Task, splits: Sequence[str], config: CompareConfig
) -> dict[str, dict[Role, Answers]]:
    def part(split: str, role: Role) -> Part:
        problems, checkpoint = task.split(split), getattr(pair, role)

        def make(done: Done) -> Answers:
            return greedy(checkpoint, task, problems, batch_size=config.batch_size, progress=done)

        return Part(f"answers/{split}/{role}", make, len(problems), f"{role} on {split}")

    made = iter(run.make([part(split, role) for split in splits for role in ROLES]))
    return {split: {role: next(made) for role in ROLES} for split in splits}


def _weaker_first(answered: Answered, weaker: Role) -> dict[str, tuple[Answers, Answers]]:
    """The weaker's answers and the stronger's, by split."""
    stronger: Role = "tuned" if weaker == "base" else "base"
    return {split: (answers[weaker], answers[stronger]) for split, answers in answered.items()}


def _problem_rows(
    task: Task, split: str, answers: Mapping[Role, Answers], gap: Sequence[int], steered: Answers | None
) -> Rows:
    """The table `problems` on a split; `steered` are the weaker's answers with the best vector, if any."""
    graded: dict[str, Answers | None] = {
        "base": answers["base"],
        "tuned": answers["tuned"],
        "steered": steered,
    }
    rows, within = [], set(gap)
    for i, problem in enumerate(task.split(split)):
        row: dict[str, Any] = {
            "split": split,
            "id": problem.id,
            "type": problem.type,
            "prompt": problem.prompt,
            "answer": problem.answer,
        }
        for who, each in graded.items():
            row |= {
                f"{who}_output": None if each is None else each.texts[i],
                f"{who}_strict": None if each is None else bool(each.strict[i]),
                f"{who}_lenient": None if each is None else bool(each.lenient[i]),
                f"{who}_unfinished": None if each is None else bool(each.unfinished[i]),
            }
        rows.append(row | {"gap": i in within})
    return rows
