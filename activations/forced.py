"""What a model would write at chosen places of given texts, each with the text's own tokens before it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from undertext.activations.batching import batch_tokens_on, pad_right, run_batches
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hooks import logits_only_at
from undertext.activations.rope import sides


@dataclass(frozen=True, eq=False)
class Forced:
    """For every text, place by place in the order given."""

    chosen: list[list[int]]
    """The likeliest token at the place."""
    log_probs: list[list[float]]
    """Natural log-probability of the token that stands there."""
    ranks: list[list[int]]
    """Rank of the token that stands there among all tokens: 1 where none is likelier."""


@torch.inference_mode()
def forced(
    checkpoint: Checkpoint,
    texts: Sequence[str] | Sequence[Sequence[int]],
    places: Sequence[Sequence[int]],
    *,
    batch_tokens: int | None = None,
) -> Forced:
    """Read `texts` (or their token ids) once, and say what the model would write at these places of each.

    `places[i]` are indices into the tokens of `texts[i]`, from 1: nothing is predicted of a first token. The
    tokens before a place are the text's own, whatever the model would have written (teacher forcing). Logits
    are computed at these places alone. A batch that does not fit in memory is split.

    Raises:
        UserError: for a place that a text does not have, a text that does not fit the context or the memory,
            and NaN in the logits.
    """
    encoded = checkpoint.encode(texts)
    for index, (ids, own) in enumerate(zip(encoded, places, strict=True)):
        if bad := [place for place in own if not 1 <= place < len(ids)]:
            raise UserError(f"text {index} has no token {bad[0]} to predict: valid are 1 to {len(ids) - 1}")
    out = Forced([[] for _ in encoded], [[] for _ in encoded], [[] for _ in encoded])
    wanted = [index for index, own in enumerate(places) if own]

    def run(batch: list[int]) -> None:
        rows = [wanted[i] for i in batch]
        # What stands at the last place is predicted, never read.
        ids = pad_right([encoded[row][: max(places[row])] for row in rows], checkpoint.device)
        flat = [(i, place) for i, row in enumerate(rows) for place in places[row]]
        at, before = (torch.tensor(each) for each in zip(*((i, place - 1) for i, place in flat), strict=True))
        with logits_only_at(checkpoint, at, before):
            logits: Tensor = checkpoint.model(
                input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False
            ).logits[0]
        if (wrong := logits.isnan().any(dim=-1)).any():
            row = rows[flat[int(wrong.nonzero()[0])][0]]
            raise UserError(f"{checkpoint.name}: NaN in the logits of text {row}")
        there = torch.tensor([[encoded[rows[i]][place]] for i, place in flat], device=logits.device)
        scores = logits.float().log_softmax(dim=-1).gather(1, there)[:, 0].tolist()
        ranks = (logits > logits.gather(1, there)).sum(dim=-1) + 1
        found = zip(flat, logits.argmax(dim=-1).tolist(), scores, ranks.tolist(), strict=True)
        for (i, _), token, score, rank in found:
            out.chosen[rows[i]].append(token)
            out.log_probs[rows[i]].append(score)
            out.ranks[rows[i]].append(rank)

    tokens = batch_tokens_on(checkpoint.device) if batch_tokens is None else batch_tokens
    lengths = [max(places[index]) for index in wanted]
    run_batches(lengths, tokens, run, kinds=sides(checkpoint, lengths))
    return out
