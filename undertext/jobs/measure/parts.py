"""The parts of `measure`: what is generated, scored and read, each kept once it is done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from undertext.activations.checkpoint import Checkpoint
from undertext.core.resume import Done, Part
from undertext.core.terms import OTHER, Role
from undertext.jobs.measure.config import MeasureConfig
from undertext.measures.answers import Answers, greedy
from undertext.measures.decoding.beside_nulls import Beside
from undertext.measures.trace.along import AnswerAlong, along, too_long
from undertext.measures.trace.changes import Change, changed
from undertext.measures.trace.dependence import AfterChange, after_change
from undertext.measures.trace.probe_along import ProbeAlong
from undertext.measures.trace.sensitivity import decoding_confidence
from undertext.measures.trace.style import DOUBT, Markers
from undertext.measures.trace.token_shift import Shift, token_shift
from undertext.measures.trace.trails import Trail, Whose, gold_trails, output_trails
from undertext.measures.trace.uncertainty import Read, enough, internal, voiced
from undertext.tasks.task import Problem, Task


@dataclass(frozen=True, eq=False)
class Reads:
    """Answers along the traces of one writer, as one checkpoint reads them."""

    index: list[int]
    """Index of each trace's problem."""
    right: list[AnswerAlong]
    """The right answer."""
    given: list[AnswerAlong | None]
    """The answer finally given; None where none is."""
    long: int
    """Number of traces with too many steps, or too long for the context."""


@dataclass(frozen=True, eq=False)
class Worded:
    """The answers to every wording of every problem that has several."""

    index: list[int]
    """Index of each row's problem."""
    right: Bool[ndarray, " row"]
    confidence: Float[ndarray, " row"]
    """Geometric mean of the probabilities of the output's tokens."""


@dataclass(frozen=True, eq=False)
class Doubt:
    """Internal and voiced uncertainty, problem by problem; `reason` says why there are none."""

    internal: Read | None = None
    voiced: Read | None = None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Probed:
    """What the probes of one checkpoint read along some traces."""

    answer: ProbeAlong
    right: ProbeAlong
    """Whether the answer will be right."""
    ends: dict[str, Beside]
    """The right answer before the first step and after the last, beside its nulls."""
    missed: dict[str, str]
    """What was not read, and why."""

    def part(self, start: int, end: int) -> "Probed":
        """Of some of the traces, one after another; their ends are those of all."""
        answer, right = (
            replace(each, probability=each.probability[start:end]) for each in (self.answer, self.right)
        )
        return replace(self, answer=answer, right=right)


@dataclass(frozen=True, eq=False)
class Subject:
    """One checkpoint, the task as it is asked, and the problems that it is measured on."""

    role: Role
    checkpoint: Checkpoint
    task: Task
    problems: list[Problem]
    wordings: dict[int, list[str]]
    """Prompts of every wording of a problem, its own first, by the problem's index; of those with several."""


class Work:
    """What parts are made of."""

    def __init__(
        self, subjects: Mapping[Role, Subject], config: MeasureConfig, rule: str, lead: str, markers: Markers
    ) -> None:
        self.subjects, self.config, self.rule, self.lead = subjects, config, rule, lead
        self.markers = markers
        self.answers: dict[Role, Answers] = {}
        """Greedy answers, once they are there."""
        self._trails: dict[tuple[Role, Whose], dict[int, Trail]] = {}

    def greedy_parts(self) -> list[Part]:
        """A part for each checkpoint: its greedy answers."""
        return [
            self._answers(f"answers/{role}", subject, subject.problems)
            for role, subject in self.subjects.items()
        ]

    def fit_part(self, role: Role, split: str, problems: Sequence[Problem]) -> Part:
        """Greedy answers to problems that readings are fitted on."""
        return self._answers(f"answers/{split}/{role}", self.subjects[role], problems)

    def trails(self, role: Role, whose: Whose) -> dict[int, Trail]:
        """The traces that a checkpoint is measured on, by the problem's index; split once."""
        if (role, whose) not in self._trails:
            self._trails[role, whose] = self._split(role, whose)
        return self._trails[role, whose]

    def _split(self, role: Role, whose: Whose) -> dict[int, Trail]:
        subject = self.subjects[role]
        if whose == "gold":
            return gold_trails(subject.task, subject.problems, self.rule)
        written = self.answers[role if whose == "own" else OTHER[role]]
        cut = written.unfinished.tolist()
        found = output_trails(subject.task, subject.problems, written.texts, cut, self.rule, whose)
        return dict(enumerate(found))

    def fit_trails(self, role: Role, problems: Sequence[Problem], answers: Answers | None) -> list[Trail]:
        """The traces of problems that readings are fitted on: of these answers, or without, the task's."""
        task = self.subjects[role].task
        if answers is None:
            return list(gold_trails(task, problems, self.rule).values())
        return output_trails(task, problems, answers.texts, answers.unfinished.tolist(), self.rule)

    def along_part(self, role: Role, whose: Whose) -> Part:
        """Answers along traces."""
        units = len(self.subjects[role].problems)
        return Part(f"along/{role}/{whose}", partial(self._along, role, whose), units, f"{role} along traces")

    def change_part(
        self, role: Role, whose: Whose, change: Change, said_anew: Mapping[int, str] | None = None
    ) -> Part:
        """Answers after one change of the traces; `said_anew` are their steps in other words."""
        units = len(self.subjects[role].problems)
        make = partial(self._changed, role, whose, change, said_anew)
        return Part(f"changes/{role}/{whose}/{change}", make, units, f"{role} after changes")

    def wordings_part(self, role: Role) -> Part:
        """Answers to every wording."""
        units = sum(map(len, self.subjects[role].wordings.values()))
        return Part(f"wordings/{role}", partial(self._worded, role), units, f"{role} in other words")

    def shift_part(self) -> Part:
        """Ranks of the tuned one's tokens under the base."""

        def make(done: Done) -> Shift:
            base = self.subjects["base"]
            return token_shift(base.checkpoint, base.problems, self.answers["tuned"].texts, progress=done)

        return Part("shift", make, len(self.subjects["base"].problems), "token shift")

    def doubt_part(
        self, role: Role, fitted: tuple[Answers, Answers], problems: tuple[list[Problem], list[Problem]],
        layers: Sequence[int],
    ) -> Part:  # fmt: skip
        """Internal and voiced uncertainty; the answers and problems are of train and of dev."""

        def make(done: Done) -> Doubt:
            subject = self.subjects[role]
            # An output that was cut is neither right nor wrong: a probe could read that it will be long.
            ended = [np.flatnonzero(~answers.unfinished) for answers in fitted]
            wrong = (~fitted[0].lenient[ended[0]], ~fitted[1].lenient[ended[1]])
            if not enough(*wrong):
                return Doubt(
                    reason="train or dev holds too few right answers, or too few wrong ones, to fit on"
                )
            fit, choose = ([some[i].prompt for i in at] for some, at in zip(problems, ended, strict=True))
            prompts = (fit, choose, [problem.prompt for problem in subject.problems])
            own = self.answers[role].texts
            texts = (*([a.texts[i] for i in at] for a, at in zip(fitted, ended, strict=True)), own)
            rates = [np.array([self._doubt(text) for text in some], float) for some in texts]
            done(len(subject.problems))
            return Doubt(
                internal(subject.checkpoint, prompts, wrong, layers),
                voiced((rates[0], rates[1], rates[2]), wrong),
            )

        return Part(f"uncertainty/{role}", make, len(self.subjects[role].problems), f"{role}'s uncertainty")

    def _answers(self, key: str, subject: Subject, problems: Sequence[Problem]) -> Part:
        def make(done: Done) -> Answers:
            size = self.config.batch_size
            return greedy(subject.checkpoint, subject.task, problems, batch_size=size, progress=done)

        return Part(key, make, len(problems), f"{subject.role} answers")

    def _along(self, role: Role, whose: Whose, done: Callable[[int], None]) -> Reads:
        checkpoint = self.subjects[role].checkpoint
        asked: list[tuple[int, Trail, list[str]]] = []
        long = 0
        for i, trail in self.trails(role, whose).items():
            answers = [trail.problem.answer]
            if trail.answer is not None and trail.answer != trail.problem.answer:
                answers.append(trail.answer)
            if len(trail.steps) > self.config.max_steps or too_long(checkpoint, trail, answers, self.lead):
                long += 1
                continue
            asked.append((i, trail, answers))
        found = along(
            checkpoint, [t for _, t, _ in asked], [a for _, _, a in asked], self.lead, progress=done
        )
        given = [
            None if trail.answer is None else rows[-1]
            for (_, trail, _), rows in zip(asked, found, strict=True)
        ]
        return Reads([i for i, _, _ in asked], [rows[0] for rows in found], given, long)

    def _changed(
        self,
        role: Role,
        whose: Whose,
        change: Change,
        said_anew: Mapping[int, str] | None,
        done: Callable[[int], None],
    ) -> AfterChange:
        subject = self.subjects[role]
        trails = {i: trail for i, trail in self.trails(role, whose).items() if not trail.unfinished}
        changes = changed(
            change,
            trails,
            self.lead,
            self.config.seed,
            among=subject.problems,
            wordings=subject.wordings,
            said_anew=said_anew,
        )
        size = self.config.batch_size
        return after_change(
            subject.checkpoint,
            subject.task,
            subject.problems,
            change,
            changes,
            batch_size=size,
            progress=done,
        )

    def _worded(self, role: Role, done: Callable[[int], None]) -> Worded:
        subject = self.subjects[role]
        rows = [(i, prompt) for i, prompts in subject.wordings.items() for prompt in prompts]
        index, prompts = [i for i, _ in rows], [prompt for _, prompt in rows]
        problems = [subject.problems[i] for i in index]
        answers = greedy(
            subject.checkpoint,
            subject.task,
            problems,
            prompts=prompts,
            batch_size=self.config.batch_size,
            progress=done,
        )
        return Worded(index, answers.lenient, decoding_confidence(subject.checkpoint, prompts, answers.texts))

    def _doubt(self, text: str) -> float:
        """Markers of doubt per 100 words; 0 of no words."""
        return self.markers.rate(text, DOUBT) or 0.0
