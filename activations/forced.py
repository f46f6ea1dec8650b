"""What a model would write at chosen places of given texts, each with the text's own tokens before it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.batching import batch_logits_on, pad_right, run_batches
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.hooks import HookFunction, hooked, logits_only_at
from undertext.activations.rope import sides
from undertext.activations.sampling import some_rows


@dataclass(frozen=True, eq=False)
class Forced:
    """For every text, place by place in the order given."""

    chosen: list[list[int]]
    """The likeliest token at the place."""
    log_probs: list[list[float]]
    """Natural log-probability of the token that stands there."""
    ranks: list[list[int]]
    """Rank of the token that stands there among all tokens: 1 where none is likelier."""
    read: list[list[list[float]]]
    """By what was read, then by text: a figure of the activation at each place itself."""
    others: list[list[list[float]]]
    """Natural log-probability of the other tokens that were asked for at the place, in their order."""


class Read(NamedTuple):
    """A figure that is taken of every place's activation in the same pass."""

    point: HookPoint
    figure: Callable[[Float[Tensor, "n d_model"], Sequence[int]], Float[Tensor, " n"]]
    """Of activations (float32, where the model's layer is), and the text that each stands in."""


@torch.inference_mode()
def forced(
    checkpoint: Checkpoint,
    texts: Sequence[str] | Sequence[Sequence[int]],
    places: Sequence[Sequence[int]],
    *,
    reads: Sequence[Read] = (),
    others: Sequence[Sequence[Sequence[int]]] | None = None,
    batch_tokens: int | None = None,
) -> Forced:
    """Read `texts` (or their token ids) once, and say what the model would write at these places of each.

    `places[i]` are indices into the tokens of `texts[i]`, from 1: nothing is predicted of a first token. The
    tokens before a place are the text's own, whatever the model would have written (teacher forcing). Logits
    are computed at these places alone. Each of `reads` takes a figure of each place's activation too, once
    its token is read. `others[i]` are, place by place, token ids whose log-probability is wanted beside that
    of the token that stands there. A batch that does not fit in memory is split.

    Raises:
        UserError: for a place that a text does not have, a text that does not fit the context or the memory,
            NaN in the logits, and NaN or infinity in an activation that is read.
    """
    encoded = checkpoint.encode(texts)
    for index, (ids, own) in enumerate(zip(encoded, places, strict=True)):
        if bad := [place for place in own if not 1 <= place < len(ids)]:
            raise UserError(f"text {index} has no token {bad[0]} to predict: valid are 1 to {len(ids) - 1}")
    empty: list[list[list[float]]] = [[[] for _ in encoded] for _ in reads]
    out = Forced(
        [[] for _ in encoded], [[] for _ in encoded], [[] for _ in encoded], empty, [[] for _ in encoded]
    )
    wanted = [index for index, own in enumerate(places) if own]
    # What stands at the last place is predicted, and read only where something of it is asked for.
    lengths = [max(places[index]) + bool(reads) for index in wanted]

    def read_of(X: Tensor, of: list[int], read: Read) -> list[float]:
        if (wrong := ~X.isfinite().all(dim=-1)).any():
            row = of[int(wrong.nonzero()[0])]
            raise UserError(f"{checkpoint.name}: NaN or infinity at {read.point}, text {row}")
        figures: list[float] = read.figure(X, of).tolist()
        return figures

    def run(batch: list[int]) -> None:
        rows = [wanted[i] for i in batch]
        ids = pad_right([encoded[wanted[i]][: lengths[i]] for i in batch], checkpoint.device)
        flat = [(i, place) for i, row in enumerate(rows) for place in places[row]]
        at, before = (torch.tensor(each) for each in zip(*((i, place - 1) for i, place in flat), strict=True))
        seen: dict[HookPoint, Tensor] = {}

        def keep(point: HookPoint, activation: Tensor) -> None:
            own = activation[at.to(activation.device), (before + 1).to(activation.device)]
            seen[point] = own.float()

        # Several reads may be of one hook point, whose activation is taken once.
        hooks: dict[HookPoint, HookFunction] = {read.point: partial(keep, read.point) for read in reads}
        # Hooks first: putting them on may try the model on a few tokens.
        with hooked(checkpoint, hooks), logits_only_at(checkpoint, at, before):
            logits: Tensor = checkpoint.model(
                input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False
            ).logits[0]
        if (wrong := logits.amax(dim=-1).isnan()).any():  # a NaN is the greatest of its row
            row = rows[flat[int(wrong.nonzero()[0])][0]]
            raise UserError(f"{checkpoint.name}: NaN in the logits of text {row}")
        asked = [[encoded[rows[i]][place]] for i, place in flat]
        if others is not None:
            more = [other for row in rows for other in others[row]]
            asked = [[own, *other] for (own,), other in zip(asked, more, strict=True)]
        scores, ranked = _standing(logits, asked)
        chosen = logits.argmax(dim=-1).tolist()
        of = [rows[i] for i, _ in flat]
        figures = [read_of(seen[read.point], of, read) for read in reads]
        # All that takes memory is done: a batch that is split has left nothing behind.
        for kept, own in zip(out.read, figures, strict=True):
            for row, figure in zip(of, own, strict=True):
                kept[row].append(figure)
        found = zip(flat, chosen, scores, ranked, strict=True)
        for (i, _), token, (score, *beside), rank in found:
            out.chosen[rows[i]].append(token)
            out.log_probs[rows[i]].append(score)
            out.ranks[rows[i]].append(rank)
            out.others[rows[i]].append(beside)

    share = max((len(places[i]) / length for i, length in zip(wanted, lengths, strict=True)), default=1.0)
    if batch_tokens is None:
        batch_tokens = batch_logits_on(checkpoint.device, checkpoint.d_vocab, share)
    run_batches(lengths, batch_tokens, run, kinds=sides(checkpoint, lengths))
    return out


def _standing(
    logits: Float[Tensor, "place d_vocab"], asked: Sequence[Sequence[int]]
) -> tuple[list[list[float]], list[int]]:
    """Log-probability of the tokens asked for at each place, and the rank of the first of them."""
    scores: list[list[float]] = []
    ranks: list[int] = []
    first = 0
    for some in some_rows(logits):
        ids = asked[first : first + len(some)]
        own = pad_right([list(each) for each in ids], logits.device)
        found = some.float().log_softmax(dim=-1).gather(1, own).tolist()
        scores += [row[: len(each)] for row, each in zip(found, ids, strict=True)]
        ranks += ((some > some.gather(1, own[:, :1])).sum(dim=-1) + 1).tolist()
        first += len(some)
    return scores, ranks
