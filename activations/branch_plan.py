"""Cutting branches into passes: which go together, and by which way they are scored."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from undertext.activations.branch_methods import Method, choose, holds, windows_of
from undertext.activations.branch_passes import Windows
from undertext.activations.branch_tree import Branch, BranchTree, build_tree
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.rope import sides

_LOGITS_AT_ONCE = 1 << 26
"""How many logits one pass may give: 256 MiB in float32."""


@dataclass(frozen=True)
class Job:
    """Branches of one trunk that are scored together."""

    numbers: list[int]
    """Where the branches stand in the whole list."""
    trunk: Sequence[int]
    branches: list[Branch]

    @cached_property
    def tree(self) -> BranchTree:
        """What must be read for them."""
        return build_tree(self.trunk, self.branches)

    @property
    def longest(self) -> list[int]:
        """The longest text among them."""
        branch = max(self.branches, key=lambda branch: branch.at + len(branch.tokens))
        return [*self.trunk[: branch.at], *branch.tokens]


def plan(
    checkpoint: Checkpoint,
    trunks: Sequence[Sequence[int]],
    branches: Sequence[tuple[int, Branch]],
    max_tokens: int,
    method: Method | None,
) -> Iterator[tuple[Method, Windows, list[Job]]]:
    """Batches of jobs, each with the way to score it; `branches` are (trunk, branch).

    Raises:
        UserError: when the model cannot be scored by `method`.
    """
    windows = windows_of(checkpoint)
    ways: dict[Method, list[Job]] = {"packed": [], "cached": [], "naive": []}
    most_read = max(1, _LOGITS_AT_ONCE // checkpoint.d_vocab)
    for job in _jobs(trunks, branches, min(max_tokens, most_read)):
        # The last token of a text is predicted, never read.
        (side,) = sides(checkpoint, [len(job.longest) - 1])
        way: Method = "naive" if windows is None or side else method or choose(job.tree, checkpoint.device)
        ways[way].append(job)
    for way in ("packed", "cached"):
        if ways[way] and not holds(
            checkpoint, way, max((job.longest for job in ways[way]), key=len), windows or {}
        ):
            ways["naive"] += ways[way]
            ways[way] = []
    if method is not None and any(jobs for way, jobs in ways.items() if way != method):
        raise UserError(
            f"{checkpoint.name} ({checkpoint.layout.architecture}) cannot be scored by {method!r}: "
            "valid is 'naive', or leave the choice out"
        )
    ways["naive"] = [
        Job([number], job.trunk, [branch])
        for job in ways["naive"]
        for number, branch in zip(job.numbers, job.branches, strict=True)
    ]
    for way, jobs in ways.items():
        sizes = [len(job.longest) if way == "naive" else len(job.tree.tokens) for job in jobs]
        read = sides(checkpoint, [len(job.longest) - 1 for job in jobs])
        scored = [sum(len(branch.tokens) for branch in job.branches) for job in jobs]

        def fits(
            batch: Sequence[int],
            sizes: list[int] = sizes,
            scored: list[int] = scored,
            read: list[int] = read,
        ) -> bool:
            return (
                sizes[batch[0]] * len(batch) <= max_tokens
                and sum(scored[i] for i in batch) <= most_read
                and read[batch[0]] == read[batch[-1]]
            )

        for batch in _batches(sizes, fits):
            yield way, windows or {}, [jobs[i] for i in batch]


def _jobs(
    trunks: Sequence[Sequence[int]], branches: Sequence[tuple[int, Branch]], most: int
) -> Iterator[Job]:
    """Each trunk's branches, those of a trunk with very many cut where they add up to `most` tokens.

    They are cut in the order of where they hang, so that each part has no more of the trunk than it needs.
    """
    order = sorted(range(len(branches)), key=lambda number: (branches[number][0], branches[number][1].at))
    part: list[int] = []
    total = 0
    for number in order:
        trunk, branch = branches[number]
        if part and (branches[part[-1]][0] != trunk or total + len(branch.tokens) > most):
            yield Job(part, trunks[branches[part[0]][0]], [branches[i][1] for i in part])
            part, total = [], 0
        part.append(number)
        total += len(branch.tokens)
    if part:
        yield Job(part, trunks[branches[part[0]][0]], [branches[i][1] for i in part])


def _batches(sizes: Sequence[int], fits: Callable[[Sequence[int]], bool]) -> Iterator[list[int]]:
    """Indices in batches that fit (or hold one), longest first: the first of a batch is its widest."""
    batch: list[int] = []
    for index in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        if batch and not fits([*batch, index]):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
