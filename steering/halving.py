"""Adaptive sweeps: all settings on a few problems, then ever fewer settings on ever more of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import torch

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.steering.settings import Readout, Setting
from undertext.steering.steering_vector import SteeringVector
from undertext.steering.sweep import Grading, Sweep, gather
from undertext.steering.sweep_runner import Grade, Key, Offered, Options, RowStore, SweepRunner


class Schedule(NamedTuple):
    """How settings are traded for prompts: after each round the better ones go on, to twice the prompts."""

    start: int = 4
    """Prompts in the first round."""
    keep: float = 0.5
    """The share of the settings that goes on after a round."""
    finalists: int = 3
    """How many settings go on at least."""

    def rounds(self, settings: int, prompts: int) -> list[tuple[int, int]]:
        """How many settings stand in each round, and how many prompts they have seen after it.

        The last round ends with all prompts seen. UserError for a schedule that cannot be.
        """
        if self.start < 1 or not 0 < self.keep <= 1 or self.finalists < 1:
            raise UserError(
                "a schedule needs start and finalists of at least 1 and keep above 0 and up to 1, "
                f"got {self.start}, {self.finalists} and {self.keep}"
            )
        rounds = [(settings, min(self.start, prompts))]
        while rounds[-1][1] < prompts:
            standing, seen = rounds[-1]
            fewer = min(standing, max(self.finalists, ceil(self.keep * standing)))
            rounds.append((fewer, min(2 * seen, prompts)))
        return rounds

    def rows(self, settings: int, prompts: int) -> int:
        """How many rows that takes, each setting and prompt once; a grid takes settings times prompts."""
        before, total = 0, 0
        for standing, seen in self.rounds(settings, prompts):
            total += standing * (seen - before)
            before = seen
        return total


USUAL = Schedule()


@dataclass(frozen=True, eq=False)
class Round:
    """What was known after one round."""

    settings: list[int]
    """Those that stood, as indices."""
    prompts: list[int]
    """All that they had seen, as indices."""
    accuracy: list[float]
    """Of each of `settings`, on them."""


@dataclass(frozen=True, eq=False)
class Halving:
    """What an adaptive sweep has seen, and what it settled on."""

    sweep: Sweep
    """With `ran` where a setting saw a prompt."""
    rounds: list[Round]
    """If vectors were kept apart, a round for each of them, and then the next."""
    best: dict[str, Setting]
    """For each vector that has seen all prompts with a setting, its best; the first one among equals."""
    winner: Setting
    """The best of these."""
    rows: int
    """How many rows this took, and"""
    grid_rows: int
    """how many the grid of all settings and prompts takes."""


def halving(
    checkpoint: Checkpoint,
    prompts: Sequence[str],
    settings: Sequence[Setting],
    vectors: Sequence[SteeringVector],
    grade: Grade,
    *,
    max_new_tokens: int,
    schedule: Schedule = USUAL,
    by: Grading = "lenient",
    each_vector: bool = False,
    seed: int = 0,
    stop: Sequence[str] = (),
    thresholds: Mapping[str, Readout] | None = None,
    batch_size: int = 512,
    keep: RowStore | None = None,
    progress: Callable[[int], None] | None = None,
    offered: Offered | None = None,
) -> Halving:
    """Find the best setting by successive halving (Jamieson and Talwalkar, arXiv 1502.07943).

    Every round draws on the prompts seen before and on as many new ones; no row is run twice. Equal
    settings at the edge go on, or do not, by lot.

    Args:
        checkpoint: what is steered.
        prompts: texts; in which order they are seen is drawn.
        settings: each once.
        vectors: those that the settings name.
        grade: `grade(i, text, cut)` says whether `text` is right for prompt `i`, strictly and leniently;
            `cut` says that it was cut at `max_new_tokens`.
        max_new_tokens: most tokens a row writes.
        schedule: how fast settings are given up.
        by: the grade that settings compete by.
        each_vector: settings compete with those of their own vector alone, so that each vector ends with
            its best under the same search.
        seed: of that order and that lot.
        stop: strings that end a row.
        thresholds: those that the settings name.
        batch_size: rows that are generated together, and kept together.
        keep: keeps rows as they come, as in `sweep`, which can share it for the same settings and prompts.
        progress: called with the number of rows there since its last call.
        offered: choices, as in `sweep`.

    Raises:
        UserError: as `sweep`, for no settings or prompts, and a schedule that cannot be.
    """
    if not settings or not prompts:
        raise UserError(f"halving needs settings and prompts, got {len(settings)} and {len(prompts)}")
    options = Options(max_new_tokens, tuple(stop), batch_size, keep, progress, offered)
    groups: dict[str, list[int]] = {}
    for i, setting in enumerate(settings):
        groups.setdefault(setting.vector if each_vector else "", []).append(i)
    plans = {name: schedule.rounds(len(group), len(prompts)) for name, group in groups.items()}
    runs = SweepRunner(checkpoint, prompts, settings, vectors, thresholds, options)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(prompts), generator=generator).tolist()
    lot = torch.randperm(len(settings), generator=generator).tolist()
    ran: dict[Key, None] = {}
    rounds: list[Round] = []
    accuracy: dict[int, float] = {}
    # All groups see equally many prompts in a round, and so share its batches.
    for turn, (_, seen) in enumerate(next(iter(plans.values()))):
        for name, group in groups.items():
            standing = plans[name][turn][0]
            groups[name] = sorted(group, key=lambda i: (-accuracy.get(i, 0.0), lot[i]))[:standing]
        keys = [Key(i, j) for group in groups.values() for i in group for j in order[:seen]]
        runs.run(key for key in keys if key not in ran)
        ran |= dict.fromkeys(keys)
        for group in groups.values():
            right = {i: [runs.grade(Key(i, j), grade)[by == "lenient"] for j in order[:seen]] for i in group}
            accuracy |= {i: sum(each) / seen for i, each in right.items()}
            rounds.append(Round(list(group), order[:seen], [accuracy[i] for i in group]))
    finalists = sorted((i for group in groups.values() for i in group), key=lambda i: (-accuracy[i], i))
    best: dict[str, Setting] = {}
    for i in finalists:
        best.setdefault(settings[i].vector, settings[i])
    swept = gather(runs, settings, len(prompts), grade, list(ran))
    return Halving(swept, rounds, best, settings[finalists[0]], len(ran), len(settings) * len(prompts))
