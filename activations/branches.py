"""Log-probabilities of many continuations hung at many points of one text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.batching import batch_tokens_on, fits
from undertext.activations.branch_methods import SHARED, Method
from undertext.activations.branch_passes import Windows, naive
from undertext.activations.branch_plan import Job, plan
from undertext.activations.branch_tree import Branch
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.checks import check_list, is_whole
from undertext.activations.errors import UserError


@dataclass(frozen=True)
class BranchScores:
    """Log-probabilities, trunk by trunk and branch by branch, in the order in which they were given."""

    trunks: Int[Tensor, " branch"]
    """Which trunk each branch continues."""
    starts: Int[Tensor, " branch_and_end"]
    """Branch `b` has the scored tokens from `starts[b]` up to `starts[b + 1]`."""
    tokens: Float[Tensor, " token"]
    """Natural log-probability of each scored token given all that stands before it: float32, on the CPU."""
    sums: Float[Tensor, " branch"]
    """Natural log-probability of each whole continuation."""
    methods: tuple[Method, ...]
    """How each branch was scored."""

    def of(self, trunk: int) -> Float[Tensor, " branch"]:
        """The sums of one trunk's branches."""
        return self.sums[self.trunks == trunk]


def score_branches(
    checkpoint: Checkpoint,
    trunks: Sequence[str] | Sequence[Sequence[int]],
    branches: Sequence[Sequence[Branch]],
    *,
    max_tokens: int | None = None,
    method: Method | None = None,
    progress: Callable[[int], None] | None = None,
) -> BranchScores:
    """Score `branches[i]`, continuations of the first tokens of `trunks[i]` (text, or token ids).

    Every distinct prefix is read once: the trunk, then the branches over it, those that open alike
    together. Equal to scoring each branch as a text of its own, within 1e-4 in float32 (in bfloat16 as
    close as two batches of one text are to each other, some 0.1). A model that cannot share a trunk
    (positions told by the row, linear attention, a rope that changes with the length) is scored naively;
    the others are held to the naive way once, on a few tokens.

    `max_tokens` bounds a batch, padding included; by default it suits the model's device. A text longer
    than that goes alone, and a batch that does not fit in memory is split. `method` is chosen by what is
    fastest unless given. `progress` is called with the number of branches scored since its last call.
    `branches_at` makes branches from places in a text.

    Raises:
        UserError: for a branch that is not on its trunk, has nothing to score, tokens that the model does
            not embed or more than fit the context; for a trunk that does not fit in memory with its
            branches; for a `method` the model cannot be scored by; and for NaN in what was scored.
    """
    if max_tokens is None:
        max_tokens = batch_tokens_on(checkpoint.device)
    if max_tokens < 1:
        raise UserError(f"max_tokens must be at least 1, got {max_tokens}")
    encoded = checkpoint.encode(trunks)
    if len(branches) != len(encoded):
        raise UserError(f"expected branches for each of {len(encoded)} trunks, got {len(branches)} lists")
    for index, (ids, hung) in enumerate(zip(encoded, branches, strict=True)):
        check_list(f"branches of trunk {index}", hung, Branch, "Branch, from branches_at")
        for branch in hung:
            _check(checkpoint, index, ids, branch)
    flat = [(trunk, branch) for trunk, hung in enumerate(branches) for branch in hung]
    sizes = [len(branch.tokens) - branch.given for _, branch in flat]
    log_probs = [torch.empty(0)] * len(flat)
    methods: list[Method] = ["naive"] * len(flat)
    for way, windows, batch in plan(checkpoint, encoded, flat, max_tokens, method):

        def run(jobs: list[Job], way: Method = way, windows: Windows = windows) -> None:
            for number, values in _score(checkpoint, way, windows, jobs):
                log_probs[number], methods[number] = values, way

        waiting = [batch]
        while waiting:
            jobs = waiting.pop()
            if fits(run, jobs):
                if progress is not None:
                    progress(sum(len(job.branches) for job in jobs))
            elif len(jobs) > 1:
                waiting += [jobs[len(jobs) // 2 :], jobs[: len(jobs) // 2]]
            else:
                trunk = flat[jobs[0].numbers[0]][0]
                raise UserError(f"trunk {trunk} alone, with its branches, does not fit in memory: shorten it")
    sums = torch.stack([values.sum() for values in log_probs]) if flat else torch.empty(0)
    trunk_of = torch.tensor([trunk for trunk, _ in flat], dtype=torch.long)
    if sums.isnan().any():
        raise UserError(f"{checkpoint.name}: NaN in the scores of trunk {int(trunk_of[sums.isnan()][0])}")
    starts = torch.tensor([0, *sizes]).cumsum(dim=0)
    return BranchScores(trunk_of, starts, torch.cat([torch.empty(0), *log_probs]), sums, tuple(methods))


def _score(
    checkpoint: Checkpoint, way: Method, windows: Windows, jobs: Sequence[Job]
) -> list[tuple[int, Float[Tensor, " n"]]]:
    """One batch; each branch's place in the whole list, and the values of its scored tokens."""
    branches = [branch for job in jobs for branch in job.branches]
    sizes = [len(branch.tokens) - branch.given for branch in branches]
    if way == "naive":
        values = naive(checkpoint, [job.longest for job in jobs], sizes)
    else:
        values = SHARED[way](checkpoint, [job.tree for job in jobs], windows)
    numbers = [number for job in jobs for number in job.numbers]
    return list(zip(numbers, torch.cat(values).split(sizes), strict=True))


def _all_whole(tokens: Sequence[int]) -> bool:
    return set(map(type, tokens)) <= {int} or all(map(is_whole, tokens))


def _check(checkpoint: Checkpoint, index: int, trunk: Sequence[int], branch: Branch) -> None:
    """UserError unless `branch` continues `trunk`, number `index`, and can be scored."""

    def refuse(problem: str) -> UserError:
        return UserError(f"{checkpoint.name}: trunk {index}, {branch}: {problem}")

    if not is_whole(branch.at) or not is_whole(branch.given) or not _all_whole(branch.tokens):
        raise refuse("at, given and tokens are whole numbers: tokens are ids, not texts")
    if not 0 <= branch.at <= len(trunk):
        raise refuse(f"at must be 1 to {len(trunk)}, the trunk's tokens")
    if not 0 <= branch.given < len(branch.tokens):
        raise refuse("there is no token to score")
    if branch.at + branch.given < 1:
        raise refuse("no token stands before the first scored one: at must be 1 or more")
    if bad := [token for token in branch.tokens if not 0 <= token < checkpoint.d_vocab]:
        raise refuse(f"token id {bad[0]} is not in the vocabulary, valid are 0 to {checkpoint.d_vocab - 1}")
    if branch.at + len(branch.tokens) > checkpoint.n_ctx:
        raise refuse(
            f"{branch.at + len(branch.tokens)} tokens do not fit the model's context of {checkpoint.n_ctx}"
        )
