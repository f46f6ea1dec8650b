"""The log-probability of answers after 0, 1, ... T steps of a trace, for whole tasks in one go.

Every prefix of every trace is read once, by `score_branches`. After each step stand the lead and an answer;
tokens are those of the text that they make with what stands before, and only the answer's own are counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from undertext.activations.branch_tree import Branch
from undertext.activations.branches import score_branches
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError, shown
from undertext.activations.spans import locate
from undertext.measures.trace.trails import Trail


@dataclass(frozen=True, eq=False)
class AnswerAlong:
    """One answer along one trace."""

    log_probs: Float[ndarray, " point"]
    """Natural log-probability of the answer's tokens after 0, 1, ... T steps."""
    perplexities: Float[ndarray, " point"]
    """Perplexity of the whole text there: question, steps, lead and answer."""
    tokens: int
    """Number of the answer's tokens, after the last step."""

    @property
    def probability(self) -> Float[ndarray, " point"]:
        """Probability of the whole answer."""
        return np.exp(self.log_probs)


def along(
    checkpoint: Checkpoint,
    trails: Sequence[Trail],
    answers: Sequence[Sequence[str]],
    lead: str,
    *,
    progress: Callable[[int], None] | None = None,
) -> list[list[AnswerAlong]]:
    """Score `answers[i]`, each after every step of `trails[i]` and before the first.

    `progress` is called with the number of answers scored since its last call. Raises UserError for a blank
    answer, a text that does not fit the context (`too_long` says which), and NaN in what was scored.
    """
    trunks: list[list[int]] = []
    branches: list[list[Branch]] = []
    counted: list[list[int]] = []
    for trail, own in zip(trails, answers, strict=True):
        text = trail.reading
        trunk = locate(checkpoint, text).ids
        # The trace itself depends on its first token: its own log-probabilities come in the same pass.
        hung = [Branch(1, trunk[1:])] if len(trunk) > 1 else []
        sizes = [0] * len(hung)
        for answer in own:
            if not answer.strip():
                raise UserError(
                    f"problem {shown(trail.problem.id)}: expected an answer to score, got a blank"
                )
            for point in trail.points:
                branch, size = _branch(checkpoint, trunk, text[:point], lead, answer)
                hung.append(branch)
                sizes.append(size)
        trunks.append(trunk)
        branches.append(hung)
        counted.append(sizes)

    done = 0

    def scored(count: int) -> None:
        nonlocal done
        before, done = done, done + count
        if progress is not None:
            total = max(1, sum(map(len, branches)))
            wanted = sum(map(len, answers))
            progress(done * wanted // total - before * wanted // total)

    scores = score_branches(checkpoint, trunks, branches, progress=scored)
    tokens, starts = scores.tokens.double().numpy(), scores.starts.tolist()
    made, place = [], 0
    for trail, own, trunk, hung, sizes in zip(trails, answers, trunks, branches, counted, strict=True):
        each = [tokens[starts[place + k] : starts[place + k + 1]] for k in range(len(hung))]
        place += len(hung)
        read = np.concatenate([[0.0], each.pop(0) if len(trunk) > 1 else []]).cumsum()
        heads, sizes = hung[len(hung) - len(each) :], sizes[len(hung) - len(each) :]
        n = len(trail.points)
        rows = []
        for k in range(len(own)):
            part = slice(k * n, (k + 1) * n)
            values, places, own_sizes = each[part], heads[part], sizes[part]
            sums = [float(v[len(v) - size :].sum()) for v, size in zip(values, own_sizes, strict=True)]
            rows.append(
                AnswerAlong(
                    np.array(sums),
                    np.array([_perplexity(read, b, v) for b, v in zip(places, values, strict=True)]),
                    own_sizes[-1],
                )
            )
        made.append(rows)
    return made


def too_long(checkpoint: Checkpoint, trail: Trail, answers: Sequence[str], lead: str) -> bool:
    """Whether a trace with one of these answers after its last step does not fit the context."""
    longest = max(answers, key=len, default="")
    # Tokens of a part may differ where the parts meet: a few more are held free.
    text = f"{trail.reading}{lead}{longest}"
    return len(locate(checkpoint, text).ids) + 4 > checkpoint.n_ctx


def _branch(
    checkpoint: Checkpoint, trunk: Sequence[int], prefix: str, lead: str, answer: str
) -> tuple[Branch, int]:
    """The lead and the answer after a prefix of the trunk's text, and how many tokens are the answer's."""
    head = prefix + (lead.lstrip() if prefix[-1:].isspace() else lead)
    located = locate(checkpoint, head + answer)
    ids = located.ids
    past = np.flatnonzero(np.array([end for _, end in located.offsets]) > len(head))
    read = int(past[0]) if len(past) else len(ids)
    if read == len(ids):
        raise UserError(f"{checkpoint.name}: the answer {shown(answer)} has no tokens")
    if read == 0:
        raise UserError(f"{checkpoint.name} has no token before the answer {shown(answer)}")
    at = min(len(trunk), read)
    if list(trunk[:at]) != ids[:at]:
        at = next(i for i, (a, b) in enumerate(zip(trunk, ids, strict=False)) if a != b)
    # A first token is read and never predicted.
    return Branch(at, ids[at:], given=0 if at else 1), len(ids) - read


def _perplexity(read: Float[ndarray, " token"], branch: Branch, values: Float[ndarray, " scored"]) -> float:
    """Of the text of a branch; `read` sums the log-probabilities of the trunk's tokens up to each."""
    before = float(read[branch.at - 1]) if branch.at else 0.0
    predicted = max(0, branch.at - 1) + len(values)
    return float(np.exp(-(before + float(values.sum())) / predicted))
