"""Generate and grade: every way in which a checkpoint is asked a task's problems without training.

One greedy row a problem (`greedy`), many sampled rows (`sampled`), or CoT-decoding (`cot_decoded`). Prompts
may differ from the problems' own, and whatever they end in is prefilled: the outputs are graded all the same.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.generation import generate
from undertext.activations.interventions import Intervention
from undertext.steering.cot_decoding import cot_decode
from undertext.tasks.grade import Grader, grade
from undertext.tasks.spans import join
from undertext.tasks.task import Problem, Task
from undertext.tasks.value_positions import reading_text

Progress = Callable[[int], None]
"""Called with the number of rows finished since its last call."""
_NUMBER = r"([-+]?\d[\d.,]*)"
_WORD = r"(\S+)(?=\s*$)"


@dataclass(frozen=True, eq=False)
class Answers:
    """One output a problem, graded."""

    texts: list[str]
    strict: Bool[ndarray, " problem"]
    lenient: Bool[ndarray, " problem"]
    tokens: Float[ndarray, " problem"]
    """Number of tokens written."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Several outputs a problem, leniently graded."""

    texts: list[list[str]]
    """`texts[problem][sample]`."""
    right: Bool[ndarray, "problem sample"]
    tokens: Int[ndarray, "problem sample"]
    """Number of tokens written."""


@dataclass(frozen=True, eq=False)
class CotDecoded:
    """CoT-decoding's choice among its branches, by both of its ways to choose."""

    widest: Answers
    """The branch whose answer has the widest margin."""
    summed: Answers
    """The answer with the largest sum of margins. `tokens` of both is the mean over problems of what all
    branches of a problem wrote."""


def greedy(
    checkpoint: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    *,
    prompts: Sequence[str] | None = None,
    acting: Sequence[Intervention] = (),
    batch_size: int = 512,
    progress: Progress | None = None,
) -> Answers:
    """What `checkpoint` answers greedily to each problem.

    `prompts`, one a problem, stand in for the problems' own; `acting` are interventions on every row.
    """
    out = generate(
        checkpoint,
        [problem.prompt for problem in problems] if prompts is None else prompts,
        max_new_tokens=task.max_new_tokens,
        stop=task.stop,
        interventions=[acting] * len(problems) if acting else None,
        batch_size=batch_size,
        progress=progress,
    )
    return _graded(task, problems, out.texts, [len(tokens) for tokens in out.tokens])


def sampled(
    checkpoint: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    *,
    samples: int,
    temperature: float,
    seed: int,
    batch_size: int = 512,
    progress: Progress | None = None,
) -> Samples:
    """So many `samples` of each problem, at a temperature."""
    out = generate(
        checkpoint,
        [problem.prompt for problem in problems],
        max_new_tokens=task.max_new_tokens,
        stop=task.stop,
        samples=samples,
        temperature=temperature,
        seed=seed,
        batch_size=batch_size,
        progress=progress,
    )
    repeated = [problem for problem in problems for _ in range(samples)]
    right = [grade(task.grader, t, p.answer).lenient for t, p in zip(out.texts, repeated, strict=True)]
    written = [len(tokens) for tokens in out.tokens]
    return Samples(
        [out.texts[i : i + samples] for i in range(0, len(out.texts), samples)],
        np.array(right, bool).reshape(-1, samples),
        np.array(written, int).reshape(-1, samples),
    )


def cot_decoded(
    checkpoint: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    *,
    branches: int,
    batch_size: int = 512,
    progress: Progress | None = None,
) -> CotDecoded:
    """CoT-decoding (Wang and Zhou, arXiv 2402.10200) with so many branches a problem."""
    out = cot_decode(
        checkpoint,
        [problem.prompt for problem in problems],
        lambda text: find_answer(task.grader, text),
        max_new_tokens=task.max_new_tokens,
        k=branches,
        stop=task.stop,
        batch_size=batch_size,
        progress=progress,
    )
    each = [out.written / len(problems)] * len(problems)

    def chosen(places: Sequence[int]) -> Answers:
        return _graded(task, problems, [row[i] for row, i in zip(out.texts, places, strict=True)], each)

    return CotDecoded(chosen(out.by_max()), chosen(out.by_sum()))


def majority(task: Task, problems: Sequence[Problem], samples: Samples) -> Answers:
    """Of each problem's samples the first with the commonest answer; the first where none has an answer."""
    texts = [_majority(task.grader, row) for row in samples.texts]
    return _graded(task, problems, texts, samples.tokens.sum(1).tolist())


def grading(task: Task, problems: Sequence[Problem]) -> Callable[[int, str], tuple[bool, bool]]:
    """Grades texts by their problem's index, strictly and leniently."""

    def right(i: int, text: str) -> tuple[bool, bool]:
        strict, lenient = grade(task.grader, text, problems[i].answer)
        return strict, lenient

    return right


def chance_right(task: Task, problems: Sequence[Problem], texts: Sequence[str]) -> Float[ndarray, " problem"]:
    """How often each output would be right for some other problem: its worth knowing nothing of its own.

    The share of the *other* problems, among `problems`, whose answer the output matches.
    """
    counts = Counter(problem.answer for problem in problems)
    right: dict[tuple[str, str], bool] = {}
    out = np.zeros(len(texts))
    for i, (problem, text) in enumerate(zip(problems, texts, strict=True)):
        for answer, count in counts.items():
            if (text, answer) not in right:
                right[text, answer] = grade(task.grader, text, answer).lenient
            if right[text, answer]:
                out[i] += count - (answer == problem.answer)
    return out / max(1, len(problems) - 1)


def find_answer(grader: Grader, text: str) -> tuple[int, int] | None:
    """The characters of the answer in what was written, whatever the right one is; None without any.

    The last match of the grader's pattern; the last number; for the other kinds the last word.
    """
    pattern = grader.pattern or (_NUMBER if grader.kind == "number" else _WORD)
    spans = [match.span(1) for match in re.finditer(pattern, text) if match[0] and match[1]]
    return spans[-1] if spans else None


def same_answer(task: Task, problems: Sequence[Problem], texts: Sequence[str], share: float) -> str | None:
    """The one answer that is given to at least this share of the problems; None without one.

    None as well where the right answers are as much alike. An output without an answer counts as a whole.
    """
    spans = [find_answer(task.grader, text) for text in texts]
    given = [text if span is None else text[slice(*span)] for text, span in zip(texts, spans, strict=True)]
    (answer, count), *_ = Counter(given).most_common(1)
    ((_, right),) = Counter(problem.answer for problem in problems).most_common(1)
    return answer if count >= share * len(texts) and count > right else None


def solved(problem: Problem) -> str:
    """A problem with its solution: its trace where it has one, otherwise its answer."""
    text = reading_text(problem)
    return text if text != problem.prompt else join(problem.prompt, problem.answer)


def _graded(
    task: Task, problems: Sequence[Problem], texts: Sequence[str], tokens: Sequence[int] | Sequence[float]
) -> Answers:
    grades = [grade(task.grader, text, p.answer) for text, p in zip(texts, problems, strict=True)]
    return Answers(
        list(texts),
        np.array([each.strict for each in grades], bool),
        np.array([each.lenient for each in grades], bool),
        np.array(tokens, float),
    )


def _majority(grader: Grader, texts: Sequence[str]) -> str:
    spans = [find_answer(grader, text) for text in texts]
    answers = [None if span is None else text[slice(*span)] for text, span in zip(texts, spans, strict=True)]
    counts = Counter(answer for answer in answers if answer is not None)
    return texts[answers.index(counts.most_common(1)[0][0])] if counts else texts[0]
