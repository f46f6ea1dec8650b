"""`compare`: two checkpoints and a task to a verdict a split."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from undertext.activations.errors import UserError, shown
from undertext.activations.pair import Pair, tokenizer_difference
from undertext.core.config import WORK_ONLY
from undertext.core.job import JobRun, job_run
from undertext.core.output import plain
from undertext.core.plan import BYTES_A_ROW, BYTES_A_TOKEN
from undertext.core.progress import Progress
from undertext.core.resume import Done, Part
from undertext.core.setup import checkpoint_record, layers_of, noted, open_pair
from undertext.core.terms import CHOOSE, FIT, OTHER, ROLES, Role
from undertext.jobs.compare.change import gap_between
from undertext.jobs.compare.config import CompareConfig, verdict_rule
from undertext.jobs.compare.dictionaries import (
    dictionary_summary,
    dictionary_tables,
    open_dictionaries,
    read_dictionaries,
)
from undertext.jobs.compare.evidence import split_evidence
from undertext.jobs.compare.key_rows import key_rows
from undertext.jobs.compare.measured import Rows, measure, points_at, table_rows
from undertext.jobs.compare.outputs import output_flags
from undertext.jobs.compare.problem_rows import problem_flags, problem_rows
from undertext.jobs.compare.raw_line import RawLine
from undertext.jobs.compare.result import SCHEMA, Comparison
from undertext.jobs.compare.token_parts import OUTPUTS, Output, read_tokens, token_table, why_no_tokens
from undertext.jobs.compare.token_probe import value_probe
from undertext.jobs.compare.trace_curves import CURVES, curve_rows
from undertext.jobs.compare.trace_figures import TRACE, trace_rows
from undertext.jobs.compare.trace_flags import trace_flags
from undertext.jobs.compare.trace_parts import read_traces
from undertext.jobs.compare.verdict import split_result
from undertext.jobs.compare.works import compare_draft
from undertext.measures.answers import Answers, greedy, guesses, same_answer
from undertext.measures.recovery.parts import SteeringParts
from undertext.measures.recovery.rows import schema_of
from undertext.measures.trace.style import open_markers
from undertext.measures.trace.trails import split_by
from undertext.tasks.draws import check_prompts
from undertext.tasks.limits import limited_as
from undertext.tasks.open import check_task_fits, open_task, splits_to_report, task_record, texts_of
from undertext.tasks.output_grader import chance_right
from undertext.tasks.prompts import ask, read_by
from undertext.tasks.task import Task

_VECTORS = 16
"""About how many vectors are searched with."""
_OF_A_TOKEN = 4
"""How many figures are kept of a token that is read, each as large as its text."""
SCHEMAS = {"trace": TRACE, "curves": CURVES}
"""Tables whose columns are told here: one of them may hold no value at all."""
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
    config, rule, markers = config or CompareConfig(), verdict_rule(), open_markers()
    with job_run("compare", config, out, progress) as run:
        task = open_task(task, config)
        splits = splits_to_report(task, config.splits)
        if config.fresh not in task.splits:
            raise UserError(
                f"expected a split of the task for `fresh`, got {shown(config.fresh)}; there are: "
                f"{', '.join(task.splits)}"
            )
        with run.bars.stage("loading"):
            pair = open_pair(base, tuned, config, own_tokens=True)
            given = open_dictionaries(config, pair)
            sae = None if given.sae is None else given.sae.sae
        differing = tokenizer_difference(pair.base.tokenizer, pair.tuned.tokenizer, texts_of(task))
        layers = layers_of(pair.base, config.layers, config.max_layers)
        shared = {split: check_prompts(task, [split]) for split in splits}
        roles: Sequence[Role] = ROLES if config.prompts == "own" else ("base", "base")
        asked = ask(task, pair, roles, config.seed)
        unasked, pair = pair, Pair(*asked.checkpoints)
        tasks = dict(zip(ROLES, asked.tasks, strict=True))
        if differing is not None:
            tasks["tuned"] = tasks["tuned"].model_copy()  # another reading of the same texts: in other tokens
            asked.notes.append(
                f"the tokenizers differ ({differing}): each checkpoint reads in its own tokens, values are "
                "read at the same characters, and `transported` is not measured, since a probe's position "
                "means another token in the other checkpoint"
            )
        task = limited_as(task, tasks["base"])
        for checkpoint, role in zip(pair, ROLES, strict=True):
            check_task_fits([checkpoint], tasks[role], splits)

        def steering(role: Role, config: CompareConfig, layers: Sequence[int]) -> SteeringParts:
            weaker, stronger = getattr(pair, role), getattr(pair, OTHER[role])
            return SteeringParts(
                weaker, stronger, tasks[role], config, layers, sae=sae, of_stronger=tasks[OTHER[role]],
                scratch=run.scratch, name=f"steering/{role}", shared=run.shared if role == "base" else None,
            )  # fmt: skip

        run.plan(
            lambda: compare_draft(
                pair,
                tasks,
                steering,
                config,
                shared_tokens=differing is None,
                room=_room(task, splits, config),
                notes=[*pair.notes, *asked.notes],
                given=given,
            )
        )
        described = {
            "base": checkpoint_record(pair.base),
            "tuned": checkpoint_record(pair.tuned),
            "task": task_record(task),
        }
        run.begin(
            **{name: record["fingerprint"] for name, record in described.items()},
            task_read=[task_record(own)["fingerprint"] for own in asked.tasks],
            rule=rule.model_dump(mode="json"),
            markers=markers.by_category,
            room=_room(task, splits, config),
            **given.inputs,
            **steering("base", config, layers).inputs,
        )

        if (done := run.finished(Comparison)) is not None:
            return done
        of_base = {
            "checkpoint": pair.base.fingerprint,
            "task": task_record(tasks["base"])["fingerprint"],
            "config": config.model_dump(mode="json", exclude=set(WORK_ONLY)),
        }
        answered = _answers(run, pair, tasks, splits, config, of_base)
        gaps = {split: gap_between(answered[split], rule) for split in splits}
        weaker = [role for role in ROLES if any(gap.weaker == role for gap in gaps.values())]
        unnamed = None
        if weaker and not task.names_values:
            unnamed = {**_answers(run, pair, tasks, [FIT, CHOOSE], config, of_base), **answered}
        measured = {}
        for role in weaker:
            own = {split: gap.problems for split, gap in gaps.items() if gap.weaker == role}
            told = None if unnamed is None else _weaker_first(unnamed, role)
            measured[role] = measure(
                run, steering(role, config, layers), role, own, splits, told, config,
                shared_tokens=differing is None,
                outputs={split: answered[split][OTHER[role]].texts for split in splits},
                of=of_base if role == "base" else None,
            )  # fmt: skip

        shown_in = read_dictionaries(
            run, given, pair, tasks["base"], splits, config,
            [on.searched.candidates for on in measured.values()], shared_tokens=differing is None,
        )  # fmt: skip
        traces = read_traces(run, task, unasked, pair, tasks, splits, answered, config, of_base)
        results: dict[str, Any] = {}
        tables: dict[str, Rows] = {"problems": []}
        outputs: dict[str, dict[Output, list[str]]] = {}
        for split, gap in gaps.items():
            lines: list[RawLine] = []
            flags: list[str] = []
            steered = latent = kept = None
            if gap.weaker != "neither":
                on, both = measured[gap.weaker], _weaker_first(answered, gap.weaker)[split]
                in_order = (tasks[gap.weaker], tasks[OTHER[gap.weaker]])
                lines, flags, latent, kept = split_evidence(
                    on, *in_order, split, gap.problems, *both, config, rule
                )
                best = on.searched.best_vector
                steered = None if best is None else on.steered[split][best]
            problems, answers = task.split(split), answered[split]
            alike = {
                role: same_answer(own, problems, answers[role].texts, rule.max_alike)
                for role, own in tasks.items()
            }
            if gap.weaker != "neither" and alike[gap.weaker] is not None:
                asked_of, drawn = tasks[gap.weaker], measured[gap.weaker].samples[split]
                in_gap = [asked_of.split(split)[i] for i in gap.problems]
                if guesses(asked_of, in_gap, drawn, rule.max_alike):
                    flags.append(
                        f"{gap.weaker} answers every prompt alike, and guesses when it is sampled: it is "
                        "not broken"
                    )
                    alike[gap.weaker] = None
            tables.setdefault("accuracy_by_key", []).extend(
                key_rows(split, lines, seed=config.seed, level=rule.level)
            )
            if traces is not None:
                found = trace_flags(traces, tasks, split, answers, markers, config, rule)
                flags += found.flags
                tables.setdefault("trace", []).extend(trace_rows(split, found.figures))
                tables.setdefault("curves", []).extend(
                    curve_rows(traces, split, answers, rule.level, config.seed)
                )
            elif config.trace_problems:
                flags.append("answers are chosen by likelihood: no trace is written, and none was measured")
            marks = problem_flags(tasks, split, answers, traces, rule)
            about = [*pair.notes, *asked.notes, *shown_in.flags]
            flags = [*about, *output_flags(tasks, split, answers, rule), *flags, *shared[split]]
            result = split_result(
                answers,
                {
                    role: chance_right(tasks[role], problems, answers[role].texts, answers[role].unfinished)
                    for role in ROLES
                },
                {role: answer for role, answer in alike.items() if answer is not None},
                gap.weaker,
                lines,
                flags,
                rule,
                config.seed,
                grader=task.grader,
                opened=latent,
                withstood=kept,
            )
            results[split] = plain(asdict(result))
            graded: dict[Output, Answers | None] = {
                "base": answers["base"], "tuned": answers["tuned"], "steered": steered,
            }  # fmt: skip
            tables["problems"] += problem_rows(task, split, graded, gap.problems, marks)
            outputs[split] = {whose: each.texts for whose, each in graded.items() if each is not None}
        for role, on in measured.items():
            both_of = _weaker_first(answered, role)
            for name, rows in table_rows(on, both_of, seed=config.seed, level=rule.level).items():
                tables.setdefault(name, []).extend(rows)
        unread = why_no_tokens(pair, task, config)
        own_readings = {role: on.readings for role, on in measured.items()}
        value, unprobed = value_probe(own_readings, points_at(layers), splits, rule)
        at_tokens = shown_in.at_tokens
        readings = [] if unread else read_tokens(run, pair, tasks, outputs, config, of_base, value, at_tokens)
        missing = [f"Tokens of outputs: {unread}."] if unread else []
        missing += shown_in.missing
        if value is None and not unread:
            missing.append(f"A probe's reading at each token of the outputs: {unprobed}.")

        steps, lead = split_by(task, FIT, config.steps, config.lead)
        return run.finish(
            Comparison,
            {
                "schema": SCHEMA,
                **described,
                "read": {
                    role: read_by(getattr(pair, role), tasks[role].split(splits[0])[0]) for role in ROLES
                },
                "seed": config.seed,
                "splits": results,
                **dictionary_summary(given, shown_in, config),
            },
            {
                name: pa.Table.from_pylist(rows, SCHEMAS.get(name) or schema_of(rows))
                for name, rows in tables.items()
                if rows
            }
            | ({"tokens": token_table(readings, value, at_tokens)} if readings else {})
            | dictionary_tables(shown_in),
            **({} if traces is None else {"split_by": {"steps": steps, "lead": lead}}),
            not_measured=missing,
            **noted([*pair.notes, *asked.notes]),
        )


def _room(task: Task, splits: Sequence[str], config: CompareConfig) -> int:
    """About how many bytes parts and tables take: texts of answers, sampled, steered and searched with."""
    judged = sum(len(task.split(split)) for split in splits)
    texts = judged * (_VECTORS + config.samples + 2)
    settings = config.max_layers * len(config.doses) * len(config.positions) * _VECTORS
    texts += settings * min(config.search_problems, len(task.split(CHOOSE)))
    read = sum(min(len(task.split(split)), config.token_problems) for split in splits)
    texts += read * len(OUTPUTS) * len(ROLES) * _OF_A_TOKEN
    return 2 * texts * (BYTES_A_TOKEN * (task.max_new_tokens or 256) + BYTES_A_ROW)


def _answers(
    run: JobRun,
    pair: Pair,
    tasks: Mapping[Role, Task],
    splits: Sequence[str],
    config: CompareConfig,
    of_base: Mapping[str, Any],
) -> dict[str, dict[Role, Answers]]:
    """Greedy answers; `of_base` is what the base's depend on, which other comparisons may share."""

    def part(split: str, role: Role) -> Part:
        task, checkpoint = tasks[role], getattr(pair, role)
        problems = task.split(split)

        def make(done: Done) -> Answers:
            return greedy(checkpoint, task, problems, batch_size=config.batch_size, progress=done)

        of = of_base if role == "base" else None
        return Part(f"answers/{split}/{role}", make, len(problems), f"{role} on {split}", of)

    made = iter(run.make([part(split, role) for split in splits for role in ROLES]))
    return {split: {role: next(made) for role in ROLES} for split in splits}


def _weaker_first(answered: Answered, weaker: Role) -> dict[str, tuple[Answers, Answers]]:
    """The weaker's answers and the stronger's, by split."""
    return {split: (answers[weaker], answers[OTHER[weaker]]) for split, answers in answered.items()}
