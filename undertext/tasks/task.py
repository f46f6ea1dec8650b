"""What a task is: problems with answers, and how outputs are graded. docs/tasks.md documents each field.

Building any of these with something wrong raises pydantic's `ValidationError` (a `ValueError`);
`load_task` gathers all that is wrong in a folder into one `UserError` instead.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pydantic import (
    Field,
    PrivateAttr,
    field_validator,
    model_serializer,
)

from undertext.activations.errors import UserError
from undertext.core.printable import printable, shown
from undertext.tasks.fields import (
    AnyText,
    Info,
    Json,
    Line,
    Part,
    Path,
    SplitName,
    Template,
    Text,
    TextOrNumber,
    Value,
    expected,
    written,
)
from undertext.tasks.function import GradeFunction
from undertext.tasks.grade import Grader, answer_fault
from undertext.tasks.prompt_form import PromptForm, Reasoning
from undertext.tasks.spans import join, starts_in_order

MOST_NEW_TOKENS = 131_072
"""No model writes more after a prompt; a larger number is a slip, and asks for memory that nobody has."""
MOST_CHOICES = 1000
MOST_PARAPHRASES = 100
REQUIRED_SPLITS = ("train", "dev", "test")


class Contrast(Part):
    """Two templates around `{prompt}`: one that invites reasoning, one that does not."""

    name: Line
    positive: Template
    negative: Template

    @field_validator("positive", "negative")
    @classmethod
    def _holds_prompt(cls, template: str) -> str:
        if "{prompt}" not in template:
            raise expected("a template with {prompt} in it", template)
        return template

    @field_validator("negative")
    @classmethod
    def _differs(cls, negative: str, info: Info) -> str:
        if negative == info.data.get("positive"):
            raise ValueError("expected a template that differs from positive's, got the same one")
        return negative


def fill(template: str, prompt: str) -> str:
    """`template` with `prompt` put in; braces anywhere else, in either, are text like any other."""
    return template.replace("{prompt}", prompt)


Counterfactuals = dict[Text, dict[Text, TextOrNumber]]
"""By name of a value, and by what it might have been instead (as `str` writes it): the answer then."""


def _of_named(counterfactuals: Counterfactuals, info: Info) -> Counterfactuals:
    for name in counterfactuals:
        if "values" in info.data and name not in info.data["values"]:
            raise expected("names of its values", name)
    return counterfactuals


class Step(Part):
    """One step of a trace, the values it arrives at by name, and whether it is a valid step."""

    text: Text
    values: dict[Text, Value] = Field(default_factory=dict)
    counterfactuals: Counterfactuals = Field(default_factory=dict)
    valid: bool = True
    dead: bool = False
    """Whether the step stands in a dead end of a search: no way on from it reaches a right answer."""

    _of_named = field_validator("counterfactuals")(_of_named)

    @model_serializer(mode="wrap")
    def _without_default(self, dump: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        # A task that knows no dead ends is the same task, by its fingerprint too, as before there were any.
        fields = dump(self)
        return fields if self.dead else {name: value for name, value in fields.items() if name != "dead"}


class Problem(Part):
    """One task item. A number is accepted as `id` and as `answer`, and turned into text."""

    id: TextOrNumber
    split: SplitName
    prompt: Text
    answer: TextOrNumber
    trace: Text | None = None
    steps: list[Step] = Field(default_factory=list)
    values: dict[Text, Value] = Field(default_factory=dict)
    counterfactuals: Counterfactuals = Field(default_factory=dict)
    type: Text | None = None
    group: Text | None = None
    """The template or passage that the problem was made from: problems of one group are not independent."""
    paraphrases: list[Text] = Field(default_factory=list, max_length=MOST_PARAPHRASES)
    """Other wordings of the prompt: they ask the same, so that the answer is the same."""
    metadata: Json = Field(default_factory=dict)
    """What else the problem's source, or its grader, knows of it."""
    choices: list[TextOrNumber] = Field(default_factory=list, max_length=MOST_CHOICES)
    """The answers that are offered: kind `likelihood` scores them, kind `choice` takes as many letters."""
    _worded: dict[str, str] = PrivateAttr(default_factory=dict)
    _question: str | None = PrivateAttr(default=None)

    @property
    def reasoning(self) -> str:
        """The trace; without one, the steps in its place; empty where there are none."""
        return self.trace or " ".join(step.text for step in self.steps)

    @property
    def solution(self) -> str:
        """What a solved example shows after the prompt: the reasoning, or the answer where there is none."""
        return self.reasoning or self.answer

    def asked(self, prompt: str, worded: dict[str, str], paraphrases: Sequence[str]) -> "Problem":
        """The problem as a checkpoint reads it: `prompt`, within a contrast's sides, in other wordings."""
        own = self.model_copy(update={"prompt": prompt, "paraphrases": list(paraphrases)})
        own._worded, own._question = worded, self.question
        return own

    @property
    def question(self) -> str:
        """The task's own prompt, whatever a checkpoint reads of it."""
        return self.prompt if self._question is None else self._question

    def also_worded(self, side: str, text: str) -> "Problem":
        """The problem, of which this text is read within this side."""
        own = self.model_copy()
        own._worded = {**self._worded, side: text}
        return own

    def has_wording(self, side: str) -> bool:
        """Whether it was said what is read of the problem within this side."""
        return side in self._worded

    def worded(self, side: str) -> str:
        """What is read of the problem within a side of a contrast, a template with `{prompt}` in it."""
        return self._worded.get(side) or fill(side, self.prompt)

    _of_named = field_validator("counterfactuals")(_of_named)

    @field_validator("paraphrases")
    @classmethod
    def _worded_otherwise(cls, paraphrases: list[str], info: Info) -> list[str]:
        if (prompt := info.data.get("prompt")) in paraphrases:
            raise expected("other wordings than the prompt's", prompt)
        for later in repeats(paraphrases):
            raise ValueError(f"expected paraphrases that differ, got {shown(paraphrases[later])} twice")
        return paraphrases

    @field_validator("choices")
    @classmethod
    def _several(cls, choices: list[str]) -> list[str]:
        if len(choices) == 1:
            raise ValueError("expected two choices or more, got one")
        for later in repeats(choices):
            raise ValueError(f"expected choices that differ, got {shown(choices[later])} twice")
        return choices

    @field_validator("steps")
    @classmethod
    def _in_trace(cls, steps: list[Step], info: Info) -> list[Step]:
        trace = info.data.get("trace")
        if trace is not None:
            found = len(starts_in_order(trace, [step.text for step in steps]))
            if found < len(steps):
                wanted = "steps whose texts follow one another in the trace"
                text, place = shown(steps[found].text), f" after step {found}'s" if found else ""
                raise ValueError(f"expected {wanted}, got {text} (step {found + 1}), not in the trace{place}")
        return steps


def continuations(problem: Problem, prompt: str | None = None) -> list[str]:
    """The choices as they go on after the prompt, or another one: a space first unless there is one."""
    before = problem.prompt if prompt is None else prompt
    return [join(before, choice)[len(before) :] for choice in problem.choices]


class Settings(Part):
    """What task.yaml holds."""

    name: Line
    description: Text
    grader: Grader
    stop: list[AnyText] = Field(default_factory=list)
    max_new_tokens: int = Field(default=512, ge=1, le=MOST_NEW_TOKENS)
    """Where a task does not say, jobs choose by its solutions (`tasks.limits`); so with `stop`."""
    contrasts: list[Contrast] = Field(default_factory=list)
    prompt: PromptForm | None = None
    """How checkpoints are asked; None: by the problems' own prompts."""
    tuned_prompt: PromptForm | None = None
    """How the tuned checkpoint is asked, where not as the base."""
    reasoning: Reasoning | None = None
    """Marks around the reasoning in an output; None: outputs are graded whole."""

    @field_validator("contrasts")
    @classmethod
    def _distinct(cls, contrasts: list[Contrast]) -> list[Contrast]:
        for later in repeats([contrast.name for contrast in contrasts]):
            raise ValueError(f"expected a name for each, got {shown(contrasts[later].name)} twice")
        return contrasts


class Task(Settings):
    """A whole task: its settings and its problems."""

    problems: list[Problem]
    _function: GradeFunction | None = PrivateAttr(default=None)

    @property
    def function(self) -> GradeFunction | None:
        """The function that grades (kind `python`), where one was given: a task's folder names none."""
        return self._function

    def graded_by(self, function: GradeFunction) -> "Task":
        """The task, of kind `python`, graded by this function."""
        if self.grader.kind != "python":
            raise UserError(
                f"task {printable(self.name)!r} is of kind {self.grader.kind}: expected no grading function"
            )
        own = self.model_copy()
        own._function = function
        return own

    @field_validator("problems")
    @classmethod
    def _whole(cls, problems: list[Problem], info: Info) -> list[Problem]:
        for later in repeats([problem.id for problem in problems]):
            raise ValueError(f"expected an id for each, got {shown(problems[later].id)} twice")
        if missing := missing_splits(problem.split for problem in problems):
            raise ValueError(missing)
        for problem in problems if "grader" in info.data else []:
            for path, fault in answer_faults(problem, info.data["grader"]):
                raise ValueError(f"problem {shown(problem.id)}, field {written(path)!r}: {fault}")
        return problems

    @property
    def splits(self) -> list[str]:
        """Names of the splits, in order of appearance."""
        return list(dict.fromkeys(problem.split for problem in self.problems))

    @property
    def names_values(self) -> bool:
        """Whether some problem says what could be read off activations."""
        return any(p.values or any(step.values for step in p.steps) for p in self.problems)

    def split(self, name: str) -> list[Problem]:
        """The problems of one split, in order; `UserError` names the splits there are."""
        problems = [problem for problem in self.problems if problem.split == name]
        if not problems:
            raise UserError(f"task {self.name!r} has no split {name!r}; its splits: {', '.join(self.splits)}")
        return problems


def answer_faults(problem: Problem, grader: Grader) -> list[tuple[Path, str]]:
    """Answers of the problem, counterfactual ones included, that no output could be graded right against.

    Each with the path to its field; also a counterfactual answer for what the value is already that is
    not the problem's own.
    """
    found: list[tuple[Path, str]] = []
    if fault := answer_fault(grader, problem.answer, problem.choices):
        found.append((("answer",), fault))
    parts: list[tuple[Path, Problem | Step]] = [((), problem)]
    parts += [(("steps", i), step) for i, step in enumerate(problem.steps)]
    for path, part in parts:
        for name, answers in part.counterfactuals.items():
            for value, answer in answers.items():
                at = (*path, "counterfactuals", name, value)
                if wrong := answer_fault(grader, answer, problem.choices):
                    found.append((at, wrong))
                elif value == str(part.values[name]) and answer != problem.answer:
                    known = f"{shown(name)} is {printable(value, 60)}"
                    wanted = f"the problem's answer {shown(problem.answer)}, since {known}"
                    found.append((at, f"expected {wanted}, got {shown(answer)}"))
    return found


def repeats(names: Sequence[Any]) -> dict[int, int]:
    """Index of each name that was there before -> index at which it first was. None is no name."""
    first: dict[Any, int] = {}
    return {i: first[n] for i, n in enumerate(names) if n is not None and first.setdefault(n, i) != i}


def missing_splits(splits: Iterable[str]) -> str | None:
    """What is wrong with these as a task's splits, as "expected ..., got ...", or None."""
    present = list(dict.fromkeys(splits))
    if all(name in present for name in REQUIRED_SPLITS):
        return None
    got = ", ".join(present) or "no problems (the task is empty)"
    return f"expected problems in the splits {', '.join(REQUIRED_SPLITS)}, got {got}"
