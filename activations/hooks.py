"""The one place where hooks are put on a model, and taken off again."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from activations.checkpoint import Checkpoint
from activations.errors import UserError
from activations.hookpoint import SITES, HookPoint, Site
from activations.layout import Place
from activations.quiet import quiet

HookFunction = Callable[[Tensor], Tensor | None]
"""Takes an activation [row, position, d_model]; a tensor that it returns takes the activation's place."""

_INNER: tuple[Site, ...] = ("resid_mid", "attn_out", "mlp_out")


class ForwardStopped(Exception):
    """Raised by a hook function to end a forward pass early; caught by whoever started the pass."""


@contextmanager
def hooked(checkpoint: Checkpoint, hooks: Mapping[HookPoint, HookFunction]) -> Iterator[None]:
    """Run the body with a function at each hook point; all are gone afterwards, whatever happens.

    A value written at `resid_mid` goes to the MLP and on along the stream.

    Raises:
        UserError: when the model has no such layer or site.
    """
    with ExitStack() as stack:
        for point, function in hooks.items():
            check_point(checkpoint, point)
            stack.callback(_attach(checkpoint.layout.places[point], point.site, function).remove)
        yield


@contextmanager
def logits_only_at(
    checkpoint: Checkpoint, rows: Int[Tensor, " n"], positions: Int[Tensor, " n"]
) -> Iterator[None]:
    """Make a forward pass in the body compute logits at the `n` chosen tokens alone: [1, n, d_vocab].

    Only their final hidden states reach the output embedding. What an architecture does to its logits
    afterwards (a soft cap, a scale) acts on one token at a time, and so is as it would be.

    Raises:
        UserError: when the model has no output embedding.
    """
    head = checkpoint.model.get_output_embeddings()
    if head is None:
        raise UserError(f"{checkpoint.name} has no output embedding: a causal language model was expected")

    def choose(module: Any, args: Any) -> Any:
        return (args[0][rows, positions][None], *args[1:])

    with ExitStack() as stack:
        stack.callback(head.register_forward_pre_hook(choose).remove)
        yield


def check_point(checkpoint: Checkpoint, point: HookPoint) -> None:
    """UserError unless `point` exists in this model and means there what it says.

    The sites inside a block are held to the identities resid_pre + attn_out = resid_mid and
    resid_mid + mlp_out = resid_post, tried once per checkpoint on a few tokens. Blocks that run
    attention and MLP in parallel have no `resid_mid`, and are refused.
    """
    if point.layer >= checkpoint.n_layers:
        raise UserError(f"{checkpoint.name} has no {point}: its layers are 0 to {checkpoint.n_layers - 1}")
    if point.site in _INNER and (
        point not in checkpoint.layout.places or point.layer not in _sequential_layers(checkpoint)
    ):
        raise UserError(
            f"{checkpoint.name} has no {point}: in a block of {checkpoint.layout.architecture} attention "
            "and MLP do not add to the residual stream one after the other; "
            "valid sites are resid_pre, resid_post"
        )


def _attach(place: Place, site: Site, function: HookFunction) -> RemovableHandle:
    if place.side == "out":

        def after(module: Any, args: Any, output: Any) -> Any:
            first = output[0] if isinstance(output, tuple) else output
            replaced = function(first)
            if replaced is None:
                return None
            return (replaced, *output[1:]) if isinstance(output, tuple) else replaced

        return place.module.register_forward_hook(after)

    def before(module: Any, args: Any, kwargs: Any) -> Any:
        value = args[0] if args else kwargs["hidden_states"]
        if site == "resid_mid":
            # The block keeps this very tensor as its residual: writing into it changes the stream,
            # while a new input to the norm would change what the MLP reads and nothing else.
            replaced = function(value.clone() if value.requires_grad else value)
            if replaced is not None and replaced is not value:
                value.copy_(replaced)
            return None
        replaced = function(value)
        if replaced is None:
            return None
        return ((replaced, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": replaced})

    return place.module.register_forward_pre_hook(before, with_kwargs=True)


_checked: "WeakKeyDictionary[Checkpoint, frozenset[int]]" = WeakKeyDictionary()


def _sequential_layers(checkpoint: Checkpoint) -> frozenset[int]:
    """The layers whose blocks keep the identities, also for a value written at `resid_mid`."""
    if checkpoint not in _checked:
        _checked[checkpoint] = _try_identities(checkpoint)
    return _checked[checkpoint]


def _try_identities(checkpoint: Checkpoint) -> frozenset[int]:
    seen: dict[tuple[int, str], Tensor] = {}
    noise = torch.Generator().manual_seed(0)

    def recorder(point: HookPoint) -> HookFunction:
        def record(activation: Tensor) -> Tensor | None:
            seen[point.layer, point.site] = activation.clone()
            if point.site != "resid_mid":
                return None
            shifted = activation + torch.randn(activation.shape, generator=noise).to(activation)
            seen[point.layer, "written"] = shifted.clone()
            return shifted

        return record

    def keeps(layer: int) -> bool:
        parts = [seen.get((layer, part)) for part in (*SITES, "written")]
        pre, mid, post, attn, mlp, written = (torch.empty(0) if part is None else part for part in parts)
        return (
            _same(pre + attn, mid) and _same(written + mlp, post)
            if pre.shape == attn.shape == mlp.shape
            else False
        )

    with ExitStack() as stack, torch.inference_mode(), quiet():
        for point, place in checkpoint.layout.places.items():
            stack.callback(_attach(place, point.site, recorder(point)).remove)
        ids = torch.arange(min(4, checkpoint.d_vocab), device=checkpoint.device)[None]
        checkpoint.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    return frozenset(layer for layer in range(checkpoint.n_layers) if keeps(layer))


def _same(found: Tensor, expected: Tensor) -> bool:
    """Equal up to the rounding of one addition (and NaN with NaN: that is reported where it is captured)."""
    if found.shape != expected.shape or found.numel() == 0:
        return False
    scale = expected.nan_to_num(0, 0, 0).abs().max().item()
    return torch.allclose(
        found, expected, rtol=0, atol=4 * torch.finfo(found.dtype).eps * scale, equal_nan=True
    )
