"""From the residual stream to logits, as the model itself does it."""

from contextlib import ExitStack

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.hooks import hooked


def unembed(checkpoint: Checkpoint, h: Float[Tensor, "*row d_model"]) -> Float[Tensor, "*row d_vocab"]:
    """The logits, in float32, that the model would give if `h` left its last block.

    The model's own forward pass does it, on one token whose residual stream is exchanged for `h` after the
    last block: whatever an architecture does from there on (final norm, projection, soft cap, scale) is done.
    `h` may carry gradients; hooks of the caller's that are on see that one token.

    Raises:
        UserError: for another width than the model's.
    """
    d_model = checkpoint.d_model
    if h.shape[-1] != d_model:
        raise UserError(f"{checkpoint.name}: expected activations [.., {d_model}], got {list(h.shape)}")
    # Rows of one token each: so an architecture that restores [batch, token] from its input restores this.
    rows = h.reshape(-1, 1, d_model).to(checkpoint.device, checkpoint.dtype)
    last = HookPoint(checkpoint.n_layers - 1, "resid_post")
    one = torch.zeros(1, 1, dtype=torch.long, device=checkpoint.device)
    if not len(rows):
        return torch.empty((*h.shape[:-1], checkpoint.d_vocab), device=checkpoint.device)
    with ExitStack() as stack:
        if not h.requires_grad:
            stack.enter_context(torch.no_grad())
        stack.enter_context(hooked(checkpoint, {last: lambda activation: rows.to(activation.device)}))
        out = checkpoint.model(input_ids=one, attention_mask=torch.ones_like(one), use_cache=False)
    logits: Tensor = out.logits
    return logits.float().reshape((*h.shape[:-1], logits.shape[-1])).to(checkpoint.device)
