"""Vectors fitted by gradient descent while every weight stays frozen: training, and labelled so."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from undertext.activations.batching import pad_right
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import GateAt, HookPoint, Site
from undertext.activations.hooks import HookFunction, hooked


class Targets(NamedTuple):
    """Prompts with what is to follow each, as one batch."""

    ids: Int[Tensor, "row position"]
    acting: Bool[Tensor, "row position 1"]
    """Where the vector is added."""
    predicting: Bool[Tensor, "row position"]
    """Whose next token is one of the target's."""


def fit_vector(
    checkpoint: Checkpoint,
    prompts: Sequence[str] | Sequence[Sequence[int]],
    targets: Sequence[str] | Sequence[Sequence[int]],
    norms: Float[Tensor, " layer"],
    *,
    layers: Sequence[int] | None = None,
    together: bool = False,
    at: GateAt = "last_prompt",
    site: Site = "resid_post",
    steps: int = 100,
    lr: float = 0.02,
    batch_size: int = 32,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Float[Tensor, "layer d_model"]:
    """A vector a layer that, added, makes the checkpoint write the targets: a bias, and nothing else, learnt.

    From zero, by Adam on the mean cross-entropy of the targets' tokens. The weights have no gradient and
    do not change. (Sinii et al., arXiv 2505.18706, fit such vectors by reinforcement.)

    Args:
        checkpoint: what is to write them.
        prompts: texts, or token ids.
        targets: what is to follow each, in the same form; as text, its tokens without special ones.
        norms: mean residual norm at each layer, the unit of `lr`.
        layers: to fit at; None fits at each.
        together: fit all layers as they act at once, instead of each as it acts alone.
        at: the tokens at which it is added; "generated" are the target's.
        site: where in the layer.
        steps: updates of each vector.
        lr: Adam's step, a share of the norm.
        batch_size: pairs in one update.
        seed: of the order of the pairs.
        progress: called with 1 after every update.

    Returns:
        The vectors, zeros at layers that were not fitted.

    Raises:
        UserError: for no pairs, unequal numbers of prompts and targets, a target without tokens, a text
            that does not fit the context, a layer that is not there, the site z, and a loss that is not
            finite.
    """
    if site == "z":
        raise UserError("vectors are fitted where activations are d_model wide, which they are not at z")
    pairs = _pairs(checkpoint, prompts, targets)
    chosen = list(range(checkpoint.n_layers)) if layers is None else list(layers)
    fitted = torch.zeros(checkpoint.n_layers, checkpoint.d_model)
    for group in [chosen] if together else [[layer] for layer in chosen]:
        points = [HookPoint(layer, site) for layer in group]
        unit = (norms[group] / checkpoint.d_model**0.5).to(checkpoint.device)[:, None]
        shares = torch.zeros(len(group), checkpoint.d_model, device=checkpoint.device, requires_grad=True)
        optimiser = torch.optim.Adam([shares], lr)
        order = in_turn(len(pairs), batch_size, seed)
        with frozen(checkpoint):
            for _ in range(steps):
                batch = targets_of(checkpoint, [pairs[i] for i in next(order)], at)
                loss = -log_probabilities(checkpoint, batch, points, shares * unit).mean()
                if not bool(loss.isfinite()):
                    raise UserError(f"fitting at {points[0]}: the loss is {loss.item()}; lower lr ({lr:g})")
                (shares.grad,) = torch.autograd.grad(loss, [shares])
                optimiser.step()
                if progress is not None:
                    progress(1)
        fitted[group] = (shares * unit).detach().float().cpu()
    return fitted


def _pairs(
    checkpoint: Checkpoint,
    prompts: Sequence[str] | Sequence[Sequence[int]],
    targets: Sequence[str] | Sequence[Sequence[int]],
) -> list[tuple[list[int], list[int]]]:
    """Token ids of each prompt and its target, checked."""
    if not prompts or len(prompts) != len(targets):
        raise UserError(f"expected a target for each prompt, got {len(prompts)} and {len(targets)}")
    heads = checkpoint.encode(prompts)
    tails = [
        checkpoint.tokenizer.encode(each, add_special_tokens=False) if isinstance(each, str) else list(each)
        for each in targets
    ]
    for row, tail in enumerate(tails):
        if not tail:
            raise UserError(f"target {row} ({targets[row]!r}) has no tokens")
    checkpoint.encode([head + tail for head, tail in zip(heads, tails, strict=True)])
    return list(zip(heads, tails, strict=True))


def in_turn(count: int, size: int, seed: int) -> Iterator[list[int]]:
    """Indices of one batch after another, without end, each index once before any comes again."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        for some in torch.randperm(count, generator=generator).split(size):
            yield some.tolist()


def targets_of(checkpoint: Checkpoint, pairs: Sequence[tuple[list[int], list[int]]], at: GateAt) -> Targets:
    """The batch of these prompts and what follows them, with what is added acting at the tokens of a gate."""
    ids = pad_right([head + tail for head, tail in pairs], checkpoint.device)
    place = torch.arange(ids.shape[1])[None]
    start = torch.tensor([len(head) for head, _ in pairs])[:, None]
    end = torch.tensor([len(head) + len(tail) for head, tail in pairs])[:, None]
    acting = {
        "last_prompt": place == start - 1,
        "prompt": place < start,
        "generated": (place >= start) & (place < end),
        "all": place < end,
    }[at]
    predicting = (place >= start - 1) & (place < end - 1)
    return Targets(ids, acting[..., None].to(ids.device), predicting.to(ids.device))


def log_probabilities(
    checkpoint: Checkpoint,
    batch: Targets,
    points: Sequence[HookPoint] = (),
    vectors: Float[Tensor, "point d_model"] | None = None,
    *,
    temperature: float = 1.0,
    end: frozenset[int] = frozenset(),
) -> Float[Tensor, " token"]:
    """Log probability of each target's tokens in turn, row after row, with the vectors added.

    The tokens of `end` count as one: any of them says that the text is over.
    """

    def adder(vector: Tensor) -> HookFunction:
        return lambda activation: activation + batch.acting.to(activation.device) * vector.to(activation)

    added = () if vectors is None else vectors
    hooks = {point: adder(vector) for point, vector in zip(points, added, strict=True)}
    with hooked(checkpoint, hooks):
        logits = checkpoint.model(
            input_ids=batch.ids, attention_mask=torch.ones_like(batch.ids), use_cache=False
        ).logits
    predicted = (logits[batch.predicting].float() / temperature).log_softmax(-1)
    following = batch.ids.roll(-1, dims=1)[batch.predicting]
    own = predicted.gather(1, following[:, None])[:, 0]
    if not end:
        return own
    ends = torch.tensor(sorted(end), device=following.device)
    return own.where(~torch.isin(following, ends), predicted[:, ends].logsumexp(-1))


@contextmanager
def frozen(checkpoint: Checkpoint) -> Iterator[None]:
    """No weight asks for a gradient inside."""
    asking = [each for each in checkpoint.model.parameters() if each.requires_grad]
    try:
        for each in asking:
            each.requires_grad_(False)
        with torch.enable_grad():
            yield
    finally:
        for each in asking:
            each.requires_grad_(True)
