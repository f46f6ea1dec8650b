"""What going on from right steps, and reading the answer along traces, read before they are done."""

from collections.abc import Iterable, Sequence

from undertext.activations.batching import batch_tokens_on
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.spans import tokens_before
from undertext.core.plan import Work
from undertext.core.terms import CHOOSE, FIT, ReaderKind
from undertext.measures.trace.along_works import output_along
from undertext.measures.trace.completion import MOST_TOKENS, SPARE
from undertext.measures.trace.continued import say_values, step_values
from undertext.measures.trace.ends import OTHERS, PLACES
from undertext.measures.trace.lens import LENS_STEPS, Answers
from undertext.probes.trace import TOGETHER
from undertext.tasks.task import Problem, Task
from undertext.tasks.value_positions import reading_text
from undertext.tasks.work import CHECKED, CHECKS

REPLACEMENTS = 3
"""Times that a checkpoint goes on after each of its traces: after the trace itself, and two in its place."""
JOINED = 2
"""Most tokens more that a prompt and an output have as one text than apart."""
_FLOAT = 4
"""Bytes of an activation that is kept."""


def continued_work(
    stage: str, read_by: Sequence[tuple[Checkpoint, Task]], split: str, *, shared_tokens: bool
) -> Work:
    """The traces of a split, or where its steps say no value the stronger's outputs, read once by each.

    Outputs in words are read once more by the first of these, after other problems' prompts.
    """
    rows = read = 0
    own = all(say_values(task.split(split)) for _, task in read_by[:1])
    for checkpoint, task in read_by if own else [*read_by, *read_by[:1]]:
        problems = task.split(split)
        lengths = _of_steps(checkpoint, problems) if own else _of_outputs(checkpoint, task, problems)
        if not own and not shared_tokens:
            lengths = [checkpoint.n_ctx] * len(problems)
        rows, read = rows + len(lengths), read + sum(lengths)
    return Work(
        stage, rows, read, why="" if own else "outputs of the stronger are read as far as their steps"
    )


def reading_works(
    checkpoint: Checkpoint, task: Task, answers: Answers, readers: Sequence[ReaderKind], layers: int
) -> list[Work]:
    """The traces that each reader reads, and what it is fitted to or trained on."""

    def lengths(problems: Iterable[Problem]) -> list[int]:
        texts = [(reading_text(problem), len(problem.prompt)) for problem in problems]
        return [len(tokens_before(checkpoint, text, [end])[0]) for text, end in texts]

    read = lengths(answers.problems)
    kept = min(TOGETHER, len(read)) * max(read) * layers * checkpoint.d_model * _FLOAT
    works = []
    for kind in readers:
        work = Work(kind.replace("_", " "), len(read), sum(read), kept=kept)
        if kind == "probe":
            said = lengths(each.problem for split in (FIT, CHOOSE) for each in answers.said[split])
            fitted = len(said) * layers * checkpoint.d_model * _FLOAT
            more = Work(work.stage, len(said), sum(said), kept=fitted)
            work = work.and_also(more)._replace(beside="fitting probes")
        elif kind == "tuned_lens":
            texts = [len(ids) for ids in checkpoint.encode([reading_text(p) for p in task.split(FIT)])]
            batch = min(sum(texts), max(batch_tokens_on(checkpoint.device), *texts))
            why = f"each of {LENS_STEPS} steps reads no more texts than fit in a batch"
            rows = LENS_STEPS * min(len(texts), batch)
            kept = batch * (checkpoint.n_layers + 1) * checkpoint.d_model * _FLOAT
            more = Work(work.stage, rows, LENS_STEPS * batch, why=why, kept=kept)
            work = work.and_also(more)._replace(beside="training a tuned lens")
        works.append(work)
    return works


def ends_work(stage: str, checkpoint: Checkpoint, task: Task, problems: Sequence[Problem], lead: str) -> Work:
    """Outputs to these problems, whose answers are scored along them and which are replaced."""
    texts = _of_outputs(checkpoint, task, problems)
    # After an output stand what comes before an answer, and an answer, which is no longer than an output.
    longest = [min(checkpoint.n_ctx, each + 2 * task.max_new_tokens) for each in texts]
    scored = output_along(stage, checkpoint, task, problems, lead, PLACES, problems)
    # Other problems' answers are scored before the first step: at worst each with all of its text.
    others = Work(stage, (1 + OTHERS) * len(texts), (1 + OTHERS) * sum(longest))
    checked = CHECKS * (max(longest, default=0) + CHECKED)
    replaced = Work(
        stage,
        REPLACEMENTS * len(texts),
        REPLACEMENTS * sum(longest) + checked,
        REPLACEMENTS * len(texts) * task.max_new_tokens,
        "outputs are read as long as they are, and answers where they give one",
        shared=True,
        longest=max(longest, default=0),
    )
    return replaced.and_also(scored).and_also(others)


def completion_work(stage: str, checkpoint: Checkpoint, problems: Sequence[Problem]) -> Work:
    """The first parts of these problems' texts, and what is written on after them."""
    lengths = [len(ids) for ids in checkpoint.encode([problem.question for problem in problems])]
    most = min(MOST_TOKENS, max(lengths, default=0) + SPARE)
    why = "of a problem's text only the first part is read, and a long rest is not asked for"
    return Work(
        stage, len(lengths), sum(lengths) + JOINED * len(lengths), most * len(lengths), why, shared=True,
        longest=max(lengths, default=0),
    )  # fmt: skip


def tokens_work(
    stage: str, checkpoint: Checkpoint, task: Task, problems: Sequence[Problem], outputs: int, *, own: bool
) -> Work:
    """So many outputs a problem, each read once; without `own`, some are written in another's tokens."""
    lengths = _of_outputs(checkpoint, task, problems) if own else [checkpoint.n_ctx] * len(problems)
    why = "outputs are read as long as they are, and a steered one where something was steered"
    return Work(stage, outputs * len(lengths), outputs * sum(lengths), why=why)


def _of_steps(checkpoint: Checkpoint, problems: Sequence[Problem]) -> list[int]:
    """How far each trace is read: up to the last value that one of its steps says."""
    last: dict[int, int] = {}
    for value in step_values(checkpoint, problems)[1]:
        last[value.problem] = max(last.get(value.problem, 0), *value.places)
    return list(last.values())


def _of_outputs(checkpoint: Checkpoint, task: Task, problems: Sequence[Problem]) -> list[int]:
    prompts = checkpoint.encode([problem.prompt for problem in problems])
    return [min(checkpoint.n_ctx, len(ids) + task.max_new_tokens + JOINED) for ids in prompts]
