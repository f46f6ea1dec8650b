"""Ways to get at what a checkpoint may hold already, nothing trained, each with one grade a problem."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.generation import generate
from undertext.activations.interventions import Intervention
from undertext.core.statistics import pass_at_k
from undertext.jobs.routes.config import RoutesConfig
from undertext.steering.cot_decoding import cot_decode
from undertext.tasks.grade import Grader, grade
from undertext.tasks.spans import join
from undertext.tasks.task import Problem, Task, fill
from undertext.tasks.value_positions import reading_text

Kind = Literal["unaided", "vector", "feature", "given direction", "control", "decoding", "prompt", "training"]
Progress = Callable[[int], None]
_NUMBER = r"([-+]?\d[\d.,]*)"
_WORD = r"(\S+)(?=\s*$)"


@dataclass(frozen=True)
class Outcome:
    """What one route got right."""

    name: str
    kind: Kind
    right: Float[ndarray, " problem"]
    """Leniently graded; for pass@k the share."""
    tokens: float
    """Written a problem, mean."""
    knows: str
    """What it was allowed to know."""
    training_tokens: int = 0
    """Tokens that were read or sampled to train it, all updates together."""

    @property
    def trained(self) -> bool:
        """Whether gradient descent had a part in it: a reference point, and no evidence of latency."""
        return self.kind == "training"


def find_answer(grader: Grader, text: str) -> tuple[int, int] | None:
    """The characters of the answer in what was written, whatever the right one is; None without any.

    The last match of the grader's pattern; the last number; for the other kinds the last word.
    """
    pattern = grader.pattern or (_NUMBER if grader.kind == "number" else _WORD)
    spans = [match.span(1) for match in re.finditer(pattern, text) if match[0] and match[1]]
    return spans[-1] if spans else None


def greedy(
    checkpoint: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    config: RoutesConfig,
    done: Progress | None = None,
    *,
    prompts: Sequence[str] | None = None,
    acting: Sequence[Intervention] = (),
) -> tuple[Float[ndarray, " problem"], float]:
    """Grades of one greedy row a problem, and tokens written a problem. `prompts` stand for the problems'."""
    out = generate(
        checkpoint,
        [problem.prompt for problem in problems] if prompts is None else prompts,
        max_new_tokens=task.max_new_tokens,
        stop=task.stop,
        interventions=[acting] * len(problems) if acting else None,
        batch_size=config.batch_size,
        progress=done,
    )
    return _grades(task, out.texts, problems), sum(map(len, out.tokens)) / len(problems)


def cot_decoded(
    checkpoint: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    config: RoutesConfig,
    done: Progress | None = None,
) -> list[Outcome]:
    """CoT-decoding with `budget` branches a problem, by its two ways to choose among them."""
    k = config.budget
    branches = cot_decode(
        checkpoint,
        [problem.prompt for problem in problems],
        lambda text: find_answer(task.grader, text),
        max_new_tokens=task.max_new_tokens,
        k=k,
        stop=task.stop,
        batch_size=config.batch_size,
        progress=done,
    )
    told = branches.written / len(problems)
    ways = {f"widest of {k}": branches.by_max(), f"summed over {k}": branches.by_sum()}
    chosen = {
        way: [row[i] for row, i in zip(branches.texts, places, strict=True)] for way, places in ways.items()
    }
    return [
        Outcome(f"CoT-decoding, {way}", "decoding", _grades(task, texts, problems), told, "nothing")
        for way, texts in chosen.items()
    ]


def sampled(
    checkpoint: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    config: RoutesConfig,
    done: Progress | None = None,
) -> list[Outcome]:
    """`budget` samples a problem: the majority's answer, and pass@k."""
    k = config.budget
    out = generate(
        checkpoint,
        [problem.prompt for problem in problems],
        max_new_tokens=task.max_new_tokens,
        stop=task.stop,
        samples=k,
        temperature=config.temperature,
        seed=config.seed,
        batch_size=config.batch_size,
        progress=done,
    )
    rows = [out.texts[i : i + k] for i in range(0, len(out.texts), k)]
    passed = np.array(
        [[_right(task, text, problem) for text in row] for row, problem in zip(rows, problems, strict=True)]
    )
    drawn = sum(map(len, out.tokens)) / len(problems)
    voted = _grades(task, [_majority(task.grader, row) for row in rows], problems)
    name = f"temperature {config.temperature:g}, majority of {k}"
    return [
        Outcome(name, "decoding", voted, drawn, "nothing"),
        Outcome(f"pass@{k}", "decoding", pass_at_k(passed, k).astype(float), drawn, "the right answer"),
    ]


def prompted(
    checkpoint: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    config: RoutesConfig,
    notes: list[str],
    done: Progress | None = None,
) -> list[Outcome]:
    """Solved examples before the problem, and each contrast's positive wording; greedy, one row a problem."""
    shown = [solved(problem) for problem in task.split("train")[: config.shots]]
    few_shot = f"prompt, {config.shots} solved examples"
    ways = {few_shot: ["\n".join([*shown, each.prompt]) for each in problems]}
    ways |= {
        f"prompt, worded {contrast.name!r}": [fill(contrast.positive, each.prompt) for each in problems]
        for contrast in task.contrasts
    }
    outcomes = []
    for name, prompts in ways.items():
        try:
            right, tokens = greedy(checkpoint, task, problems, config, done, prompts=prompts)
        except UserError as error:  # examples that do not fit the context
            notes.append(f"{name}: {error}")
            continue
        knows = "solved examples" if name == few_shot else "the wording"
        outcomes.append(Outcome(name, "prompt", right, tokens, knows))
    return outcomes


def kappa(a: Bool[ndarray, " problem"], b: Bool[ndarray, " problem"]) -> float:
    """Cohen's kappa of which problems are right (Cohen 1960); NaN where chance alone agrees on all."""
    agree = float((a == b).mean())
    chance = float(a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean()))
    return float("nan") if chance == 1 else (agree - chance) / (1 - chance)


def solved(problem: Problem) -> str:
    """A problem with its solution: its trace where it has one, otherwise its answer."""
    text = reading_text(problem)
    return text if text != problem.prompt else join(problem.prompt, problem.answer)


def _right(task: Task, text: str, problem: Problem) -> bool:
    return grade(task.grader, text, problem.answer).lenient


def _grades(task: Task, texts: Sequence[str], problems: Sequence[Problem]) -> Float[ndarray, " problem"]:
    return np.array([_right(task, *each) for each in zip(texts, problems, strict=True)], float)


def _majority(grader: Grader, texts: Sequence[str]) -> str:
    """The first of the texts whose answer is the commonest; the first text where none has an answer."""
    spans = [find_answer(grader, text) for text in texts]
    answers = [None if span is None else text[slice(*span)] for text, span in zip(texts, spans, strict=True)]
    counts = Counter(answer for answer in answers if answer is not None)
    return texts[answers.index(counts.most_common(1)[0][0])] if counts else texts[0]
