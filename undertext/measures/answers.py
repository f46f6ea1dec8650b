"""Generate and grade: every way in which a checkpoint is asked a task's problems without training.

One greedy row a problem (`greedy`), many sampled rows (`sampled`), or CoT-decoding (`cot_decoded`). Prompts
may differ from the problems' own, and whatever they end in is prefilled: the outputs are graded all the same.

An output is unfinished where it was cut at `max_new_tokens` before it plainly gave its answer. What stands at
the cut is a number on the way to an answer, or half of one: an unfinished output counts as wrong, and as
unfinished.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.generation import generate
from undertext.activations.interventions import Intervention
from undertext.core.statistics import Clusters
from undertext.steering.cot_decoding import cot_decode
from undertext.tasks.draws import clusters, seeds
from undertext.tasks.grade import Grade, Grader, grade, matches_in, meant, said
from undertext.tasks.numbers import numbers_in
from undertext.tasks.spans import join
from undertext.tasks.task import Problem, Task

Progress = Callable[[int], None]
"""Called with the number of rows finished since its last call."""
_WORD = re.compile(r"\S+(?=\s*$)")
REPEATS = 4
"""Times that the end of an output repeats itself before it counts as going round in circles."""


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
    return _graded(task, problems, out.texts, [len(tokens) for tokens in out.tokens], out.cut)


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

    A problem's samples hang on the seed and on its id: whatever stands beside it, and wherever.
    """
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
    repeated = [problem for problem in problems for _ in range(samples)]
    graded = _graded(task, repeated, out.texts, [len(tokens) for tokens in out.tokens], out.cut)
    return Samples(
        [out.texts[i : i + samples] for i in range(0, len(out.texts), samples)],
        graded.lenient.reshape(-1, samples),
        graded.tokens.astype(int).reshape(-1, samples),
        graded.unfinished.reshape(-1, samples),
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
        return _graded(task, problems, texts, each, cut)

    return CotDecoded(chosen(out.by_max()), chosen(out.by_sum()))


def majority(task: Task, problems: Sequence[Problem], samples: Samples) -> Answers:
    """Of each problem's samples the first with the commonest answer; the first where none has an answer.

    Unfinished samples have no vote.
    """
    grades = OutputGrader(task)
    chosen = []
    for texts, unfinished in zip(samples.texts, samples.unfinished.tolist(), strict=True):
        spans = [
            None if cut else grades.find(text, False) for text, cut in zip(texts, unfinished, strict=True)
        ]
        found = [
            None if span is None else text[slice(*span)] for span, text in zip(spans, texts, strict=True)
        ]
        counts = Counter(answer for answer in found if answer is not None)
        chosen.append(found.index(counts.most_common(1)[0][0]) if counts else 0)
    texts = [row[i] for row, i in zip(samples.texts, chosen, strict=True)]
    cut = [bool(row[i]) for row, i in zip(samples.unfinished, chosen, strict=True)]
    return _graded(task, problems, texts, samples.tokens.sum(1).tolist(), cut)


class OutputGrader:
    """Grades a task's outputs, also those that were cut."""

    def __init__(self, task: Task) -> None:
        self.grader = task.grader
        answers = sorted({problem.answer.strip() for problem in task.problems})
        longer = {one for one, other in pairwise(answers) if other.startswith(one)}
        self._whole = frozenset(answers) - longer

    def __call__(self, text: str, answer: str, cut: bool = False) -> Grade:
        """The grade of a text; `cut` says that it was cut at `max_new_tokens`."""
        return Grade(False, False) if self.unfinished(text, cut) else grade(self.grader, text, answer)

    def unfinished(self, text: str, cut: bool = True) -> bool:
        """Whether a text was cut before it had plainly given its answer.

        Plainly given is an answer that is the whole text, or all of the pattern's one match, and that no
        other answer of the task begins with; one that the pattern finds before the text's end, and no other
        beside it; and whatever a text holds that goes round in circles, which more tokens would not change.
        """
        if not cut or circles(text):
            return False
        if self.grader.kind == "choice":
            return not any(grade(self.grader, text, letter).strict for letter in self._whole)
        if self.grader.kind != "regex":
            return text.strip() not in self._whole
        matches = matches_in(self.grader, text)
        found = {(match.groups[0] or "").strip() for match in matches}
        if len(found) != 1:
            return True
        return matches[-1].end == len(text) and not found <= self._whole

    def find(self, text: str, cut: bool) -> tuple[int, int] | None:
        """The characters of the answer in what was written; None where there is none, or it is unfinished."""
        return None if self.unfinished(text, cut) else find_answer(self.grader, text)


def grading(task: Task, problems: Sequence[Problem]) -> Callable[[int, str, bool], Grade]:
    """Grades texts by their problem's index, cut ones among them: as `sweep` and `halving` ask."""
    grader = OutputGrader(task)
    return lambda i, text, cut: grader(text, problems[i].answer, cut)


def circles(text: str) -> bool:
    """Whether the second half of a text, or more, says one thing over and over, `REPEATS` times at least."""
    half, n = (len(text) + 1) // 2, len(text)
    return n > 0 and any(
        text[n - max(half, REPEATS * p) + p :] == text[n - max(half, REPEATS * p) : n - p]
        for p in range(1, n // REPEATS + 1)
    )


def chance_right(
    task: Task,
    problems: Sequence[Problem],
    texts: Sequence[str],
    unfinished: Sequence[bool] | ndarray,
    among: Sequence[Problem] | None = None,
) -> Float[ndarray, " problem"]:
    """How often each output would be right for some other problem: its worth knowing nothing of its own.

    The share of the *other* problems, of `among` (None: of `problems`), whose answer the output matches;
    `among` holds the `problems` too. An unfinished output matches none.
    """
    counts = Counter(problem.answer for problem in (problems if among is None else among))
    by_key: dict[Hashable, set[str]] = defaultdict(set)
    for answer in counts:
        for key in meant(task.grader, answer):
            by_key[key].add(answer)
    keys: dict[str, frozenset[Hashable]] = {}
    out = np.zeros(len(texts))
    for i, (problem, text, cut) in enumerate(zip(problems, texts, unfinished, strict=True)):
        if not cut:
            if text not in keys:
                keys[text] = said(task.grader, text)
            matched = set().union(*(by_key.get(key, ()) for key in keys[text]))
            out[i] = sum(counts[answer] for answer in matched) - (problem.answer in matched)
    return out / max(1, counts.total() - 1)


def find_answer(grader: Grader, text: str) -> tuple[int, int] | None:
    """The characters of the answer in what was written, whatever the right one is; None without any.

    The last match of the grader's pattern; the last number; for the other kinds the last word.
    """
    if grader.kind == "regex":
        spans = [match.spans[0] for match in matches_in(grader, text)]
    elif grader.kind == "number":
        spans = sorted((n.end, n.start) for n in numbers_in(text) if not n.part)
        spans = [(start, end) for end, start in spans]
    else:
        spans = [match.span() for match in _WORD.finditer(text)]
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
    return join(problem.prompt, problem.solution)


def _graded(
    task: Task,
    problems: Sequence[Problem],
    texts: Sequence[str],
    tokens: Sequence[int] | Sequence[float],
    cut: Sequence[bool],
) -> Answers:
    grader = OutputGrader(task)
    unfinished = [grader.unfinished(text, at) for text, at in zip(texts, cut, strict=True)]
    grades = [grader(*each) for each in zip(texts, (p.answer for p in problems), cut, strict=True)]
    return Answers(
        list(texts),
        np.array([each.strict for each in grades], bool),
        np.array([each.lenient for each in grades], bool),
        np.array(tokens, float),
        np.array(unfinished, bool),
        clusters=clusters(problems),
    )
