"""The one place where hooks are put on a model, and taken off again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError, shown
from undertext.activations.hookpoint import SITES, HookPoint, Site
from undertext.activations.layout import HookPlace
from undertext.activations.quiet import quiet

HookFunction = Callable[[Tensor], Tensor | None]
"""Takes an activation [row, position, width], `Checkpoint.width` of its point; a tensor that it returns
takes the activation's place."""

_ENDS: tuple[Site, ...] = ("resid_pre", "resid_post")


class ForwardStopped(Exception):
    """Raised by a hook function to end a forward pass early; caught by whoever started the pass."""


@contextmanager
def hooked(checkpoint: Checkpoint, hooks: Mapping[HookPoint, HookFunction]) -> Iterator[None]:
    """Run the body with a function at each hook point; all are gone afterwards, whatever happens.

    A value written at `resid_mid` goes to the MLP and on along the stream.

    Raises:
        UserError: when the model has no such layer or site.
    """
    # What is tried is tried before any hook is on: the caller's must see no pass that is not its own,
    # also where one such block is inside another.
    if hooks:
        _valid_sites(checkpoint)
    for point in hooks:
        check_point(checkpoint, point)
    with ExitStack() as stack:
        for point, function in hooks.items():
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
        chosen = args[0][rows.to(args[0].device), positions.to(args[0].device)]
        return (chosen[None], *args[1:])

    with ExitStack() as stack:
        stack.callback(head.register_forward_pre_hook(choose).remove)
        yield


def check_point(checkpoint: Checkpoint, point: HookPoint) -> None:
    """UserError unless `point` exists in this model and means there what it says.

    The sites inside a block are held to the identities resid_pre + attn_out = resid_mid and
    resid_mid + mlp_out = resid_post, also for a value written at `resid_mid`. A block that runs
    attention and MLP side by side has no `resid_mid`, and is held to
    resid_pre + attn_out + mlp_out = resid_post. Both are tried once per checkpoint, on a few tokens.
    """
    if point.layer >= checkpoint.n_layers:
        raise UserError(f"{checkpoint.name} has no {point}: its layers are 0 to {checkpoint.n_layers - 1}")
    if point.site in _ENDS:
        return
    valid = _valid_sites(checkpoint)[point.layer]
    if point.site not in valid:
        parallel = "attn_out" in valid
        how = "run side by side" if parallel else "put out what does not add up to the residual stream"
        raise UserError(
            f"{checkpoint.name} has no {point}: in a block of {checkpoint.layout.architecture} attention and "
            f"MLP {how}; valid sites are {', '.join(valid)}"
        )


def check_points(checkpoint: Checkpoint, points: Sequence[HookPoint]) -> None:
    """UserError unless there are points, each once and each in the model."""
    if not isinstance(points, Sequence) or not all(isinstance(point, HookPoint) for point in points):
        raise UserError(f"expected a list of HookPoints, got {shown(repr(points), 80)}")
    if not points or len(set(points)) != len(points):
        raise UserError(f"expected hook points, each once, got [{', '.join(map(str, points))}]")
    for point in points:
        check_point(checkpoint, point)


def _attach(place: HookPlace, site: Site, function: HookFunction) -> RemovableHandle:
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


_sites: "WeakKeyDictionary[Checkpoint, list[tuple[Site, ...]]]" = WeakKeyDictionary()


def _valid_sites(checkpoint: Checkpoint) -> list[tuple[Site, ...]]:
    if checkpoint not in _sites:
        _sites[checkpoint] = _try_sites(checkpoint)
    return _sites[checkpoint]


def _try_sites(checkpoint: Checkpoint) -> list[tuple[Site, ...]]:
    """The sites of each layer that are what their names say."""
    eps = torch.finfo(checkpoint.dtype).eps

    def adds_up(terms: Sequence[Tensor | None], total: Tensor | None) -> bool:
        """Equal up to the rounding of the terms that were added (what is not finite can show nothing)."""
        if total is None or any(term is None or term.shape != total.shape for term in terms):
            return False
        stacked = torch.stack([term for term in terms if term is not None])
        gap = (stacked.sum(dim=0) - total).abs()
        return bool(((gap <= 2 * eps * stacked.abs().sum(dim=0)) | ~gap.isfinite()).all())

    def whole(seen: dict[tuple[int, str], Tensor], layer: int) -> tuple[Site, ...]:
        pre, mid, post, attn, mlp, z, written = (seen.get((layer, part)) for part in (*SITES, "written"))
        sites: set[Site] = set(_ENDS)
        if z is not None and z.shape[-1] == checkpoint.width(HookPoint(layer, "z")):
            sites.add("z")
        if adds_up([pre, attn], mid) and adds_up([written, mlp], post):
            sites |= {"attn_out", "resid_mid", "mlp_out"}
        elif written is None and adds_up([pre, attn, mlp], post):
            sites |= {"attn_out", "mlp_out"}
        return tuple(site for site in SITES if site in sites)

    seen = _read_few_tokens(checkpoint, checkpoint.layout.places)
    found = [whole(seen, layer) for layer in range(checkpoint.n_layers)]
    doubtful = {layer for layer, sites in enumerate(found) if "attn_out" not in sites}
    if doubtful:
        # What was written at a place that is no resid_mid may have spoilt the sum: without it, once more.
        seen = _read_few_tokens(
            checkpoint, {p: place for p, place in checkpoint.layout.places.items() if p.site != "resid_mid"}
        )
        found = [whole(seen, layer) if layer in doubtful else sites for layer, sites in enumerate(found)]
    return found


def _read_few_tokens(
    checkpoint: Checkpoint, places: Mapping[HookPoint, HookPlace]
) -> dict[tuple[int, str], Tensor]:
    """What passes at each layer's sites, and as "written" what a hook at `resid_mid` put there instead."""
    seen: dict[tuple[int, str], Tensor] = {}
    noise = torch.Generator().manual_seed(0)

    def recorder(point: HookPoint) -> HookFunction:
        def record(activation: Tensor) -> Tensor | None:
            seen[point.layer, point.site] = activation.to("cpu", torch.float64, copy=True)
            if point.site != "resid_mid":
                return None
            # Larger than any rounding, however large the activation.
            factor = torch.randn(activation.shape, generator=noise).to(activation)
            shifted = activation + factor * (1 + activation.abs())
            seen[point.layer, "written"] = shifted.to("cpu", torch.float64, copy=True)
            return shifted

        return record

    with ExitStack() as stack, torch.inference_mode(), quiet():
        for point, place in places.items():
            stack.callback(_attach(place, point.site, recorder(point)).remove)
        ids = torch.arange(min(4, checkpoint.d_vocab), device=checkpoint.device)[None]
        checkpoint.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    return seen
