"""Readings along a trace: from which token on an answer is read right, before the text says it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.spans import TextSpan, locate, tokens_before, tokens_holding
from undertext.probes.estimator import Classifier
from undertext.probes.lens import lens_log_probs
from undertext.probes.tuned_lens import TunedLens

Reader = Callable[[Tensor], Tensor]
"""From activations [point, n, d_model] to a probability for each answer, [point, n, answer]."""


TOGETHER = 64
"""Problems whose activations are held at once."""


class Leads(NamedTuple):
    """Of each problem, at one point: when the answer is read right, and when the text says it."""

    known: list[int | None]
    """Tokens of the trace that were read when the reading first is right and from where it stays so."""
    said: list[int | None]
    """Index, among the trace's tokens, of the first one that says the answer."""
    lead: list[int | None]
    """`said - known`: 0 where the answer is read right only just before it is said;
    None where either is None."""

    @property
    def share(self) -> float:
        """Share with a lead of 1 or more of the problems whose text says the answer; NaN of none."""
        leads = [lead for lead, said in zip(self.lead, self.said, strict=True) if said is not None]
        return sum(lead is not None and lead > 0 for lead in leads) / len(leads) if leads else float("nan")


@dataclass(frozen=True, eq=False)
class TraceReading:
    """How well the gold answer reads along each problem's trace.

    Position k is read once k tokens of the trace are: 0 at the prompt's last token, the last one when all
    are.
    """

    points: tuple[HookPoint, ...]
    tokens: list[list[int]]
    """Of each trace, without the prompt."""
    probability: list[Float[Tensor, "_ point"]]
    """Of the gold answer, [position, point] for each problem."""
    right: list[Bool[Tensor, "_ point"]]
    """The same shapes: whether it is the likeliest answer, and alone so."""
    said: list[int | None]
    """As in `Leads`."""

    def leads(self, point: HookPoint, *, until: Literal["said", "end"] = "said") -> Leads:
        """From where each problem's reading at `point` stays right.

        It must stay so up to the last position before the text says the answer (to the trace's end where it
        never does), or with "end" to the trace's end: then it may come after, and the lead be negative.
        UserError for a point that was not read.
        """
        if point not in self.points:
            raise UserError(f"{point} was not read; there are {', '.join(map(str, self.points))}")
        known = []
        for right, said in zip(self.right, self.said, strict=True):
            column = right[:, self.points.index(point)]
            if until == "said" and said is not None:
                column = column[: said + 1]
            wrong = (~column).nonzero()
            first = int(wrong[-1]) + 1 if len(wrong) else 0
            known.append(first if first < len(column) else None)
        lead = [
            None if k is None or said is None else said - k for k, said in zip(known, self.said, strict=True)
        ]
        return Leads(known, list(self.said), lead)


def read_traces(
    checkpoint: Checkpoint,
    prompts: Sequence[str],
    traces: Sequence[str],
    points: Sequence[HookPoint],
    reader: Reader,
    gold: Sequence[int],
    said: Sequence[int | None],
    *,
    progress: Callable[[int], None] | None = None,
) -> TraceReading:
    """Read the gold answer after each token of each problem's trace, at every point.

    Args:
        checkpoint: what reads.
        prompts: what stands before each trace.
        traces: as given or generated; each goes on just where its prompt ends, so it brings its own space. A
            token of nothing but that space counts as the prompt's.
        points: where to read.
        reader: `probe_reader` or `lens_reader`, or any function like theirs.
        gold: which of the reader's answers is each problem's.
        said: the character of each trace at which it says the answer; None where it never does.
        progress: called with how many problems were read since its last call.

    Raises:
        UserError: when lists differ in length, for a character that its trace does not have, an answer that
            the reader does not, a tokenizer that cannot tell where its tokens are, and as `capture` does.
    """
    given = {"traces": len(traces), "gold": len(gold), "said": len(said)}
    for name, count in given.items():
        if count != len(prompts):
            raise UserError(f"expected {name} for each of {len(prompts)} prompts, got {count}")
    placed = [
        _placed(checkpoint, *each) for each in zip(prompts, traces, said, range(len(said)), strict=True)
    ]
    probability, right = [], []
    for start in range(0, len(placed), TOGETHER):
        some = placed[start : start + TOGETHER]
        at = [list(range(each.last, len(each.ids))) for each in some]
        captured = capture(checkpoint, [each.ids for each in some], points, at).activations
        scores = reader(captured).float().split([len(each) for each in at], dim=1)
        for i, of in enumerate(scores, start):
            if not 0 <= gold[i] < of.shape[-1]:
                raise UserError(f"problem {i}: the reader has answers 0 to {of.shape[-1] - 1}, got {gold[i]}")
            own, others = of[..., gold[i]], of.clone()
            others[..., gold[i]] = -torch.inf
            probability.append(own.T)
            right.append((own > others.amax(-1)).T)
        if progress is not None:
            progress(len(some))
    tokens, places = [each.ids[each.last + 1 :] for each in placed], [each.said for each in placed]
    return TraceReading(tuple(points), tokens, probability, right, places)


def probe_reader(probe: Classifier) -> Reader:
    """Reads by a fitted probe: one with a slice for each point, or a single one for all of them.

    Its answers are `probe.classes_`, in that order.
    """

    def read(X: Float[Tensor, "point n d_model"]) -> Float[Tensor, "point n answer"]:
        if probe.coef_.ndim == 2:
            return probe.predict_proba(X.flatten(0, 1)).unflatten(0, X.shape[:2])
        return probe.predict_proba(X)

    return read


def lens_reader(
    checkpoint: Checkpoint,
    points: Sequence[HookPoint],
    answers: Int[Tensor, " answer"],
    lens: TunedLens | None = None,
    *,
    among: Literal["answers", "vocabulary"] = "answers",
) -> Reader:
    """Reads by the logit lens, or by a tuned one: the next token's probabilities at the layer.

    Args:
        checkpoint: whose lens.
        points: those that are read, in order.
        answers: the first token of each answer, as it stands in a trace; they must differ.
        lens: a tuned lens; None is the logit lens.
        among: whether an answer's probability is its share among the answers or in the whole vocabulary.

    Raises:
        UserError: when two answers begin with one token.
    """
    if len(set(answers.tolist())) != len(answers):
        raise UserError(f"answers must differ in their first token, got {answers.tolist()}")

    def read(X: Float[Tensor, "point n d_model"]) -> Float[Tensor, "point n answer"]:
        log_probs = lens_log_probs(checkpoint, points, X, answers, lens)
        return log_probs.softmax(-1) if among == "answers" else log_probs.exp()

    return read


class _Placed(NamedTuple):
    """A problem's text as tokens."""

    ids: list[int]
    last: int
    """Index of the prompt's last token."""
    said: int | None


def _placed(checkpoint: Checkpoint, prompt: str, trace: str, said: int | None, problem: int) -> _Placed:
    text = prompt + trace
    ids, (last,) = tokens_before(checkpoint, text, [len(prompt)])
    if said is None:
        return _Placed(ids, last, None)
    if not 0 <= said < len(trace):
        raise UserError(f"problem {problem}: its trace has {len(trace)} characters, there is no {said}")
    span = TextSpan(len(prompt) + said, len(prompt) + said + 1)
    held = tokens_holding(locate(checkpoint, text), span)
    if not held or held[0] <= last:
        raise UserError(f"problem {problem}: no token of its trace holds its character {said}")
    return _Placed(ids, last, held[0] - last - 1)
