"""What steering does to the reading of given text: how far predictions move, and how well they still fit."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from activations.batching import batch_tokens_on, pad_right, run_batches
from activations.checkpoint import Checkpoint
from activations.errors import UserError
from activations.groups import allows, parameters
from activations.hookpoint import HookPoint
from activations.hooks import HookFunction, hooked
from activations.interventions import Intervention
from activations.operators import OPERATORS
from steering.settings import Interventions, Readout, Setting
from steering.steering_vector import SteeringVector


@dataclass(frozen=True)
class OnText:
    """One figure a token that was predicted, those of the first text first. Nats."""

    divergence: Float[Tensor, " token"]
    """KL(steered || unsteered) of the prediction."""
    unsteered: Float[Tensor, " token"]
    """-log p of the text's own token, without steering, and"""
    steered: Float[Tensor, " token"]
    """with it."""
    texts: Int[Tensor, " token"]
    """Of which text the token is."""
    touched: int
    """At how many tokens of all texts something was changed."""


def on_text(
    checkpoint: Checkpoint,
    texts: Sequence[str] | Sequence[Sequence[int]],
    setting: Setting,
    vectors: Sequence[SteeringVector],
    *,
    thresholds: dict[str, Readout] | None = None,
) -> OnText:
    """Read each text with a setting and without.

    The first half of a text stands for the prompt and the second for what is generated, so that each
    gate acts as it does in a sweep; the second half is what is predicted.

    Raises:
        UserError: for a text of one token, and as `sweep` for a setting that cannot be.
        RuntimeError: when hooks did not act at exactly the tokens they were to act at.
    """
    encoded = checkpoint.encode(texts)
    make = Interventions(vectors, thresholds)
    # Texts in which the same interventions act are read together: one group, unless places are drawn.
    groups: dict[tuple[Intervention, ...], list[int]] = {}
    for row, ids in enumerate(encoded):
        groups.setdefault(make.of(setting, ids[: len(ids) // 2]), []).append(row)
    read = [
        (rows, read_steered(checkpoint, [encoded[row] for row in rows], those))
        for those, rows in groups.items()
    ]
    owner = torch.cat([torch.tensor(rows)[each.texts] for rows, each in read])
    order = owner.argsort(stable=True)
    return OnText(
        torch.cat([each.divergence for _, each in read])[order],
        torch.cat([each.unsteered for _, each in read])[order],
        torch.cat([each.steered for _, each in read])[order],
        owner[order],
        sum(each.touched for _, each in read),
    )


def read_steered(
    checkpoint: Checkpoint,
    texts: Sequence[str] | Sequence[Sequence[int]],
    interventions: Sequence[Intervention],
    *,
    heads: Sequence[int] | None = None,
) -> OnText:
    """`on_text`, with interventions and the number of tokens of each text that are its prompt."""
    encoded = checkpoint.encode(texts)
    for row, ids in enumerate(encoded):
        if len(ids) < 2:
            raise UserError(f"text {row} has {len(ids)} token: none can be predicted")
    halves = [len(ids) // 2 for ids in encoded] if heads is None else list(heads)
    found: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
    touched = 0

    def run(rows: list[int]) -> None:
        nonlocal touched
        some, starts = [encoded[row] for row in rows], [halves[row] for row in rows]
        ids = pad_right(some, checkpoint.device)
        steered = _Steered(checkpoint, some, starts, interventions, ids.shape[1])
        with torch.inference_mode():
            before = _log_probabilities(checkpoint, ids)
            with hooked(checkpoint, steered.hooks):
                after = _log_probabilities(checkpoint, ids)
        steered.audit()
        touched += steered.touched
        for i, (row, start) in enumerate(zip(rows, starts, strict=True)):
            own = ids[i, start : len(some[i])][:, None]
            p, q = (each[i, start - 1 : len(some[i]) - 1] for each in (before, after))
            divergence = (q.exp() * (q - p)).sum(-1).clamp(min=0)  # below 0 by rounding alone
            found[row] = divergence.cpu(), -p.gather(1, own)[:, 0].cpu(), -q.gather(1, own)[:, 0].cpu()

    run_batches([len(ids) for ids in encoded], batch_tokens_on(checkpoint.device), run)
    parts = [found[row] for row in range(len(encoded))]
    owner = [torch.full((len(part[0]),), row) for row, part in enumerate(parts)]
    divergence, unsteered, with_it = (torch.cat(each) for each in zip(*parts, strict=True))
    return OnText(divergence, unsteered, with_it, torch.cat(owner), touched)


def _log_probabilities(checkpoint: Checkpoint, ids: Int[Tensor, "row position"]) -> Tensor:
    logits = checkpoint.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
    return logits.float().log_softmax(-1)


class _Steered:
    """The same interventions in every row of a batch of texts, read in one pass."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        texts: Sequence[Sequence[int]],
        starts: Sequence[int],
        interventions: Sequence[Intervention],
        width: int,
    ) -> None:
        self._by_point: dict[HookPoint, list[Intervention]] = {}
        self._gates: dict[Intervention, tuple[Tensor, Tensor]] = {}
        self._parameters = {each: parameters(checkpoint, [each]) for each in interventions}
        for each in interventions:
            self._by_point.setdefault(each.point, []).append(each)
            gate, dose = torch.zeros(len(texts), width, dtype=torch.bool), torch.zeros(len(texts), width)
            for row, (ids, start) in enumerate(zip(texts, starts, strict=True)):
                for position, weight in _acting(each, len(ids), start):
                    gate[row, position] = allows(checkpoint, each, ids[: position + 1])
                    dose[row, position] = each.dose * weight
            self._gates[each] = gate.to(checkpoint.device), dose.to(checkpoint.device)
        self._asked: dict[Intervention, int] = {}
        self.touched = 0

    @property
    def hooks(self) -> dict[HookPoint, HookFunction]:
        def changer(those: list[Intervention]) -> HookFunction:
            def change(activation: Tensor) -> Tensor:
                for each in those:
                    activation = self._change(each, activation)
                return activation

            return change

        return {point: changer(those) for point, those in self._by_point.items()}

    def _change(self, each: Intervention, h: Tensor) -> Tensor:
        gate, dose = self._gates[each]
        exact = h.float()
        if each.threshold is not None:
            direction = each.threshold.direction.to(exact)
            gate = gate & (exact @ direction + each.threshold.bias > 0)
        changed = OPERATORS[each.operator](exact, dose[..., None], self._parameters[each]).to(h.dtype)
        self._asked[each] = self._asked.get(each, 0) + 1
        self.touched += int(gate.sum())
        return torch.where(gate[..., None], changed, h)

    def audit(self) -> None:
        """RuntimeError unless every intervention was asked once, at all its tokens."""
        for each in self._gates:
            if self._asked.get(each, 0) != 1:
                raise RuntimeError(
                    f"{each.operator} at {each.point} was asked {self._asked.get(each, 0)} times in one pass"
                )


def _acting(each: Intervention, length: int, start: int) -> list[tuple[int, float]]:
    """Positions at which an intervention may act in a text whose prompt ends at `start`, with the dose's
    share there. The text's last token is read for nothing that is predicted, but acted at all the same."""
    on = [(position, 1.0) for position in each.prompt_indices(start)]
    if each.on_generated:
        last = length if each.first is None else min(length, start + each.first)
        on += [(position, each.decay ** (position - start)) for position in range(start, last)]
    return on
