"""What asking a checkpoint a task's problems reads and writes, for the plan of a job."""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from undertext.activations.checkpoint import Checkpoint
from undertext.core.plan import Trial, Work
from undertext.tasks.draws import drawn
from undertext.tasks.task import Problem, Task, continuations

TRIED = 64
"""Most prompts that rates are measured with."""
CHECKS, CHECKED = 4, 10
"""Texts, each so many tokens longer than the longest, by which a way to score branches is checked first
(`activations.branch_methods.holds`)."""
_counted: "WeakKeyDictionary[Checkpoint, dict[str, int]]" = WeakKeyDictionary()


def tokens_of(checkpoint: Checkpoint, texts: Sequence[str]) -> list[int]:
    """How many tokens each text is; each is counted once. UserError for one that does not fit the context."""
    known = _counted.setdefault(checkpoint, {})
    new = list(dict.fromkeys(text for text in texts if text not in known))
    known |= dict(zip(new, map(len, checkpoint.encode(new)), strict=True))
    return [known[text] for text in texts]


def answering(
    stage: str,
    checkpoint: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    *,
    prompts: Sequence[str] | None = None,
    samples: int = 1,
    why: str = "",
) -> Work:
    """Answers to these problems, so many of each; `prompts`, one a problem, stand in for their own.

    `why` says why there may be fewer of them.
    """
    asked = [problem.prompt for problem in problems] if prompts is None else list(prompts)
    if task.grader.kind == "likelihood":
        return scoring(stage, checkpoint, problems, asked, why)
    lengths = tokens_of(checkpoint, asked)
    rows = samples * len(asked)
    return Work(
        stage,
        rows,
        samples * sum(lengths),
        rows * most_written(task),
        why,
        shared=samples > 1 or len(set(asked)) < len(asked),
        longest=max(lengths, default=0),
    )


def most_written(task: Task) -> int:
    """Most tokens that an output has."""
    return 0 if task.grader.kind == "likelihood" else task.max_new_tokens


def scoring(
    stage: str, checkpoint: Checkpoint, problems: Sequence[Problem], prompts: Sequence[str], why: str = ""
) -> Work:
    """Each problem's choices, scored after its prompt."""
    lengths = choice_tokens(checkpoint, problems, prompts)
    longest = max(map(max, lengths), default=0)
    read = sum(map(sum, lengths)) + CHECKS * (longest + CHECKED)
    return Work(stage, sum(map(len, lengths)), read, 0, why, shared=True)


def choice_tokens(
    checkpoint: Checkpoint, problems: Sequence[Problem], prompts: Sequence[str]
) -> list[list[int]]:
    """How many tokens each prompt is with each of its choices."""
    return [
        tokens_of(checkpoint, [prompt + each for each in continuations(problem, prompt)])
        for problem, prompt in zip(problems, prompts, strict=True)
    ]


def trial_of(
    checkpoint: Checkpoint, task: Task, problems: Sequence[Problem], seed: int, batch_size: int
) -> Trial:
    """Rates of asking these problems, measured with some of them, the longest included."""
    some = drawn(problems, seed, TRIED)
    longest = max(problems, key=lambda problem: tokens_of(checkpoint, [problem.prompt])[0])
    prompts = list(dict.fromkeys([longest.prompt, *(problem.prompt for problem in some)]))
    return Trial(checkpoint, prompts, batch_size, task.max_new_tokens, tuple(task.stop))
