"""What a checkpoint does: greedy accuracy a split, and whether sampling finds answers that greedy misses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from activations.checkpoint import Checkpoint
from activations.generation import generate
from undertext.config import CompareConfig, SteerConfig
from undertext.evidence.measured import Measured
from undertext.statistics import pass_at_k
from undertext.tasks.grade import grade
from undertext.tasks.task import Problem, Task

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Behaviour:
    """Greedy outputs of one checkpoint on a split's problems, graded."""

    texts: list[str]
    strict: Bool[ndarray, " problem"]
    lenient: Bool[ndarray, " problem"]


def answers(
    checkpoint: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    config: SteerConfig,
    progress: Progress | None = None,
) -> Behaviour:
    """What `checkpoint` answers greedily to each problem."""
    out = generate(
        checkpoint,
        [problem.prompt for problem in problems],
        max_new_tokens=task.max_new_tokens,
        stop=task.stop,
        batch_size=config.batch_size,
        progress=progress,
    )
    grades = [
        grade(task.grader, text, problem.answer) for text, problem in zip(out.texts, problems, strict=True)
    ]
    return Behaviour(out.texts, np.array([g.strict for g in grades]), np.array([g.lenient for g in grades]))


def chance_right(task: Task, problems: Sequence[Problem], texts: Sequence[str]) -> Float[ndarray, " problem"]:
    """How often each output would be right for some other problem: its worth knowing nothing of its own.

    The share of the *other* problems, among `problems`, whose answer the output matches.
    """
    counts: dict[str, int] = {}
    for problem in problems:
        counts[problem.answer] = counts.get(problem.answer, 0) + 1
    right: dict[tuple[str, str], bool] = {}
    out = np.zeros(len(texts))
    for i, (problem, text) in enumerate(zip(problems, texts, strict=True)):
        for answer, count in counts.items():
            if (text, answer) not in right:
                right[text, answer] = grade(task.grader, text, answer).lenient
            if right[text, answer]:
                out[i] += count - (answer == problem.answer)
    return out / max(1, len(problems) - 1)


def sampled_line(
    checkpoint: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    gap: Sequence[int],
    config: CompareConfig,
    progress: Progress | None = None,
) -> Measured:
    """pass@k of the weaker checkpoint on the problems in the gap (indices into `problems`).

    Its null is what the same samples would pass by chance: each sample right with the share of other
    problems whose answer it matches.
    """
    k = config.samples
    chosen = [problems[i] for i in gap]
    repeated = [problem for problem in chosen for _ in range(k)]
    out = generate(
        checkpoint,
        [problem.prompt for problem in chosen],
        max_new_tokens=task.max_new_tokens,
        stop=task.stop,
        samples=k,
        temperature=config.temperature,
        seed=config.seed,
        batch_size=config.batch_size,
        progress=progress,
    )
    right = np.array(
        [grade(task.grader, t, p.answer).lenient for t, p in zip(out.texts, repeated, strict=True)]
    )
    chance = _chance_of_samples(task, problems, gap, out.texts, k)
    return Measured(
        name="behaviour",
        problems=np.asarray(gap),
        weaker=pass_at_k(right.reshape(-1, k), k).astype(float),
        stronger=np.ones(len(chosen)),
        null=1 - (1 - chance).prod(1),
        oracle="none",
        note=f"pass@{k} at temperature {config.temperature:g} on the {len(chosen)} problems in the gap; "
        "null: the same samples graded against other problems' answers",
    )


def _chance_of_samples(
    task: Task, problems: Sequence[Problem], gap: Sequence[int], texts: Sequence[str], k: int
) -> Float[ndarray, "n sample"]:
    """`chance_right` of each sample [gap problem, sample]."""
    columns = []
    for j in range(k):
        outputs = [""] * len(problems)
        for i, g in enumerate(gap):
            outputs[g] = texts[i * k + j]
        columns.append(chance_right(task, problems, outputs)[list(gap)])
    return np.stack(columns, -1)
