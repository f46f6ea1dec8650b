"""Training a tuned lens: each layer's reading brought as close as can be to what the model says at last."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.batching import batch_tokens_on
from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.unembed import unembed
from undertext.probes.lens import LOGITS
from undertext.probes.tuned_lens import TunedLens


def train_tuned_lens(
    checkpoint: Checkpoint,
    texts: Sequence[str] | Sequence[Sequence[int]],
    *,
    steps: int = 250,
    lr: float = 1e-3,
    batch_tokens: int | None = None,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> TunedLens:
    """Train translators by Adam on KL(the model's distribution || the lens's), averaged over tokens.

    They start at zero, which is the logit lens; the rate falls linearly to zero. A step reads the next texts
    of a seeded shuffle, as many as come to `batch_tokens`; only one batch's activations are ever held.

    Args:
        checkpoint: what the lens is for; its weights are not touched.
        texts: texts, or token ids.
        steps: how many batches.
        lr: Adam's rate at the start.
        batch_tokens: tokens of a batch; by default what suits the model's device.
        seed: of the shuffle.
        progress: called with 1 after each step.

    Raises:
        UserError: when there are no texts, for numbers out of range, and when the loss is not finite.
    """
    if steps < 1 or not 0 < lr < float("inf"):
        raise UserError(f"expected steps of at least 1 and a positive rate, got {steps} and {lr}")
    encoded = _encoded(checkpoint, texts)
    tokens = batch_tokens_on(checkpoint.device) if batch_tokens is None else batch_tokens
    points = _points(checkpoint)
    n, d, device = len(points) - 1, checkpoint.d_model, checkpoint.device
    weight = torch.zeros(n, d, d, device=device, requires_grad=True)
    bias = torch.zeros(n, d, device=device, requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    drawn = _Shuffle(len(encoded), seed)
    for step in range(steps):
        X = _stream(checkpoint, drawn.batch([len(ids) for ids in encoded], tokens), encoded, points)
        target = _log_probs(checkpoint, X[-1])
        optimizer.zero_grad()
        lens = TunedLens(weight, bias, checkpoint.name)
        for layer in range(n):
            for rows in _pieces(checkpoint, X.shape[1]):
                h = lens.translate(points[layer], X[layer, rows])
                loss = _kl(target[rows], unembed(checkpoint, h).log_softmax(-1)).sum() / X.shape[1]
                if not torch.isfinite(loss):
                    raise UserError(f"{checkpoint.name}: the lens diverged at step {step}: lower lr {lr}")
                # Only the translators' gradients: the model's own weights are to stay without any.
                for parameter, more in zip(
                    (weight, bias), torch.autograd.grad(loss, (weight, bias)), strict=True
                ):
                    parameter.grad = more if parameter.grad is None else parameter.grad.add_(more)
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress(1)
    return TunedLens(weight.detach().cpu(), bias.detach().cpu(), checkpoint.name)


def lens_kl(
    checkpoint: Checkpoint,
    texts: Sequence[str] | Sequence[Sequence[int]],
    lens: TunedLens | None = None,
    *,
    batch_tokens: int | None = None,
) -> Float[Tensor, " layer"]:
    """KL(the model's distribution || that read before block 0, 1, ...), in nats a token, over all tokens.

    Without `lens` that of the logit lens. Raises UserError for a lens of another shape, or no texts.
    """
    if lens is not None:
        lens.check(checkpoint)
    encoded, points = _encoded(checkpoint, texts), _points(checkpoint)
    tokens = batch_tokens_on(checkpoint.device) if batch_tokens is None else batch_tokens
    total, count = torch.zeros(len(points) - 1, dtype=torch.float64), 0
    waiting = list(range(len(encoded)))
    while waiting:
        batch = _first(waiting, [len(ids) for ids in encoded], tokens)
        del waiting[: len(batch)]
        X = _stream(checkpoint, batch, encoded, points)
        count += X.shape[1]
        with torch.no_grad():
            target = _log_probs(checkpoint, X[-1])
            for layer in range(len(total)):
                for rows in _pieces(checkpoint, X.shape[1]):
                    h = X[layer, rows] if lens is None else lens.translate(points[layer], X[layer, rows])
                    total[layer] += _kl(target[rows], unembed(checkpoint, h).log_softmax(-1)).sum().cpu()
    return (total / count).float()


class _Shuffle:
    """Indices of texts without end, each round in a new order."""

    def __init__(self, count: int, seed: int) -> None:
        self._count, self._generator = count, torch.Generator().manual_seed(seed)
        self._waiting: list[int] = []

    def batch(self, lengths: Sequence[int], tokens: int) -> list[int]:
        # One round's end and the next one's beginning share a batch, but no text is in it twice.
        if not self._waiting:
            self._waiting = torch.randperm(self._count, generator=self._generator).tolist()
        batch = _first(self._waiting, lengths, tokens)
        del self._waiting[: len(batch)]
        return batch


def _first(waiting: Sequence[int], lengths: Sequence[int], tokens: int) -> list[int]:
    """The first of `waiting` that come to at most `tokens` tokens, one at least."""
    batch: list[int] = []
    total = 0
    for index in waiting:
        total += lengths[index]
        if batch and total > tokens:
            break
        batch.append(index)
    return batch


def _encoded(checkpoint: Checkpoint, texts: Sequence[str] | Sequence[Sequence[int]]) -> list[list[int]]:
    if not len(texts):
        raise UserError("a lens needs texts, got none")
    return checkpoint.encode(texts)


def _points(checkpoint: Checkpoint) -> list[HookPoint]:
    """What goes into each block, and what leaves the last."""
    n = checkpoint.n_layers
    return [*(HookPoint(layer, "resid_pre") for layer in range(n)), HookPoint(n - 1, "resid_post")]


def _stream(
    checkpoint: Checkpoint,
    batch: Sequence[int],
    encoded: Sequence[Sequence[int]],
    points: Sequence[HookPoint],
) -> Float[Tensor, "point n d_model"]:
    prompts = [encoded[index] for index in batch]
    return capture(checkpoint, prompts, points, "all", device=checkpoint.device).activations


def _log_probs(checkpoint: Checkpoint, h: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_vocab"]:
    pieces = [unembed(checkpoint, h[rows]).log_softmax(-1) for rows in _pieces(checkpoint, len(h))]
    return torch.cat(pieces)


def _pieces(checkpoint: Checkpoint, n: int) -> tuple[Tensor, ...]:
    return torch.arange(n, device=checkpoint.device).split(max(1, LOGITS // checkpoint.d_vocab))


def _kl(target: Float[Tensor, "n d_vocab"], read: Float[Tensor, "n d_vocab"]) -> Float[Tensor, " n"]:
    """Of each row, in nats, from log-probabilities."""
    return (target.exp() * (target - read)).sum(-1)
