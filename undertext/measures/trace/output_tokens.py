"""How likely a checkpoint finds each token of given outputs, its own or another's, and what a probe reads of
it there: one teacher-forced pass.

An output is read after its prompt, as the tokenizer cuts the text: where that is not how it was written, the
tokens are those of the reader. An output that ends by itself ends in a token that stands in no text, and has
no figure here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.forced import Read, forced
from undertext.activations.hookpoint import HookPoint
from undertext.activations.spans import locate
from undertext.tasks.spans import join
from undertext.tasks.task import Problem


class TokenProbe(NamedTuple):
    """A linear probe that is read at every token of outputs."""

    point: HookPoint
    coef: Float[Tensor, "class d_model"]
    intercept: Float[Tensor, " class"]

    def reading(self, wanted: Sequence[int | None]) -> Read:
        """The probability of one class for each text, by its index; NaN of a text that has none."""
        chosen = torch.tensor([-1 if each is None else each for each in wanted])

        def figure(X: Float[Tensor, "n d_model"], texts: Sequence[int]) -> Float[Tensor, " n"]:
            own = chosen[list(texts)].to(X.device)
            logits = X @ self.coef.to(X).mT + self.intercept.to(X)
            probability = logits.softmax(-1).gather(1, own.clamp(min=0)[:, None])[:, 0]
            return probability.where(own >= 0, torch.nan)

        return Read(self.point, figure)


class Placed(NamedTuple):
    """Outputs after their prompts, in a checkpoint's tokens."""

    ids: list[list[int]]
    """Prompt and output, as far as the context goes."""
    places: list[list[int]]
    """Which of these tokens are the output's."""
    starts: list[list[int]]
    """At which character of the output each of those begins."""
    ends: list[int]
    """Before which character of the output the last of those ends."""


@dataclass(frozen=True, eq=False)
class OutputTokens:
    """The tokens of all outputs, one output after another."""

    counts: Int[ndarray, " output"]
    """Number of tokens of each output; those beyond the context are left out."""
    starts: Int[ndarray, " token"]
    """At which character of its output each begins."""
    ends: Int[ndarray, " output"]
    """How many characters of each output were read: fewer than it has where the context ended before it."""
    log_probs: Float[ndarray, " token"]
    """Natural log-probability of each, the output's own tokens before it given."""
    ranks: Int[ndarray, " token"]
    """Rank of each among all tokens: 1 where none is likelier."""
    probe: Float[ndarray, " token"] | None = None
    """What a probe reads once each is read: the probability of the class that is asked for of its output; NaN
    where there is none. None without a probe."""
    feature: Float[ndarray, " token"] | None = None
    """How strongly a feature fires once each is read: 0 where it is silent. None without a feature."""


def placed(checkpoint: Checkpoint, problems: Sequence[Problem], outputs: Sequence[str]) -> Placed:
    """The tokens of every output after its prompt, without white space at its ends.

    Raises UserError where the tokenizer cannot say which characters a token holds.
    """
    out = Placed([], [], [], [])
    for problem, output in zip(problems, outputs, strict=True):
        solid = output.strip()
        text = join(problem.prompt, solid) if solid else problem.prompt
        located = locate(checkpoint, text)
        begin, lead = len(text) - len(solid), len(output) - len(output.lstrip())
        ids = located.ids[: checkpoint.n_ctx]
        own = [i for i, (_, end) in enumerate(located.offsets[: len(ids)]) if end > begin and i > 0]
        out.ids.append(ids)
        out.places.append(own)
        out.starts.append([lead + max(0, located.offsets[i][0] - begin) for i in own])
        out.ends.append(lead + located.offsets[own[-1]][1] - begin if own else 0)
    return out


def output_tokens(
    checkpoint: Checkpoint,
    problems: Sequence[Problem],
    outputs: Sequence[str],
    *,
    probe: TokenProbe | None = None,
    wanted: Sequence[int | None] = (),
    feature: Read | None = None,
    progress: Callable[[int], None] | None = None,
) -> OutputTokens:
    """Read every output after its prompt with `checkpoint`, once.

    A `probe` and a `feature` read the same pass. With a `probe`, `wanted` is the class of each output whose
    probability is kept; a `feature` gives the strength at which it fires.
    """
    at = placed(checkpoint, problems, outputs)
    reads = {
        **({} if probe is None else {"probe": probe.reading(wanted)}),
        **({} if feature is None else {"feature": feature}),
    }
    found = forced(checkpoint, at.ids, at.places, reads=list(reads.values()))
    figures = {
        name: np.array([figure for own in each for figure in own], np.float32)
        for name, each in zip(reads, found.read, strict=True)
    }
    if progress is not None:
        progress(len(problems))
    return OutputTokens(
        counts=np.array([len(own) for own in at.places], np.int32),
        starts=np.array([start for own in at.starts for start in own], np.int32),
        ends=np.array(at.ends, np.int32),
        log_probs=np.array([score for own in found.log_probs for score in own], np.float32),
        ranks=np.array([rank for own in found.ranks for rank in own], np.int32),
        probe=figures.get("probe"),
        feature=figures.get("feature"),
    )
