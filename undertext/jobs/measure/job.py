"""`measure`: is the reasoning of a checkpoint real, and what did tuning do to it?"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from undertext.activations.errors import UserError
from undertext.activations.pair import tokenizer_difference
from undertext.core.job import job_run
from undertext.core.output import plain
from undertext.core.progress import Progress
from undertext.core.setup import checkpoint_record, layers_of, noted, open_checkpoint, open_pair
from undertext.core.terms import CHOOSE, FIT, ROLES, Role
from undertext.jobs.measure.along_traces import confidence, information
from undertext.jobs.measure.config import MeasureConfig, MeasureName
from undertext.jobs.measure.criteria import criteria
from undertext.jobs.measure.exploration import exploration
from undertext.jobs.measure.faithfulness import faithfulness
from undertext.jobs.measure.figures_of import measured
from undertext.jobs.measure.functions import Given, open_functions
from undertext.jobs.measure.outputs import output_tables, unfinished_outputs
from undertext.jobs.measure.parts import Subject, Work
from undertext.jobs.measure.result import MeasureResult
from undertext.jobs.measure.stage import Stage
from undertext.jobs.measure.uncertainty import uncertainty
from undertext.jobs.measure.wordings_and_style import sensitivity, shift, style
from undertext.jobs.measure.works import measure_draft
from undertext.measures.trace.sensitivity import wordings
from undertext.measures.trace.style import open_markers
from undertext.measures.trace.trails import split_by
from undertext.tasks.draws import check_prompts, clusters, drawn
from undertext.tasks.open import check_task_fits, open_task, splits_to_report, task_record, texts_of
from undertext.tasks.prompts import ask, ask_by, form_of
from undertext.tasks.task import Problem, Task

MAKERS: dict[MeasureName, Callable[[Stage], None]] = {
    "information": information,
    "confidence": confidence,
    "faithfulness": faithfulness,
    "sensitivity": sensitivity,
    "style": style,
    "shift": shift,
    "uncertainty": uncertainty,
    "exploration": exploration,
    "criteria": criteria,
}
"""What makes each measure."""


def measure(
    base: Any,
    tuned: Any,
    task: str | Path | Task,
    names: str | Sequence[str] | None = None,
    *,
    config: MeasureConfig | None = None,
    out: str | Path | None = None,
    valid: Given = None,
    dead_ends: Given = None,
    paraphrase: Given = None,
    progress: bool | Progress | None = None,
) -> MeasureResult:
    """Measure the traces of `base` and of `tuned` on `task`, and what changed from the one to the other.

    `base` and `tuned` are whatever `Checkpoint.load` takes, `zoo:NAME`, or Checkpoints; with None as `tuned`
    the base is measured alone. `names` are the measures to make (`MeasureConfig.names`; None: those of the
    config). `valid`, `dead_ends` and `paraphrase` are functions `(steps, problem) -> a list, one a step`, in
    place of those that the config names. What cannot be measured is listed with its reason. With `out`,
    results are written there, finished parts as they come: a job that was killed and is called again goes on
    from them.

    Raises UserError for a name of no measure, for checkpoints that cannot be read or are no pair, a task that
    does not validate or whose answers are chosen by likelihood, texts that do not fit the context, a file of
    markers that is none, a function of steps that cannot be found or returns something else, and an `out`
    that cannot be written or holds parts of another job.
    """
    config = _named(config or MeasureConfig(), names)
    with job_run("measure", config, out, progress) as run:
        functions = open_functions(task, config, valid=valid, dead_ends=dead_ends, paraphrase=paraphrase)
        task = open_task(task, config, writes="measure")
        (split,) = splits_to_report(task, [config.split])
        rule, lead = split_by(task, FIT, config.steps, config.lead)
        markers = open_markers(config.markers)
        with run.bars.stage("loading"):
            if tuned is None:
                opened = [open_checkpoint(base, device=config.device, dtype=config.dtype)]
                notes = list(opened[0].notes)
            else:
                pair = open_pair(base, tuned, config, own_tokens=True)
                opened, notes = list(pair), pair.notes
        roles = ROLES[: len(opened)]
        shared = check_prompts(task, [split])
        differing = None
        if len(opened) > 1:
            differing = tokenizer_difference(opened[0].tokenizer, opened[1].tokenizer, texts_of(task))
        layers = layers_of(opened[0], config.layers, config.max_layers)
        asked = ask(task, opened, roles, config.seed)
        subjects: dict[Role, Subject] = {}
        for role, checkpoint, own in zip(roles, asked.checkpoints, asked.tasks, strict=True):
            check_task_fits([checkpoint], own, [split])
            problems = drawn(own.split(split), config.seed, config.problems)
            worded = _worded(task, own, problems, role, checkpoint, config)
            subjects[role] = Subject(role, checkpoint, own, problems, worded)
        told, shifts = [*notes, *asked.notes], len(opened) > 1 and differing is None
        run.plan(lambda: measure_draft(list(subjects.values()), config, rule, lead, told, shifts=shifts))
        described: dict[str, Any] = {
            role: checkpoint_record(each.checkpoint) for role, each in subjects.items()
        }
        record = task_record(task)
        read = {id(own): task_record(own)["fingerprint"] for own in asked.tasks}
        run.begin(
            **{role: record["fingerprint"] for role, record in described.items()},
            task=record["fingerprint"],
            task_read=[read[id(own)] for own in asked.tasks],
            markers=markers.by_category,
            functions=functions.sources,
        )

        work = Work(subjects, config, rule, lead, markers)
        stage = Stage(run, work, differing, layers, functions)
        stage.answers()
        for name in config.wanted:
            MAKERS[name](stage)
        unfinished_outputs(stage)
        output_tables(stage)
        collected = stage.collected
        units = clusters(subjects["base"].problems)
        rows = [measured(column, units, config.seed) for column in collected.columns]
        for column, row in zip(collected.columns, rows, strict=True):
            if row is None:
                few = "fewer than two problems have it, or what it is divided by may be nothing"
                collected.miss(column.measure, f"{column.figure}, {column.traces}", few)
        summary: dict[str, Any] = {
            **described,
            "tuned": described.get("tuned"),
            "task": record,
            "split": split,
            "problems": len(subjects["base"].problems),
            "measures": list(config.wanted),
            "steps": rule,
            "lead": lead,
            "judge": stage.judge,
            "figures": [row for row in rows if row is not None],
            "unmeasured": collected.unmeasured,
            "notes": list(dict.fromkeys([*asked.notes, *shared])),
        }
        return run.finish(MeasureResult, plain(summary), collected.arrow(), **noted([*notes, *asked.notes]))


def _named(config: MeasureConfig, names: str | Sequence[str] | None) -> MeasureConfig:
    if names is None:
        return config
    given = (names,) if isinstance(names, str) else tuple(names)
    try:
        return MeasureConfig.model_validate({**config.model_dump(), "names": given})
    except ValueError as error:
        known = ", ".join(name for name in MeasureConfig(names=("all",)).wanted)
        raise UserError(
            f"expected names of measures ({known}, all), got {', '.join(map(repr, given))}"
        ) from error


def _worded(
    task: Task,
    own: Task,
    problems: Sequence[Problem],
    role: Role,
    checkpoint: Any,
    config: MeasureConfig,
) -> dict[int, list[str]]:
    """The prompts of every wording of each problem that has several, as this checkpoint is asked."""
    by_id: Mapping[str, Problem] = {problem.id: problem for problem in task.problems}
    texts = {i: wordings(by_id[problem.id], config.templates) for i, problem in enumerate(problems)}
    several = {i: each for i, each in texts.items() if len(each) > 1}
    flat = [
        by_id[problems[i].id].model_copy(update={"prompt": text})
        for i, each in several.items()
        for text in each
    ]
    if not flat:
        return {}
    made = task.model_copy(update={"problems": [*task.split(FIT), *task.split(CHOOSE), *flat]})
    _, asked = ask_by(made, checkpoint, form_of(task, role), config.seed)
    prompts = [problem.prompt for problem in asked.problems[len(asked.problems) - len(flat) :]]
    checkpoint.encode(prompts, room=own.max_new_tokens)
    at = iter(prompts)
    return {i: [next(at) for _ in each] for i, each in several.items()}
