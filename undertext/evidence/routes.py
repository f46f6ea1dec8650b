"""Five ways to get at what a checkpoint may hold already, each with one grade a problem."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from activations.capture import capture
from activations.checkpoint import Checkpoint
from activations.errors import UserError
from activations.generation import generate
from activations.hookpoint import HookPoint
from steering import Setting, SteeringVector, Sweep, fit_vector, mean_norm, sweep
from steering.cot_decoding import cot_decode
from undertext.config import RoutesConfig
from undertext.evidence.recovery import grading
from undertext.statistics import pass_at_k
from undertext.tasks.grade import grade
from undertext.tasks.grader import Grader
from undertext.tasks.sites import reading_text
from undertext.tasks.spans import join
from undertext.tasks.task import Problem, Task, fill

Kind = Literal["vector", "given direction", "decoding", "prompt", "training"]
FITTED = "bias-only vector, fitted"
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


def decoded(
    checkpoint: Checkpoint, task: Task, problems: Sequence[Problem], config: RoutesConfig
) -> list[Outcome]:
    """CoT-decoding, samples by majority, and pass@k: all with `budget` rows a problem."""
    k, prompts = config.budget, [problem.prompt for problem in problems]
    branches = cot_decode(
        checkpoint,
        prompts,
        lambda text: find_answer(task.grader, text),
        max_new_tokens=task.max_new_tokens,
        k=k,
        stop=task.stop,
        batch_size=config.batch_size,
    )
    out = generate(
        checkpoint,
        prompts,
        max_new_tokens=task.max_new_tokens,
        stop=task.stop,
        samples=k,
        temperature=config.temperature,
        seed=config.seed,
        batch_size=config.batch_size,
    )
    sampled = [out.texts[i : i + k] for i in range(0, len(out.texts), k)]
    passed = np.array(
        [
            [_right(task, text, problem) for text in row]
            for row, problem in zip(sampled, problems, strict=True)
        ]
    )
    drawn = sum(map(len, out.tokens)) / len(problems)
    told = branches.written / len(problems)
    by_max = [row[i] for row, i in zip(branches.texts, branches.by_max(), strict=True)]
    by_sum = [row[i] for row, i in zip(branches.texts, branches.by_sum(), strict=True)]
    voted = [_majority(task.grader, row) for row in sampled]
    nothing = "nothing"
    return [
        Outcome(f"CoT-decoding, widest of {k}", "decoding", _grades(task, by_max, problems), told, nothing),
        Outcome(f"CoT-decoding, summed over {k}", "decoding", _grades(task, by_sum, problems), told, nothing),
        Outcome(
            f"temperature {config.temperature:g}, majority of {k}",
            "decoding",
            _grades(task, voted, problems),
            drawn,
            nothing,
        ),
        Outcome(f"pass@{k}", "decoding", pass_at_k(passed, k).astype(float), drawn, "the right answer"),
    ]


def prompted(
    checkpoint: Checkpoint, task: Task, problems: Sequence[Problem], config: RoutesConfig, notes: list[str]
) -> list[Outcome]:
    """Solved examples before the problem, and each contrast's positive wording; greedy, one row a problem."""
    shown = [_solved(problem) for problem in task.split("train")[: config.shots]]
    solved = f"prompt, {config.shots} solved examples"
    ways = {solved: ["\n".join([*shown, each.prompt]) for each in problems]}
    ways |= {
        f"prompt, worded {contrast.name!r}": [fill(contrast.positive, each.prompt) for each in problems]
        for contrast in task.contrasts
    }
    outcomes = []
    for name, prompts in ways.items():
        try:
            out = generate(
                checkpoint,
                prompts,
                max_new_tokens=task.max_new_tokens,
                stop=task.stop,
                batch_size=config.batch_size,
            )
        except UserError as error:  # examples that do not fit the context
            notes.append(f"{name}: {error}")
            continue
        tokens = sum(map(len, out.tokens)) / len(problems)
        knows = "solved examples" if name == solved else "the wording"
        outcomes.append(Outcome(name, "prompt", _grades(task, out.texts, problems), tokens, knows))
    return outcomes


def fitted(
    checkpoint: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    layers: Sequence[int],
    config: RoutesConfig,
) -> Outcome:
    """A bias fitted to `train`'s solutions with the weights frozen, at the layer that does best on dev."""
    train = task.split("train")[: config.vector_problems]
    points = [HookPoint(layer, "resid_post") for layer in range(checkpoint.n_layers)]
    prompts = [problem.prompt for problem in train]
    norms = mean_norm(capture(checkpoint, prompts, points, "last").activations)
    targets = [_solved(problem)[len(problem.prompt) :] for problem in train]
    directions = fit_vector(
        checkpoint, prompts, targets, norms, layers=layers, steps=config.fit_steps, seed=config.seed
    )
    absent = frozenset(range(checkpoint.n_layers)) - set(layers)
    vector = SteeringVector(
        FITTED, directions, norms, "fitted, weights frozen", True, (checkpoint.name,), absent=absent
    )
    doses = vector.doses.tolist()
    settings = [Setting(FITTED, (layer,), doses[layer]) for layer in layers]

    def run(some: Sequence[Problem], those: Sequence[Setting]) -> Sweep:
        return sweep(
            checkpoint,
            [problem.prompt for problem in some],
            those,
            [vector],
            grading(task, some),
            max_new_tokens=task.max_new_tokens,
            stop=task.stop,
            batch_size=config.batch_size,
        )

    on_dev = run(task.split("dev")[: config.search_problems], settings).accuracy()
    out = run(problems, [settings[int(on_dev.argmax())]])
    tokens = float(out.written.sum()) / len(problems)
    return Outcome(FITTED, "training", out.lenient[0].numpy().astype(float), tokens, "solutions of train")


def kappa(a: Bool[ndarray, " problem"], b: Bool[ndarray, " problem"]) -> float:
    """Cohen's kappa of which problems are right (Cohen 1960); NaN where chance alone agrees on all."""
    agree = float((a == b).mean())
    chance = float(a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean()))
    return float("nan") if chance == 1 else (agree - chance) / (1 - chance)


def _solved(problem: Problem) -> str:
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
