"""What the measures of one job share: its parts, the traces read so far, and what has been collected."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from undertext.core.job import JobRun
from undertext.core.terms import CHOOSE, FIT, Role
from undertext.jobs.measure.collected import Collected, TrailReads
from undertext.jobs.measure.functions import Functions
from undertext.jobs.measure.parts import Doubt, Probed, Reads, Work
from undertext.measures.answers import Answers
from undertext.measures.trace.exploration import Marked
from undertext.measures.trace.stated import Stated
from undertext.measures.trace.style import Style, style_of
from undertext.measures.trace.token_shift import Shift
from undertext.measures.trace.trails import Whose
from undertext.measures.trace.validity import Validity
from undertext.tasks.draws import drawn
from undertext.tasks.task import Problem

TRACES: dict[Whose, str] = {
    "own": "own traces",
    "gold": "the task's traces",
    "other": "the other's traces",
}
WRITTEN: dict[Role, str] = {"base": "the base's traces", "tuned": "the tuned one's traces"}
"""What figures call traces that both checkpoints read, by who wrote them."""


class Answered(NamedTuple):
    """Problems, and what a checkpoint answers to them greedily."""

    problems: list[Problem]
    answers: Answers


class Stage:
    """One job under way; `collected` holds what has come of its measures."""

    def __init__(
        self,
        run: JobRun,
        work: Work,
        differing: str | None,
        layers: Sequence[int],
        functions: Functions,
    ) -> None:
        self.run, self.work, self.layers, self.differing = run, work, layers, differing
        self.functions = functions
        self.collected = Collected()
        self.roles: list[Role] = list(work.subjects)
        self.n = len(work.subjects["base"].problems)
        self.stated: dict[Role, Stated] = {}
        self.valid: dict[Role, Validity] = {}
        """Outputs with a trace that was judged."""
        self.valid_gold: Validity | None = None
        """The task's traces, where steps were judged as wholes."""
        self.judge: str | None = None
        """Who judged the traces, in words; None where nobody did."""
        self.shift: Shift | None = None
        self.doubt: dict[Role, Doubt] = {}
        self.sensitivity: dict[Role, ndarray] = {}
        """PromptSensiScore of each problem, where it was measured; NaN of a problem with one wording."""
        self._reads: dict[tuple[Role, Whose], TrailReads] | None = None
        self._styles: dict[Role, list[Style]] = {}
        self._fitted: dict[Role, dict[str, Answered]] = {}
        self.probed: dict[tuple[Role, Whose], Probed] = {}
        """What probes read along traces, where confidence was measured."""
        self.marked: dict[tuple[Role, Whose], dict[int, Marked]] = {}
        """Traces with their dead ends, where these were measured."""

    @property
    def read(self) -> Mapping[tuple[Role, Whose], TrailReads]:
        """What was read along traces so far."""
        return self._reads or {}

    def answers(self) -> None:
        """Greedy answers: all else rests on these."""
        made = self.run.make(self.work.greedy_parts())
        self.work.answers.update(zip(self.roles, made, strict=True))

    def fit_problems(self, role: Role, split: str) -> list[Problem]:
        """The problems of train, or of dev, that readings are fitted on or chosen by."""
        config = self.work.config
        return drawn(self.work.subjects[role].task.split(split), config.seed, config.fit_problems)

    def fitted(self, role: Role) -> dict[str, Answered]:
        """By split, train and dev: the problems that readings are fitted on, answered greedily; made once."""
        if role not in self._fitted:
            some = {split: self.fit_problems(role, split) for split in (FIT, CHOOSE)}
            made = self.run.make([self.work.fit_part(role, split, each) for split, each in some.items()])
            self._fitted[role] = {
                split: Answered(some[split], answers) for split, answers in zip(some, made, strict=True)
            }
        return self._fitted[role]

    @property
    def right(self) -> dict[Role, ndarray]:
        """Which greedy answers are right."""
        return {role: self.work.answers[role].lenient for role in self.roles}

    def styles(self, role: Role) -> list[Style]:
        """The style of each output."""
        if role not in self._styles:
            trails = self.work.trails(role, "own").values()
            self._styles[role] = [style_of(trail, self.work.markers) for trail in trails]
        return self._styles[role]

    def along(self) -> dict[tuple[Role, Whose], TrailReads]:
        """What was read along every kind of traces; made once."""
        if self._reads is None:
            keys = [
                (role, whose)
                for role in self.roles
                for whose in TRACES
                if (whose != "other" or len(self.roles) > 1) and self.work.trails(role, whose)
            ]
            made: list[Reads] = self.run.make([self.work.along_part(*key) for key in keys])
            self._reads = {}
            for (role, whose), reads in zip(keys, made, strict=True):
                trails = self.work.trails(role, whose)
                kept = [trails[i] for i in reads.index]
                own = TrailReads(reads.index, kept, reads.right, reads.given, reads.long)
                self._reads[role, whose] = own
        return self._reads


def unfinished_fit(stage: Stage, role: Role, measure: str) -> None:
    """Say how many outputs of train and dev were cut: they are neither right nor wrong, and not fitted on."""
    for split, answered in stage.fitted(role).items():
        cut = int(answered.answers.unfinished.sum())
        if cut:
            of = f"{cut} of {len(answered.problems)} outputs of {split} were cut before an answer"
            reason = f"{of}: what will be wrong is not fitted on them"
            stage.collected.miss(measure, f"unfinished outputs of {split}, {role}", reason)


def without(values: ndarray, cut: ndarray) -> ndarray:
    """Values of problems with NaN for those that are cut."""
    out = np.array(values, float)
    out[cut] = np.nan
    return out


def known(values: Sequence[float | None]) -> ndarray:
    """Values as an array, NaN for None."""
    return np.array([np.nan if value is None else value for value in values], float)
