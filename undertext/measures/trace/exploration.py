"""Dead ends of a search, read out of a trace: entered, left, and where the text first says so.

A *dead end* is a run of steps that stand in one. It is *left* where a step that does not comes later. Steps
of which it is not known are passed over. What a trace that was cut would have left is not known: the run in
which it ends counts as entered, and neither as left nor as not left.

Where the activations are asked whether a branch is dead, they are read at the end of each step that does not
say so itself: either whether that step stands in a dead end, or, where nothing but a pattern says which steps
do, whether the next step will say so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from undertext.activations.patterns import find_all
from undertext.measures.trace.trails import Trail
from undertext.tasks.dead_ends import StateFunction, States, own_states, written_states
from undertext.tasks.steps import texts_of

By = Literal["function", "task", "pattern"]
"""What says which steps are dead."""
ALIVE, DEAD = "alive", "dead"
ENDS = (ALIVE, DEAD)


@dataclass(frozen=True)
class Marked:
    """A trace, step by step."""

    trail: Trail
    dead: States
    """Whether each step stands in a dead end; None where that is not known."""
    says: list[bool]
    """Whether each step's own text says that its branch is dead."""


@dataclass(frozen=True)
class Explored:
    """The dead ends of one trace."""

    known: int
    """Steps of which it is known whether they stand in one."""
    dead: int
    """Those that do."""
    entered: int
    left: int
    cut: int
    """Dead ends in which the trace was cut: 0 or 1."""

    @property
    def recovered(self) -> float | None:
        """Share of the dead ends that are left; None where there is none to be left."""
        asked = self.entered - self.cut
        return self.left / asked if asked else None

    @property
    def rate(self) -> float | None:
        """Dead ends left per step; None where no step is known."""
        return self.left / self.known if self.known else None

    @property
    def share(self) -> float | None:
        """Share of the steps that stand in a dead end; None where no step is known."""
        return self.dead / self.known if self.known else None


def marked(
    trails: Mapping[int, Trail],
    *,
    by: By,
    pattern: str | None,
    function: StateFunction | None = None,
) -> dict[int, Marked]:
    """The steps of these traces with what is known of each, by the problem's index.

    `pattern` is what a step says once its branch is found dead. Raises UserError as the function and as
    `find_all` do.
    """
    made = {}
    for i, trail in trails.items():
        texts = texts_of(trail.text, trail.steps)
        says = [pattern is not None and bool(find_all(pattern, text)) for text in texts]
        made[i] = Marked(trail, _states(trail, texts, says, by, function), says)
    return made


def _states(
    trail: Trail, texts: Sequence[str], says: Sequence[bool], by: By, function: StateFunction | None
) -> States:
    if by == "function" and function is not None:
        return function(texts, trail.problem)
    if by == "task":
        if trail.whose == "gold":
            return own_states(trail.problem, len(texts))
        return written_states(trail.problem, texts)
    return list(says)


def explored(trace: Marked) -> Explored:
    """Count the dead ends of one trace."""
    known = [state for state in trace.dead if state is not None]
    starts = [k for k, state in enumerate(known) if state and not (k and known[k - 1])]
    inside = bool(known) and known[-1]
    return Explored(
        known=len(known),
        dead=sum(known),
        entered=len(starts),
        left=len(starts) - inside,
        cut=int(inside and trace.trail.unfinished),
    )


@dataclass(frozen=True)
class Asked:
    """A step at whose end the activations are asked."""

    step: int
    state: str
    """One of `ENDS`."""


def asked_steps(trace: Marked, by: By) -> list[Asked]:
    """The steps of a trace at whose ends a reading is to be made: what they are, where the text has not said
    so."""
    rows = []
    for k, (state, says) in enumerate(zip(trace.dead, trace.says, strict=True)):
        if by == "pattern":
            if not says and k + 1 < len(trace.says):
                rows.append(Asked(k, ENDS[trace.says[k + 1]]))
        elif state is not None and not says:
            rows.append(Asked(k, ENDS[state]))
    return rows


def spaced(rows: Sequence[Asked], most: int) -> list[Asked]:
    """At most so many of the rows, evenly spaced, the last one included."""
    if len(rows) <= most:
        return list(rows)
    return [rows[(k + 1) * len(rows) // most - 1] for k in range(most)]
