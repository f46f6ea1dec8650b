"""What probing reads, before it is done: the texts of every split, in each checkpoint and at random init."""

from collections.abc import Sequence

from undertext.activations.checkpoint import Checkpoint
from undertext.core.plan import Work
from undertext.core.terms import CHOOSE, FIT
from undertext.measures.decoding.positions import Located
from undertext.tasks.task import Task
from undertext.tasks.value_tokens import locate_values

FITTING = "fitting probes and their controls"
_UNREAD = "texts are not read where no value can be"
_FLOAT = 4
"""Bytes of an activation that is kept."""


def own_work(weaker: Checkpoint, task: Task, splits: Sequence[str], layers: int) -> Work:
    """The work of `readings.measure_own`: the weaker checkpoint and random init at every value."""
    return _at_values("probing", [weaker, weaker], [task, task], splits, layers)


def other_work(
    weaker: Checkpoint,
    stronger: Checkpoint,
    task: Task,
    of_stronger: Task,
    splits: Sequence[str],
    layers: int,
    *,
    shared_tokens: bool,
) -> Work:
    """The work of `readings.measure_other`: the stronger at every value, and the weaker with its tokens."""
    checkpoints, tasks = [stronger, weaker], [of_stronger, task]
    count = 2 if shared_tokens else 1
    return _at_values("probing both", checkpoints[:count], tasks[:count], splits, layers)


def right_work(
    weaker: Checkpoint,
    stronger: Checkpoint,
    task: Task,
    of_stronger: Task,
    splits: Sequence[str],
    layers: int,
) -> Work:
    """The work of reading whether each checkpoint will be right, at the ends of prompts."""
    rows = read = 0
    for checkpoint, own in ((weaker, task), (weaker, task), (stronger, of_stronger)):
        prompts = [problem.prompt for split in _all(splits) for problem in own.split(split)]
        rows, read = rows + len(prompts), read + sum(map(len, checkpoint.encode(prompts)))
    kept = rows * layers * weaker.d_model * _FLOAT
    why = "not read where a checkpoint is nearly always right, or wrong, on train"
    return Work("reading whether it will be right", rows, read, why=why, beside=FITTING, kept=kept)


def located_work(
    stage: str, located: Located, splits: Sequence[str], times: int, layers: int, d_model: int
) -> Work:
    """The texts of these splits in which values are read, each so many times (`Gathered.of_splits`)."""
    rows = read = kept = 0
    for split in splits:
        texts = next(iter(located[split].values())).tokens
        wanted = {
            (problem, position)
            for each in located[split].values()
            for problem, position in zip(each.problem.tolist(), each.position, strict=True)
        }
        read_in = {problem for problem, _ in wanted}
        rows, read = rows + len(read_in), read + sum(len(texts[problem]) for problem in read_in)
        kept += len(wanted) * layers * d_model * _FLOAT
    return Work(stage, times * rows, times * read, beside=FITTING, kept=times * kept)


def _all(splits: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([FIT, CHOOSE, *splits]))


def _at_values(
    stage: str, checkpoints: Sequence[Checkpoint], tasks: Sequence[Task], splits: Sequence[str], layers: int
) -> Work:
    rows = read = kept = 0
    for checkpoint, task in zip(checkpoints, tasks, strict=True):
        for split in _all(splits):
            located = locate_values(checkpoint, task.split(split))
            with_values = set(located.problem.tolist())
            rows += len(with_values)
            read += sum(len(located.tokens[problem]) for problem in with_values)
            kept += len(located.position) * layers * checkpoint.d_model * _FLOAT
    return Work(stage, rows, read, why=_UNREAD, beside=FITTING, kept=kept)
