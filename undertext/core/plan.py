"""What a job would do: rows and tokens by stage, and what these come to in time, memory and disk.

A job states its works before it begins. While `planning` is set, it stops there with its plan, and nothing is
written. Tokens are exact where they are known before the run, and otherwise the most that they can be.
"""

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from undertext.activations.checkpoint import Checkpoint

planning: ContextVar[bool] = ContextVar("planning", default=False)
"""Whether jobs stop with their plan (`Planned`) where they would begin, and write nothing."""

weighing: ContextVar[bool] = ContextVar("weighing", default=True)
"""Whether plans say what smaller settings would take. That is counted anew for each of them: a command that
has no such settings spares it."""

BYTES_A_TOKEN, BYTES_A_ROW = 4, 200
"""About how large a text and its row are."""


class Work(NamedTuple):
    """What one stage of a job reads and writes."""

    stage: str
    """As the progress bar calls it."""
    rows: int
    """Number of texts, each under one intervention or none."""
    read: int
    """Tokens of prompts and texts that go through a checkpoint, padding left out."""
    written: int = 0
    """Most tokens that are generated."""
    why: str = ""
    """Why rows and tokens read are at most these; empty where they are exact."""
    shared: bool = False
    """Whether tokens read are at most these because rows share what they read of a prompt."""
    steered: bool = False
    """Whether interventions act while tokens are generated."""
    beside: str = ""
    """What the stage does beside reading and writing, of which no time is estimated."""
    kept: int = 0
    """Bytes of activations that are kept in memory."""
    longest: int = 0
    """Tokens of the longest prompt after which is written."""
    learnt: int = 0
    """Tokens that go through a checkpoint forward and back, to train weights or vectors."""
    updates: int = 0
    """Updates of a dictionary that is trained."""

    def up_to(self, other: "Work") -> "Work":
        """One of the two, which is not known: the larger of each figure."""
        return self._both(other, max)

    def and_also(self, other: "Work") -> "Work":
        """Both, one after the other."""
        return self._both(other, lambda a, b: a + b)._replace(kept=max(self.kept, other.kept))

    def _both(self, other: "Work", of: Callable[[int, int], int]) -> "Work":
        rows, read, written = (of(*each) for each in zip(self[1:4], other[1:4], strict=True))
        learnt, updates = of(self.learnt, other.learnt), of(self.updates, other.updates)
        return self._replace(
            rows=rows,
            read=read,
            written=written,
            why=self.why or other.why,
            shared=self.shared or other.shared,
            kept=of(self.kept, other.kept),
            longest=max(self.longest, other.longest),
            learnt=learnt,
            updates=updates,
        )


class Trial(NamedTuple):
    """What rates are measured with."""

    checkpoint: Checkpoint | None
    """None for a job that reads no text."""
    prompts: Sequence[str] | Sequence[Sequence[int]]
    """Some of the texts that the job reads, or their token ids."""
    batch_size: int
    """Most rows that the job generates together."""
    max_new_tokens: int
    """Most tokens that a row of the job writes."""
    stop: Sequence[str] = ()
    update: Callable[[int], None] | None = None
    """Makes so many updates of the dictionary that the job trains, on rows drawn at random."""


class Rates(NamedTuple):
    """What was measured in a few seconds, with a job's checkpoint and prompts."""

    read: float
    """Tokens read a second."""
    passes: Mapping[int, float]
    """By number of rows, the seconds in which each of them writes a token; empty where nothing is written."""
    steered: float
    """How many times as long a pass takes with interventions."""
    length: float | None
    """Mean number of tokens that rows of the trial wrote; None where that was not tried."""
    cache: int
    """Bytes that a model keeps of each token of a row that is written."""
    seconds: float
    """How long measuring took."""
    learnt: float = 0.0
    """Tokens a second that go forward and back; 0 where nothing is trained so."""
    update: float = 0.0
    """Seconds that an update of a dictionary takes."""

    def per_token(self, rows: int) -> float:
        """Seconds a token, where so many rows are written together: as with the most rows up to that number
        that were tried."""
        tried = max((each for each in self.passes if each <= rows), default=min(self.passes))
        return self.passes[tried] / tried

    def of(self, work: Work, batch_size: int, length: float = 1.0) -> float:
        """Seconds that a work takes, where rows write this share of the most tokens they may."""
        seconds = work.read / self.read if work.read else 0.0
        if work.written:
            factor = self.steered if work.steered else 1.0
            seconds += length * work.written * factor * self.per_token(min(work.rows, batch_size))
        if work.learnt:
            seconds += work.learnt / self.learnt
        return seconds + work.updates * self.update


class Draft(NamedTuple):
    """What a job states of itself before it begins."""

    works: Callable[[Any], Sequence[Work]]
    """The works under a config of the job's."""
    trial: Trial
    checkpoints: Sequence[Checkpoint]
    """Those that are in memory."""
    less: Sequence[Mapping[str, Any]]
    """Settings that would make the job smaller: other values of some fields of the config."""
    room: int | None = None
    """Bytes that the job writes beside its report; None where that is not known."""
    notes: Sequence[str] = ()
    copies: int = 0
    """Copies of a checkpoint, at random init, that are in memory beside them."""
    training: int = 0
    """Bytes of a copy that is trained, with its gradients and moments."""
    device: str = "cpu"
    """Where a job trains that has no checkpoint."""


def room_of(works: Sequence[Work]) -> int:
    """About how many bytes the texts that are written and their rows take, in parts and in tables."""
    return 2 * sum(work.written * BYTES_A_TOKEN + work.rows * BYTES_A_ROW for work in works)


class Memory(NamedTuple):
    """Bytes in memory."""

    weights: int
    """Those of the checkpoints."""
    used: int | None
    """Most that was in use while rates were measured: weights, passes, and where the checkpoint is in this
    machine's own memory Python and its libraries; None where the system does not say."""
    copies: int
    """Copies of a checkpoint at random init."""
    batch: int
    """Keys, values and logits of a batch that is written."""
    kept: int
    """Activations that are kept, and what is made of them."""
    training: int
    """A copy that is trained, with its gradients and moments."""
    spare: int = 0
    """What a job takes beside: libraries of its stages, figures, memory that is not given back."""

    @property
    def all(self) -> int:
        """Together."""
        begun = self.weights if self.used is None else self.used
        return begun + self.copies + self.batch + self.kept + self.training + self.spare


@dataclass(frozen=True)
class Plan:
    """What a job would do."""

    job: str
    settings: Mapping[str, Any]
    works: Sequence[Work]
    rates: Rates
    most_s: float
    """Seconds of reading and writing, where every row writes as many tokens as it may."""
    usual_s: float | None
    """The same where rows write as many as those of the trial; None where nothing is written or tried."""
    memory: Memory
    disk: int | None
    """About how many bytes are written beside the report; None where that is not known."""
    less: Mapping[str, float]
    """By other settings, the share of `most_s` that the job would take with them."""
    max_new_tokens: int
    batch_size: int
    device: str
    notes: Sequence[str] = ()

    def named(self, job: str) -> "Plan":
        """The same of another run, which reads and writes as much."""
        return replace(self, job=job)

    @property
    def read(self) -> int:
        """Tokens read."""
        return sum(work.read for work in self.works)

    @property
    def written(self) -> int:
        """Tokens written, at most."""
        return sum(work.written for work in self.works)

    @property
    def learnt(self) -> int:
        """Tokens that go forward and back."""
        return sum(work.learnt for work in self.works)

    @property
    def updates(self) -> int:
        """Updates of a dictionary."""
        return sum(work.updates for work in self.works)

    @property
    def exact(self) -> bool:
        """Whether the tokens read are exact in every work."""
        return not any(work.why or work.shared for work in self.works)


class Planned(Exception):
    """A job has stopped where it would have begun: these are its plans, one a run."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        super().__init__("planned")
        self.plans = list(plans)
