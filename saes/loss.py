"""What a model loses when it reads an SAE's reconstruction in place of its own activations."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from undertext.activations.batching import batch_tokens_on, pad_right, run_batches
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.hooks import HookFunction, hooked
from undertext.saes.checks import check_reads
from undertext.saes.sae_type import SAE


@dataclass(frozen=True)
class LossRecovered:
    """Mean cross-entropy per predicted token, in nats, with four things at the hook point."""

    clean: float
    """The activations as they are."""
    spliced: float
    """The SAE's reconstruction of them."""
    zero: float
    """Zeros."""
    mean: float
    """Their mean over all tokens of the prompts."""
    tokens: int
    """Tokens predicted."""

    @property
    def recovered_from_zero(self) -> float | None:
        """(zero - spliced) / (zero - clean), unclamped; None where zeros do no harm: nothing is to
        recover."""
        return _share(self.clean, self.spliced, self.zero)

    @property
    def recovered_from_mean(self) -> float | None:
        """The same against the mean, the stricter of the two."""
        return _share(self.clean, self.spliced, self.mean)


@torch.no_grad()
def loss_recovered(
    sae: SAE,
    checkpoint: Checkpoint,
    prompts: Sequence[str] | Sequence[Sequence[int]],
    point: HookPoint,
    *,
    scale: float = 1.0,
    batch_tokens: int | None = None,
) -> LossRecovered:
    """Run `prompts` four times, replacing every token's activation at `point`.

    `scale` multiplies the activations that the SAE reads, and divides what it writes: `PairFirings.scales`
    says by what, for a checkpoint that the SAE was not trained on.
    `batch_tokens` are the tokens of one forward pass, padding included; by default what suits the model's
    device.

    Raises:
        UserError: when the SAE was trained at another hook point or width, the model has no such point, or no
            prompt has a second token to predict.
    """
    check_reads(sae, checkpoint, point)
    encoded = [ids for ids in checkpoint.encode(prompts) if len(ids) > 1]
    if not encoded:
        raise UserError("expected prompts of two tokens or more: there is nothing to predict in shorter ones")
    together: list[list[int]] = []
    tokens_at_once = batch_tokens_on(checkpoint.device) if batch_tokens is None else batch_tokens
    run_batches([len(ids) for ids in encoded], tokens_at_once, together.append)
    batches = [[encoded[i] for i in rows] for rows in together]

    total, rows = torch.zeros(checkpoint.width(point), dtype=torch.float64), 0
    lengths: Int[Tensor, " row"]

    def watch(activation: Tensor) -> None:
        nonlocal rows
        places = torch.arange(activation.shape[1], device=activation.device)
        real = places < lengths[:, None].to(activation.device)
        total.add_(activation[real].double().sum(dim=0).cpu())
        rows += int(real.sum())

    clean = 0.0
    for batch in batches:
        lengths = torch.tensor([len(ids) for ids in batch], device=checkpoint.device)
        clean += _loss(checkpoint, batch, {point: watch})
    mean = (total / rows).float()

    def splice(activation: Tensor) -> Tensor:
        flat = activation.flatten(0, 1).to(sae.W_dec.device, sae.W_dec.dtype)
        return (sae.decode(sae.encode(flat * scale)) / scale).to(activation).view_as(activation)

    def fill(value: Float[Tensor, " d_model"]) -> HookFunction:
        return lambda activation: value.to(activation).expand_as(activation).clone()

    replaced = {"spliced": splice, "zero": fill(torch.zeros_like(mean)), "mean": fill(mean)}
    losses = {
        name: sum(_loss(checkpoint, batch, {point: function}) for batch in batches)
        for name, function in replaced.items()
    }
    tokens = sum(len(ids) - 1 for ids in encoded)
    return LossRecovered(
        clean=clean / tokens, tokens=tokens, **{name: loss / tokens for name, loss in losses.items()}
    )


def _loss(
    checkpoint: Checkpoint, batch: Sequence[Sequence[int]], hooks: dict[HookPoint, HookFunction]
) -> float:
    """The summed cross-entropy of every prompt's tokens after its first."""
    ids = pad_right(batch, checkpoint.device)
    with hooked(checkpoint, hooks):
        logits = checkpoint.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
    lengths = torch.tensor([len(row) for row in batch], device=ids.device)
    real = torch.arange(1, ids.shape[1], device=ids.device) < lengths[:, None]
    return float(
        nn.functional.cross_entropy(logits[:, :-1][real].double(), ids[:, 1:][real], reduction="sum")
    )


def _share(clean: float, spliced: float, ablated: float) -> float | None:
    return (ablated - spliced) / (ablated - clean) if ablated > clean else None
