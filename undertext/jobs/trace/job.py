"""`trace`: the answer read along a task's own traces, token by token, by a probe and by lenses beside it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint
from undertext.core.job import job_run
from undertext.core.plan import Draft, Work
from undertext.core.progress import Progress
from undertext.core.resume import Done, Part
from undertext.core.setup import checkpoint_record, layers_of, noted, open_checkpoint
from undertext.core.terms import CHOOSE, FIT, ReaderKind
from undertext.jobs.trace.config import TraceConfig
from undertext.jobs.trace.result import TraceResult, lead_of
from undertext.measures.trace.lens import Answers, answers_of, read_answers, readings_table
from undertext.measures.trace.works import reading_works
from undertext.tasks.open import check_fits, open_task, task_record
from undertext.tasks.prompts import ask
from undertext.tasks.task import Task
from undertext.tasks.work import trial_of


def read_trace(
    checkpoint: Any,
    task: str | Path | Task,
    *,
    config: TraceConfig | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
) -> TraceResult:
    """Read the answer after every token of the task's own traces, by each reader at each layer.

    The probe is fitted on train to the last token before a trace says its answer, its strength chosen on dev;
    the tuned lens is trained on train's texts. `checkpoint` and `task` are as in `probe`. With `out`,
    finished parts are cached there: a job that was stopped at any moment and is called again goes on.
    `progress` shows bars on stderr (None: where that is a terminal).

    Raises UserError for what cannot be loaded, a layer that the checkpoint lacks, a task without traces or
    with more than `MAX_ANSWERS` answers, texts that do not fit the context, and an `out` that cannot be
    written or holds an unfinished job of another config.
    """
    config = config or TraceConfig()
    with job_run("trace", config, out, progress) as run:
        task = open_task(task)
        answers_of(task, config.split, config.problems, config.seed)  # refused before a checkpoint is loaded
        with run.bars.stage("loading"):
            checkpoint = open_checkpoint(checkpoint, device=config.device, dtype=config.dtype)
        (checkpoint,), (task,), _ = ask(task, [checkpoint], [config.asked_as], config.seed)
        answers = answers_of(task, config.split, config.problems, config.seed)
        layers = layers_of(checkpoint, config.layers, config.max_layers)
        for split in dict.fromkeys((FIT, CHOOSE, config.split)):
            check_fits(checkpoint, task, split)
        run.plan(lambda: _draft(checkpoint, task, answers, layers, config))
        record = task_record(task)
        run.begin(checkpoint=checkpoint.fingerprint, task=record["fingerprint"])

        points = [HookPoint(layer, "resid_post") for layer in layers]
        work = _Work(checkpoint, task, answers, points, config.seed)
        readers = list(dict.fromkeys(config.readers))
        tables = run.make(
            [
                Part(f"read/{kind}", partial(work.read, kind), len(answers.problems), kind.replace("_", " "))
                for kind in readers
            ]
        )

        readings = pa.concat_tables(tables)
        summary = {
            "checkpoint": checkpoint_record(checkpoint),
            "task": record,
            "split": config.split,
            "problems": len(answers.problems),
            "answers": list(answers.classes),
            "leads": [lead_of(readings, kind, layer) for kind in readers for layer in layers],
        }
        return run.finish(TraceResult, summary, {"readings": readings}, **noted(checkpoint.notes))


def _draft(
    checkpoint: Checkpoint, task: Task, answers: Answers, layers: Sequence[int], config: TraceConfig
) -> Draft:
    """The job before it begins."""

    def works(config: TraceConfig) -> list[Work]:
        own = answers_of(task, config.split, config.problems, config.seed)
        count = len(layers_of(checkpoint, config.layers, config.max_layers))
        return reading_works(checkpoint, task, own, list(dict.fromkeys(config.readers)), count)

    less: list[dict[str, Any]] = []
    if (problems := len(answers.problems)) > 1:
        less.append({"problems": problems // 2})
    if "tuned_lens" in config.readers and (others := [k for k in config.readers if k != "tuned_lens"]):
        less.append({"readers": tuple(others)})
    trial = trial_of(checkpoint, task, answers.problems, config.seed, config.batch_size)
    return Draft(works, trial, [checkpoint], less)


class _Work(NamedTuple):
    """What parts are made of."""

    checkpoint: Checkpoint
    task: Task
    answers: Answers
    points: Sequence[HookPoint]
    seed: int

    def read(self, kind: ReaderKind, done: Done) -> pa.Table:
        """All traces by one reader."""
        reading = read_answers(
            self.checkpoint, self.task, self.answers, kind, self.points, seed=self.seed, progress=done
        )
        return readings_table(kind, reading, self.answers.problems)
