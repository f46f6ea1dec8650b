"""Grading a task's outputs, also those that were cut, and what an output is worth that knows nothing.

An output is unfinished where it was cut at `max_new_tokens` before it plainly gave its answer. What stands at
the cut is a number on the way to an answer, or half of one: an unfinished output counts as wrong, and as
unfinished.

Where a task names the marks of its reasoning, what comes after the last closing mark is graded, and nothing
else. An output that opens its reasoning, or goes on with one that its prompt has opened, and never closes it
gives no answer. One without any mark is graded whole: a base may not know them.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from math import sqrt

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from undertext.activations.errors import UserError
from undertext.core.printable import printable
from undertext.tasks.choice import offered
from undertext.tasks.draws import drawn
from undertext.tasks.function import Graded
from undertext.tasks.grade import Grade, find_answer, grade, matches_in, meant, said
from undertext.tasks.math_answers import check_installed
from undertext.tasks.reasoning_gym import Scored, scorer_of
from undertext.tasks.task import Problem, Task

REPEATS = 4
"""Times that the end of an output repeats itself before it counts as going round in circles."""
OTHERS = 20
"""Other problems that an output is graded against to see its worth by chance, where a function grades."""


class OutputGrader:
    """Grades a task's outputs, also those that were cut.

    Raises UserError for kind `math` without math-verify, for kind `reasoning_gym` without reasoning-gym, and
    for kind `python` where no function was given.
    """

    def __init__(self, task: Task) -> None:
        self.grader = task.grader
        if self.grader.kind == "math":
            check_installed()
        self._function: Callable[[str, Problem], Graded | Scored] | None = task.function
        if self.grader.dataset is not None:
            self._function = scorer_of(self.grader.dataset)
        if self.grader.kind == "python" and self._function is None:
            raise UserError(
                f"task {printable(task.name)!r} is graded by a function (kind python), which a task does not "
                "name: expected --grader module:function, or open_task(..., grade=function), got none"
            )
        self._marks = task.reasoning
        opened = self._marks is not None and any(
            problem.prompt.rstrip().endswith(self._marks.open) for problem in task.problems
        )
        self._within = opened
        """Whether outputs begin within their reasoning."""
        self._letters: dict[str, str] = {}
        self.letters = "".join(sorted(set().union(*map(self.letters_of, task.problems))))
        answers = sorted({problem.answer.strip() for problem in task.problems})
        longer = {one for one, other in pairwise(answers) if other.startswith(one)}
        self._whole = frozenset(answers) - longer

    def __call__(self, text: str, problem: Problem, cut: bool = False, answer: str | None = None) -> Grade:
        """The grade of a text; `cut` says that it was cut at `max_new_tokens`, and `answer` stands in for the
        problem's own."""
        start = self.answer_start(text)
        if start is None or self.unfinished(text, cut):
            return Grade(False, False)
        text = text[start:]
        if self._function is not None:
            asked = problem if answer is None else problem.model_copy(update={"answer": answer})
            return Grade(*self._function(text, asked)[:2])
        right = problem.answer if answer is None else answer
        return grade(self.grader, text, right, self.letters_of(problem))

    def answer_start(self, text: str) -> int | None:
        """The character at which a text's answer begins, after its reasoning; None where that never ends."""
        if self._marks is None:
            return 0
        close = text.rfind(self._marks.close)
        if close >= 0:
            return close + len(self._marks.close)
        return None if self._within or self._marks.open in text else 0

    def letters_of(self, problem: Problem) -> str:
        """The letters that a problem offers (kind `choice`)."""
        if self.grader.kind != "choice":
            return ""
        if problem.id not in self._letters:
            self._letters[problem.id] = offered(problem.question, problem.choices, problem.answer)
        return self._letters[problem.id]

    def said(self, text: str, problem: Problem) -> frozenset[Hashable]:
        """What a text answers to a problem (`grade.said`)."""
        start = self.answer_start(text)
        return frozenset() if start is None else said(self.grader, text[start:], self.letters_of(problem))

    def taken(self, text: str, problem: Problem) -> str | None:
        """What is taken as the answer in a text, as it stands there; None without any."""
        start = self.answer_start(text)
        if start is None:
            return None
        text = text[start:]
        if self._function is not None:
            return self._function(text, problem).answer
        span = find_answer(self.grader, text, self.letters_of(problem))
        return None if span is None else text[slice(*span)]

    def unfinished(self, text: str, cut: bool = True) -> bool:
        """Whether a text was cut before it had plainly given its answer.

        Plainly given is an answer that is the whole text, or all of the pattern's one match, and that no
        other answer of the task begins with; one that the pattern (or a box) holds before the text's end, and
        no other beside it; and whatever a text holds that goes round in circles, which more tokens would not
        change. A choice by likelihood is whole. A text that was cut within its reasoning has given none.
        """
        if not cut or self.grader.kind == "likelihood" or circles(text):
            return False
        start = self.answer_start(text)
        if start is None:
            return True
        text = text[start:]
        if self.grader.kind == "choice":
            return not any(grade(self.grader, text, letter).strict for letter in self._whole)
        if not self.grader.asks_for_form:
            return text.strip() not in self._whole
        matches = matches_in(self.grader, text)
        found = {(match.groups[0] or "").strip() for match in matches}
        if len(found) != 1:
            return True
        boxed = self.grader.kind == "math" and self.grader.pattern is None  # a box that is closed is whole
        return not boxed and matches[-1].end == len(text) and not found <= self._whole

    def find(self, text: str, cut: bool) -> tuple[int, int] | None:
        """The characters of the answer in what was written; None where there is none, or it is unfinished."""
        start = self.answer_start(text)
        if start is None or self.unfinished(text, cut):
            return None
        span = find_answer(self.grader, text[start:], self.letters)
        return None if span is None else (span[0] + start, span[1] + start)


def grading(task: Task, problems: Sequence[Problem]) -> Callable[[int, str, bool], Grade]:
    """Grades texts by their problem's index, cut ones among them: as `sweep` and `halving` ask."""
    grader = OutputGrader(task)
    return lambda i, text, cut: grader(text, problems[i], cut)


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

    `chance_any` of the outputs one by one; an unfinished output matches no problem.
    """
    whole = [[] if cut else [text] for text, cut in zip(texts, unfinished, strict=True)]
    return chance_any(task, problems, whole, among)


def chance_any(
    task: Task,
    problems: Sequence[Problem],
    whole: Sequence[Sequence[str]],
    among: Sequence[Problem] | None = None,
    without: Sequence[Sequence[str]] | None = None,
) -> Float[ndarray, " problem"]:
    """How often some one of the outputs to a problem would be right for another problem.

    `whole` are each problem's finished outputs. The share of the *other* problems, of `among` (None: of
    `problems`), whose answer one of the outputs matches; `among` holds the `problems` too. With `without`,
    outputs known to be wrong, problems that one of these matches are no such others. Where a function
    grades, the share of `OTHERS` other problems, drawn by the outputs' problem (`chance_note` says the
    error). A choice by likelihood that another problem does not offer is worth a guess there.
    """
    every, grader = list(problems if among is None else among), OutputGrader(task)
    worth = {"python": _by_function, "reasoning_gym": _by_function, "likelihood": _by_choices}.get(
        task.grader.kind, _by_keys
    )
    values = worth(task, grader, every)
    wrong = [()] * len(whole) if without is None else without
    rows = zip(problems, whole, wrong, strict=True)
    return np.array([values(problem, each, out) if each else 0.0 for problem, each, out in rows])


Worth = Callable[[Problem, Sequence[str], Sequence[str]], float]
"""What texts written for a problem are worth together: how often one of them is right for another problem, of
those that none of the second texts is right for."""


def _by_keys(task: Task, grader: OutputGrader, every: Sequence[Problem]) -> Worth:
    counts = Counter(problem.answer for problem in every)
    by_key: dict[Hashable, set[str]] = defaultdict(set)
    for answer in counts:
        for key in meant(task.grader, answer):
            by_key[key].add(answer)
    keys: dict[tuple[str, str], frozenset[Hashable]] = {}

    def said(problem: Problem, text: str) -> frozenset[Hashable]:
        read = text, grader.letters_of(problem)
        if read not in keys:
            keys[read] = grader.said(text, problem)
        return keys[read]

    def others(problem: Problem, texts: Sequence[str]) -> set[str]:
        return set().union(*(by_key.get(key, ()) for text in texts for key in said(problem, text)))

    def worth(problem: Problem, texts: Sequence[str], wrong: Sequence[str]) -> float:
        left_out = others(problem, wrong)

        def count(answers: set[str]) -> int:
            return sum(counts[answer] for answer in answers) - (problem.answer in answers)

        left = counts.total() - 1 - count(left_out)
        return count(others(problem, texts) - left_out) / max(1, left)

    return worth


def _by_choices(task: Task, grader: OutputGrader, every: Sequence[Problem]) -> Worth:
    answers = Counter(problem.answer for problem in every)
    guess = {problem.id: 1 / max(1, len(problem.choices)) for problem in every}
    offering: dict[str, float] = defaultdict(float)
    for problem in every:
        for choice in set(problem.choices):
            offering[choice] += guess[problem.id]
    total = sum(guess.values())

    def by_chance(problem: Problem, text: str) -> float:
        elsewhere = total - offering[text] - (guess[problem.id] if text not in problem.choices else 0.0)
        return (answers[text] - (text == problem.answer) + elsewhere) / max(1, len(every) - 1)

    def worth(problem: Problem, texts: Sequence[str], wrong: Sequence[str]) -> float:
        # Another problem has one answer, so that the chances of different choices add up.
        right = sum(by_chance(problem, text) for text in dict.fromkeys(texts) if text not in wrong)
        left = 1.0 - sum(by_chance(problem, text) for text in dict.fromkeys(wrong))
        return min(1.0, right / max(1e-9, left))

    return worth


def _by_function(task: Task, grader: OutputGrader, every: Sequence[Problem]) -> Worth:
    def right(texts: Sequence[str], other: Problem) -> bool:
        return any(grader(text, other).lenient for text in dict.fromkeys(texts))

    def worth(problem: Problem, texts: Sequence[str], wrong: Sequence[str]) -> float:
        others = drawn((each for each in every if each.id != problem.id), _seed(problem.id), OTHERS)
        solved = [right(texts, each) for each in others if not right(wrong, each)]
        return float(np.mean(solved or [False]))

    return worth


def others_held_against(task: Task, problems: int) -> int:
    """How many other problems an output is held against, of so many, by `chance_any`."""
    return min(OTHERS, problems - 1) if task.grader.kind in ("python", "reasoning_gym") else problems - 1


def _seed(id: str) -> int:
    return sum(id.encode()) % 65_521


def chance_note(task: Task, outputs: int) -> str:
    """How exact `chance_right` of so many outputs is, as the end of a note; empty where it is exact."""
    if task.grader.kind not in ("python", "reasoning_gym") or len(task.problems) - 1 <= OTHERS:
        return ""
    error = 0.5 / sqrt(OTHERS * max(1, outputs))
    return f"; by {OTHERS} other problems an output, drawn with a seed: standard error at most {error:.3f}"
