"""Grading by a generator of reasoning-gym (kind `reasoning_gym`): its own `score_answer` says what is right.

Some generators hand an answer to `eval` or to sympy's `parse_expr`, which run what they read. So answers are
scored in a process of their own, in which `eval` reads plain values alone and `parse_expr` formulas, and
which is ended where an answer takes too long: such an answer is wrong.
"""

import ast
import math
import re
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from undertext.activations.errors import UserError, install
from undertext.activations.files import one_line
from undertext.core.printable import printable, shown
from undertext.tasks.numbers import numbers_in, parse_number
from undertext.tasks.worker import TooLong, Worker

SECONDS = 10.0
"""Time that one answer may take to score; one that takes longer is wrong."""
LONGEST = 20_000
"""Characters of an answer that is scored; a longer one is wrong."""
_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_STATED = re.compile(r"(?i)\banswer(?: is|:)[ \t:]*(\S[^\n]*)")
_RUNS = re.compile(r"__|\.\s*[A-Za-z_]|[\"'\\:;=\[\]{}@]|\b(?:lambda|import|exec|eval)\b")
"""What a formula has no use for, and code that is to do something cannot do without."""
_MOST_FORMULA = 1000


class Scored(NamedTuple):
    """What a generator says of an output."""

    strict: bool
    """The whole output, trimmed, has the score 1."""
    lenient: bool
    """What is taken as the answer in the output has the score 1, or the whole output has."""
    answer: str | None = None
    """What is taken as the answer; None without any."""


class ReasoningGymScorer:
    """Grades outputs by the `score_answer` of one generator. UserError for a name that there is not."""

    def __init__(self, dataset: str, seconds: float = SECONDS) -> None:
        generator(dataset)
        self.dataset, self._seconds = dataset, seconds
        self._worker = Worker(lambda: _scorer(dataset))
        self._known: dict[tuple[str, str, str], float] = {}

    def __call__(self, output: str, problem: Any) -> Scored:
        """What the generator says of an output to a `Problem`, its own or another."""
        taken = answer_in(output, problem.answer)
        strict = self._scores(output.strip(), problem)
        return Scored(strict, strict or (taken is not None and self._scores(taken, problem)), taken)

    def close(self) -> None:
        """End the process; the next output starts another one."""
        self._worker.close()

    def _scores(self, answer: str, problem: Any) -> bool:
        if not answer or len(answer) > LONGEST:
            return False
        if (key := (answer, problem.id, problem.answer)) not in self._known:
            asked = (answer, problem.prompt, problem.answer, problem.metadata)
            try:
                self._known[key] = self._worker.ask(asked, self._seconds)
            except TooLong:
                self._known[key] = 0.0
        return self._known[key] >= 1


@lru_cache(maxsize=16)
def scorer_of(dataset: str) -> ReasoningGymScorer:
    """The scorer of a generator, one for all who ask: its process is started once."""
    return ReasoningGymScorer(dataset)


def answer_in(output: str, right: str) -> str | None:
    """What is taken as the answer in an output; `right` tells only whether a number is asked for.

    What the last `<answer>` holds; otherwise the last number where one is asked for; otherwise what follows
    the last "answer is" or "answer:", and failing that the last line. None where there is none of them.
    """
    if tagged := _TAGGED.findall(output):
        return str(tagged[-1]).strip() or None
    if parse_number(right) is not None:
        numbers = [number for number in numbers_in(output) if not number.part]
        last = max(numbers, key=lambda number: number.end, default=None)
        return None if last is None else output[last.start : last.end].strip()
    if stated := _STATED.findall(output):
        return str(stated[-1]).strip()
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else None


def generator(name: str, options: Mapping[str, Any] | None = None) -> Any:
    """The generator `name` of reasoning-gym, with these settings. UserError where there is none such."""
    try:
        import reasoning_gym
        from reasoning_gym.factory import DATASETS
    except ImportError as error:
        raise UserError(
            "tasks of reasoning-gym need reasoning-gym, which is not installed: " + install("reasoning-gym")
        ) from error
    if name not in DATASETS:
        near = [known for known in sorted(DATASETS) if name.casefold() in known or known in name.casefold()]
        known = ", ".join(near) or f"{len(DATASETS)} names, such as chain_sum and countdown"
        raise UserError(f"expected a generator of reasoning-gym ({known}), got {shown(name)}")
    try:
        return reasoning_gym.create_dataset(name, **(options or {}))
    except (TypeError, ValueError, AssertionError) as error:
        valid = ", ".join(getattr(DATASETS[name][1], "__dataclass_fields__", {}))
        raise UserError(
            f"expected settings that the generator {name} has ({valid}), got: {one_line(error)}"
        ) from error


def constants_of(name: str) -> Mapping[str, Any]:
    """What stands in the module of a generator, by name. UserError where there is none such."""
    return vars(sys.modules[type(generator(name)).__module__])


def score(made: Any, answer: str, question: str, right: str, metadata: Mapping[str, Any]) -> float:
    """The score of an answer by a generator's `score_answer`, 0 where that fails."""
    try:
        found = float(
            made.score_answer(answer, {"question": question, "answer": right, "metadata": metadata})
        )
    except Exception:  # generators raise whatever an odd answer leads to
        return 0.0
    return found if math.isfinite(found) else 0.0


def _scorer(dataset: str) -> Callable[[tuple[str, str, str, dict[str, Any]]], float]:
    """Scores answers, in a process of its own."""
    made = generator(dataset)
    _disarm()
    return lambda asked: score(made, *asked)


def _disarm() -> None:
    """Have reasoning-gym's modules evaluate plain values and formulas alone."""
    import sympy
    from sympy.parsing import sympy_parser

    real = sympy_parser.parse_expr

    def parse_expr(text: str, *args: Any, **options: Any) -> Any:
        if len(text) > _MOST_FORMULA or _RUNS.search(text):
            raise ValueError(f"expected a formula, got {printable(text, 60)}")
        return real(text, *args, **options)

    for name, module in list(sys.modules.items()):
        if name.startswith("reasoning_gym."):
            module.__dict__["eval"] = ast.literal_eval
            module.__dict__["exec"] = None
            if getattr(module, "parse_expr", None) is real:
                module.__dict__["parse_expr"] = parse_expr
    sympy.parse_expr = parse_expr
