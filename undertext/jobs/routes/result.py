"""The answer of `routes`."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

from undertext.core.result import Headline, Result, typed
from undertext.core.statistics import Estimate


@dataclass(frozen=True)
class Route:
    """One route on one split."""

    name: str
    kind: str
    """vector, feature, given direction, control, decoding, prompt or training."""
    training: bool
    """Whether gradient descent had a part in it: a reference point, and no evidence of latency."""
    access: str
    """What the route was allowed to know."""
    tokens: float
    """Number of tokens written for a problem, mean."""
    training_tokens: int
    """Number of tokens that were read or sampled to train the route, all updates together."""
    accuracy: Estimate
    """Leniently graded."""
    gap: Estimate | None
    """Recovered gap, signed, unclamped, paired bootstrap interval; None where there is no gap."""
    unfinished: float
    """Share of the outputs that were cut at `max_new_tokens` before their answer was given; they count as
    wrong."""


class RoutesResult(Result):
    """How much of the gap each route recovers. `summary` holds `checkpoint`, `stronger`, `task`, and what the
    properties below give as typed values.

    Tables: `routes`, a row a split and route; `agreement`, a row a split and pair of routes, with `kappa` and
    with `alike`, the share of problems that both get right or both wrong.
    """

    @property
    def splits(self) -> dict[str, list[Route]]:
        """Every route, by split, in the order of the table."""
        routes: dict[str, list[Route]] = typed(dict[str, list[Route]], self.summary["splits"])
        return routes

    @property
    def unaided(self) -> dict[str, dict[str, Estimate]]:
        """By split: lenient greedy accuracy of `weaker` and `stronger`."""
        ends: dict[str, dict[str, Estimate]] = typed(dict[str, dict[str, Estimate]], self.summary["unaided"])
        return ends

    @property
    def agreement(self) -> dict[str, dict[tuple[str, str], float]]:
        """By split and two routes: Cohen's kappa of which problems they get right; NaN where chance alone
        agrees on all. pass@k counts as right where any sample is."""
        return {
            split: {
                (one, other): nan if kappa is None else kappa
                for one, kappas in by_route.items()
                for other, kappa in kappas.items()
            }
            for split, by_route in self.summary["agreement"].items()
        }

    @property
    def notes(self) -> Sequence[str]:
        """What could not be made, and why; how training by reward went."""
        return list(self.summary["notes"])

    def headline(self) -> Headline:
        """A row a split and route: accuracy, recovered gap, and tokens written for a problem."""
        rows = [
            {
                "split": split,
                "route": route.name,
                "accuracy": route.accuracy,
                "recovered": route.gap,
                "tokens": route.tokens,
            }
            for split, listed in self.splits.items()
            for route in listed
        ]
        return Headline(rows, ("split", "route"), ("accuracy",))
