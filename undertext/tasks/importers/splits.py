"""The splits of imported problems: those that the source names, and others drawn by a seed.

What belongs together (a group, or one prompt that several problems have) stands in one split.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

from pydantic import Field

from undertext.activations.errors import UserError
from undertext.core.config import Config, Seed
from undertext.core.printable import shown
from undertext.core.terms import CHOOSE, FIT
from undertext.tasks.draws import drawn
from undertext.tasks.same_steps import one_spaced
from undertext.tasks.task import REQUIRED_SPLITS, Problem

TEST = REQUIRED_SPLITS[-1]
SHARES = {CHOOSE: 0.15, TEST: 0.35}
"""Shares of the problems that are drawn for a split of no given size; train has what remains."""
ALIASES = dict.fromkeys(("validation", "valid", "val"), CHOOSE)


class SplitConfig(Config):
    """How imported problems are put into splits."""

    seed: Seed = 0
    """Random seed of the splits, and of the problems that are drawn."""
    train: float | None = Field(default=None, gt=0)
    """Size of the split train: a share of the problems if below 1, otherwise a number of problems. Without
    a size, train has all problems that remain."""
    dev: float | None = Field(default=None, gt=0)
    """Size of the split dev: a share of the problems if below 1, otherwise a number of problems. Without a
    size, dev has all problems that the source puts into dev; if the source puts none there, a share of
    0.15."""
    test: float | None = Field(default=None, gt=0)
    """Size of the split test: a share of the problems if below 1, otherwise a number of problems. Without a
    size, test has all problems that the source puts into test; if the source puts none there, a share of
    0.35."""
    group: str | None = None
    """Column that names the template or passage a problem was made from. All problems of a group go to one
    split, so the sizes of splits can differ a little from those that were asked for."""
    split_column: str | None = None
    """Column that names the split of each problem; validation counts as dev. Splits that are missing are
    drawn from train."""
    limit: int | None = Field(default=None, ge=1)
    """Number of problems to draw from the source before the splits are made. None takes all problems."""


def with_splits(
    problems: Sequence[Problem], named: Sequence[str | None], config: SplitConfig
) -> tuple[list[Problem], list[str]]:
    """The problems with their splits, in the order of the splits, and notes on those that were left out.

    `named` holds the split that the source names for each problem. One name for all says nothing, and the
    problems are then drawn into splits. Raises UserError where a split would be empty, or larger than can be.
    """
    names = {p.id: ALIASES.get(name, name) for p, name in zip(problems, named, strict=True) if name}
    if len(set(names.values())) < 2:
        names = {}
    chosen = drawn(problems, config.seed, config.limit)
    notes: list[str] = []
    pools: dict[str, list[list[Problem]]] = defaultdict(list)
    lost = 0
    for together in _together(chosen):
        # What is reported wins over what is chosen on, and this over what is fitted on.
        splits = {names.get(problem.id, FIT) for problem in together}
        kept = splits - {FIT, CHOOSE} or splits & {CHOOSE} or splits
        for split in sorted(kept):
            pools[split].append([p for p in together if names.get(p.id, FIT) == split])
        lost += sum(names.get(problem.id, FIT) not in kept for problem in together)
    if lost:
        notes.append(
            f"left out: {lost} problems of train or dev whose prompt or group a later split has as well"
        )
    if FIT not in pools:
        got = ", ".join(sorted(pools)) or "no problems"
        raise UserError(f"expected problems of the split {FIT} among those that the source names, got {got}")
    placed: dict[str, str] = {}
    missing = [split for split in (CHOOSE, TEST) if split not in pools]
    for split, parts in pools.items():
        placed |= _cut(parts, [split, *missing] if split == FIT else [split], config)
    order = {split: i for i, split in enumerate([*REQUIRED_SPLITS, *sorted(set(placed.values()))][::-1])}
    done = [p.model_copy(update={"split": placed[p.id]}) for p in problems if p.id in placed]
    if more := len(chosen) - lost - len(done):
        notes.append(f"not drawn into a split: {more} problems")
    return sorted(done, key=lambda problem: -order[problem.split]), notes


def _together(problems: Sequence[Problem]) -> list[list[Problem]]:
    """The problems that share a group or a prompt, directly or through others; in order of the first."""
    parent = list(range(len(problems)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[tuple[str, str], int] = {}
    for i, problem in enumerate(problems):
        for key in (("prompt", one_spaced(problem.prompt)), ("group", problem.group)):
            if key[1] is not None:
                parent[root(i)] = root(first.setdefault((key[0], key[1]), i))
    parts: dict[int, list[Problem]] = defaultdict(list)
    for i, problem in enumerate(problems):
        parts[root(i)].append(problem)
    return list(parts.values())


def _cut(parts: Sequence[list[Problem]], splits: Sequence[str], config: SplitConfig) -> dict[str, str]:
    """The split of each problem, by id: each part, in turn, goes where most is lacking."""
    total = sum(map(len, parts))
    wanted = {split: _size(split, total, config, whole=len(splits) == 1) for split in splits}
    given = sum(size for size in wanted.values() if size is not None)
    lacking = {split: total - given if size is None else size for split, size in wanted.items()}
    most = "one" if len(parts) == 1 else str(len(parts))
    if len(parts) < len(splits) or min(lacking.values()) < 1 or sum(lacking.values()) > total:
        sizes = ", ".join(f"{split} {size}" for split, size in lacking.items())
        raise UserError(
            f"expected splits of one problem or more that {total} problems ({most} with a prompt and group "
            f"of their own) are enough for, got {sizes}: see --train, --dev, --test, --limit and --group"
        )
    placed: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for i, part in enumerate(parts):
        empty = [split for split in splits if not counts[split]]
        among = empty if len(empty) >= len(parts) - i else splits
        split = max(among, key=lambda name: lacking[name] - counts[name])
        if among is empty or lacking[split] > counts[split]:
            placed |= {problem.id: split for problem in part}
            counts[split] += len(part)
    return placed


def _size(split: str, total: int, config: SplitConfig, *, whole: bool) -> int | None:
    """Problems wanted in a split: None for what remains. `whole` says that the source names this split."""
    figure: float | None = getattr(config, split, None) if split in REQUIRED_SPLITS else None
    if figure is None:
        return None if whole or split == FIT else max(1, round(SHARES[split] * total))
    if figure >= 1 and figure != int(figure):
        raise UserError(
            f"expected a share below 1 or a whole number of problems as {split}, got {shown(figure)}"
        )
    return max(1, round(figure * total)) if figure < 1 else int(figure)
