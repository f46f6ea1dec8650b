"""Generate and grade: every way in which a checkpoint is asked a task's problems without training.

One greedy row a problem (`greedy`), many sampled rows (`sampled`), or CoT-decoding (`cot_decoded`). Prompts
may differ from the problems' own, and whatever they end in is prefilled: the outputs are graded all the same.
Where a task's answers are chosen by likelihood, a checkpoint writes nothing: its output is the choice.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.choices import preferred, score_choices
from undertext.activations.generation import generate
from undertext.activations.interventions import Intervention
from undertext.core.statistics import Clusters
from undertext.steering.cot_decoding import cot_decode
from undertext.tasks.draws import clusters, seeds
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.spans import join
from undertext.tasks.task import Problem, Task, continuations

Progress = Callable[[int], None]
"""Called with the number of rows finished since its last call."""


@dataclass(frozen=True, eq=False)
class Answers:
    """One output a problem, graded."""

    texts: list[str]
    strict: Bool[ndarray, " problem"]
    lenient: Bool[ndarray, " problem"]
    tokens: Float[ndarray, " problem"]
    """Number of tokens written."""
    unfinished: Bool[ndarray, " problem"]
    """Cut at `max_new_tokens` before the answer was plainly given; such an output counts as wrong."""
    clusters: Clusters = field(default=None, kw_only=True)
    """The problems' groups (`tasks.draws.clusters`)."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Several outputs a problem, leniently graded."""

    texts: list[list[str]]
    """`texts[problem][sample]`."""
    right: Bool[ndarray, "problem sample"]
    tokens: Int[ndarray, "problem sample"]
    """Number of tokens written."""
    unfinished: Bool[ndarray, "problem sample"]
    """As of `Answers`."""

    def of(self, problems: Sequence[int]) -> "Samples":
        """Those of some of the problems."""
        rows = list(problems)
        texts = [self.texts[i] for i in rows]
        return Samples(texts, self.right[rows], self.tokens[rows], self.unfinished[rows])

    @staticmethod
    def together(parts: Sequence["Samples"]) -> "Samples":
        """Those of several lots of problems, one after another."""
        arrays = [(part.right, part.tokens, part.unfinished) for part in parts]
        right, tokens, unfinished = (np.concatenate(each) for each in zip(*arrays, strict=True))
        return Samples([texts for part in parts for texts in part.texts], right, tokens, unfinished)


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
    opening: str | Sequence[str] = "",
    acting: Sequence[Intervention] = (),
    batch_size: int = 512,
    progress: Progress | None = None,
) -> Answers:
    """What `checkpoint` answers greedily to each problem.

    `prompts`, one a problem, stand in for the problems' own; `opening`, one for all or one a problem, in
    which they end, counts as the beginning of their outputs. `acting` are interventions on every row.
    """
    asked = [problem.prompt for problem in problems] if prompts is None else prompts
    if task.grader.kind == "likelihood":
        chosen = choose(checkpoint, task, problems, asked, acting, progress=progress)
        return graded(task, problems, [row[0] for row in chosen.texts], chosen.tokens[:, 0].tolist(), [])
    out = generate(
        checkpoint,
        asked,
        max_new_tokens=task.max_new_tokens,
        stop=task.stop,
        interventions=[acting] * len(problems) if acting else None,
        batch_size=batch_size,
        progress=progress,
    )
    openings = [opening] * len(asked) if isinstance(opening, str) else opening
    texts = [
        begun + gap_between(checkpoint, prompt, tokens, text) + text if begun else text
        for begun, prompt, tokens, text in zip(openings, asked, out.tokens, out.texts, strict=True)
    ]
    return graded(task, problems, texts, [len(tokens) for tokens in out.tokens], out.cut)


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
    """So many `samples` of each problem, at a temperature.

    A problem's samples depend on the seed and on its id: whatever stands beside it, and wherever. Choices by
    likelihood are drawn by the softmax of their scores.
    """
    repeated = [problem for problem in problems for _ in range(samples)]
    if task.grader.kind == "likelihood":
        prompts = [problem.prompt for problem in problems]
        drawn = choose(
            checkpoint,
            task,
            problems,
            prompts,
            samples=samples,
            temperature=temperature,
            seed=seed,
            progress=progress,
        )
        right = [[t == p.answer for t in row] for p, row in zip(problems, drawn.texts, strict=True)]
        cut = np.zeros((len(problems), samples), bool)
        return Samples(drawn.texts, np.array(right, bool).reshape(cut.shape), drawn.tokens, cut)
    out = generate(
        checkpoint,
        [problem.prompt for problem in problems],
        max_new_tokens=task.max_new_tokens,
        stop=task.stop,
        samples=samples,
        temperature=temperature,
        seed=seeds(problems, seed),
        batch_size=batch_size,
        progress=progress,
    )
    own = graded(task, repeated, out.texts, [len(tokens) for tokens in out.tokens], out.cut)
    return Samples(
        [out.texts[i : i + samples] for i in range(0, len(out.texts), samples)],
        own.lenient.reshape(-1, samples),
        own.tokens.astype(int).reshape(-1, samples),
        own.unfinished.reshape(-1, samples),
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
    grades = OutputGrader(task)
    out = cot_decode(
        checkpoint,
        [problem.prompt for problem in problems],
        grades.find,
        max_new_tokens=task.max_new_tokens,
        k=branches,
        stop=task.stop,
        batch_size=batch_size,
        progress=progress,
    )
    each = [out.written / len(problems)] * len(problems)

    def chosen(places: Sequence[int]) -> Answers:
        texts = [row[i] for row, i in zip(out.texts, places, strict=True)]
        cut = [row[i] for row, i in zip(out.cut, places, strict=True)]
        return graded(task, problems, texts, each, cut)

    return CotDecoded(chosen(out.by_max()), chosen(out.by_sum()))


def majority(task: Task, problems: Sequence[Problem], samples: Samples) -> Answers:
    """Of each problem's samples the first with the commonest answer; the first where none has an answer.

    Unfinished samples have no vote.
    """
    grades = OutputGrader(task)
    chosen = []
    for problem, texts, unfinished in zip(problems, samples.texts, samples.unfinished.tolist(), strict=True):
        found = [
            None if cut else grades.taken(text, problem) for text, cut in zip(texts, unfinished, strict=True)
        ]
        counts = Counter(answer for answer in found if answer is not None)
        chosen.append(found.index(counts.most_common(1)[0][0]) if counts else 0)
    texts = [row[i] for row, i in zip(samples.texts, chosen, strict=True)]
    cut = [bool(row[i]) for row, i in zip(samples.unfinished, chosen, strict=True)]
    return graded(task, problems, texts, samples.tokens.sum(1).tolist(), cut)


class Choices(NamedTuple):
    """Choices by likelihood, `texts[problem][sample]`, and the number of their tokens."""

    texts: list[list[str]]
    tokens: Int[ndarray, "problem sample"]


def choose(
    checkpoint: Checkpoint,
    task: Task,
    problems: Sequence[Problem],
    prompts: Sequence[str],
    acting: Sequence[Intervention] = (),
    *,
    samples: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Choices:
    """The likeliest choice of each problem; at a temperature so many draws by the softmax of the scores."""
    offered = [problem.choices for problem in problems]
    scores = score_choices(
        checkpoint,
        prompts,
        [continuations(problem, prompt) for problem, prompt in zip(problems, prompts, strict=True)],
        [acting] * len(problems) if acting else None,
        progress=progress,
    )
    ranked = preferred(scores, offered, task.grader.normalise)
    places = np.zeros((len(problems), samples), int)
    for i, (own, stream) in enumerate(zip(ranked, seeds(problems, seed), strict=True)):
        if temperature:
            weights = np.exp((own - own.max()).double().numpy() / temperature)
            places[i] = np.random.default_rng(stream).choice(len(own), samples, p=weights / weights.sum())
        else:
            places[i] = int(own.argmax())
    texts = [[own[place] for place in row] for own, row in zip(offered, places.tolist(), strict=True)]
    tokens = [
        [sizes[place] for place in row] for sizes, row in zip(scores.sizes, places.tolist(), strict=True)
    ]
    if progress is not None and samples > 1:
        progress(len(problems) * (samples - 1))
    return Choices(texts, np.array(tokens, int).reshape(places.shape))


def same_answer(task: Task, problems: Sequence[Problem], texts: Sequence[str], share: float) -> str | None:
    """The one answer that is given to at least this share of the problems; None without one.

    None as well where the right answers are as much alike. An output without an answer counts as a whole.
    """
    grader = OutputGrader(task)
    taken = [grader.taken(text, problem) for text, problem in zip(texts, problems, strict=True)]
    given = [text if answer is None else answer for text, answer in zip(texts, taken, strict=True)]
    (answer, count), *_ = Counter(given).most_common(1)
    ((_, right),) = Counter(problem.answer for problem in problems).most_common(1)
    return answer if count >= share * len(texts) and count > right else None


COMMONEST = 0.9
"""Share of sampled answers from which they are one answer with some noise, and no guesses: who guesses
between two answers may well say one of them four times in five."""


def guesses(task: Task, problems: Sequence[Problem], samples: Samples, share: float) -> bool:
    """Whether sampled answers are given, at least this share of them, and differ: no answer is `COMMONEST`.

    A checkpoint whose likeliest answer is the same everywhere may guess, and is not broken: one that is, or
    that refuses, gives no answer when it is sampled either, or gives the same.
    """
    grader = OutputGrader(task)
    given = [
        grader.taken(text, problem)
        for problem, row, cuts in zip(problems, samples.texts, samples.unfinished.tolist(), strict=True)
        for text, cut in zip(row, cuts, strict=True)
        if not cut
    ]
    counts = Counter(answer for answer in given if answer is not None)
    enough = counts.total() >= share * samples.right.size
    return enough and max(counts.values(), default=0) < COMMONEST * counts.total()


def solved(problem: Problem) -> str:
    """A problem with its solution: its trace where it has one, otherwise its answer."""
    return join(problem.prompt, problem.solution)


def graded(
    task: Task,
    problems: Sequence[Problem],
    texts: Sequence[str],
    tokens: Sequence[int] | Sequence[float],
    cut: Sequence[bool],
) -> Answers:
    """Outputs, graded. `cut` says which were cut at `max_new_tokens`; empty: none."""
    grader = OutputGrader(task)
    cut = cut or [False] * len(texts)
    unfinished = [grader.unfinished(text, at) for text, at in zip(texts, cut, strict=True)]
    grades = [grader(*each) for each in zip(texts, problems, cut, strict=True)]
    return Answers(
        list(texts),
        np.array([each.strict for each in grades], bool),
        np.array([each.lenient for each in grades], bool),
        np.array(tokens, float),
        np.array(unfinished, bool),
        clusters=clusters(problems),
    )


def gap_between(checkpoint: Checkpoint, prompt: str, tokens: Sequence[int], text: str) -> str:
    """The white space between a prompt and its output that decoding the output alone does not give."""
    if not tokens or text[:1].isspace():
        return ""
    (ids,) = checkpoint.encode([prompt])
    head, whole = checkpoint.decode(ids), checkpoint.decode([*ids, tokens[0]])
    rest = whole[len(head) :] if whole.startswith(head) else ""
    return rest[: len(rest) - len(rest.lstrip())]
