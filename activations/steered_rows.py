"""Applying to each row of a batch its own intervention, and counting what was touched."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from activations.checkpoint import Checkpoint
from activations.errors import UserError
from activations.hookpoint import HookPoint
from activations.hooks import HookFunction, check_point
from activations.interventions import Intervention


def check_interventions(
    checkpoint: Checkpoint, interventions: Sequence[Intervention | None], prompts: int
) -> None:
    """UserError unless there is one intervention (or None) per prompt, each one possible in this model."""
    if len(interventions) != prompts:
        raise UserError(
            f"expected an intervention or None for each of {prompts} prompts, got {len(interventions)}"
        )
    for row, intervention in enumerate(interventions):
        if intervention is None:
            continue
        check_point(checkpoint, intervention.point)
        if len(intervention.vector) != checkpoint.d_model:
            raise UserError(
                f"row {row}: expected a vector [{checkpoint.d_model}] at {intervention.point} "
                f"of {checkpoint.name}, got [{len(intervention.vector)}]"
            )
        if not bool((intervention.dose * intervention.vector).isfinite().all()):
            raise UserError(f"row {row}: dose times vector at {intervention.point} holds NaN or infinity")


@dataclass
class _Group:
    """The rows of a batch that act at one point; the other rows have zeros."""

    delta: Float[Tensor, "row d_model"]
    on_prompt: Bool[Tensor, " row"]
    on_last: Bool[Tensor, " row"]
    on_generated: Bool[Tensor, " row"]

    def keep_rows(self, rows: Int[Tensor, " kept"]) -> None:
        self.delta, self.on_generated = self.delta[rows], self.on_generated[rows]


class SteeredRows:
    """Hooks for one batch that is generated from, left-padded; rows leave it as they finish.

    `mask` is 1 at the real tokens of the prompts. `active` is to be kept by the caller: finished
    rows that still stand in the batch are neither changed nor counted.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        interventions: Sequence[Intervention | None],
        mask: Int[Tensor, "row position"],
    ) -> None:
        """Build the rows' vectors, scaled by their doses, on the checkpoint's device."""
        rows, device = len(interventions), checkpoint.device
        self.touched: Int[Tensor, " row"] = torch.zeros(rows, dtype=torch.long, device=device)
        """At how many tokens each row was changed, by the batch's first numbering."""
        self.active: Bool[Tensor, " row"] = torch.ones(rows, dtype=torch.bool, device=device)
        self._numbers = torch.arange(rows, device=device)
        self._mask: Bool[Tensor, "row position"] | None = mask.bool()
        self._groups: dict[HookPoint, _Group] = {}
        for row, intervention in enumerate(interventions):
            if intervention is None:
                continue
            if intervention.point not in self._groups:
                gates = torch.zeros(3, rows, dtype=torch.bool, device=device)
                delta = torch.zeros(rows, checkpoint.d_model, device=device, dtype=checkpoint.dtype)
                self._groups[intervention.point] = _Group(delta, *gates)
            group = self._groups[intervention.point]
            group.delta[row] = (intervention.dose * intervention.vector).to(group.delta)
            group.on_prompt[row] = intervention.on_prompt
            group.on_last[row] = True if intervention.at == "last_prompt" else intervention.on_prompt
            group.on_generated[row] = intervention.on_generated

    @property
    def hooks(self) -> dict[HookPoint, HookFunction]:
        """What to put on the model while this batch runs."""
        return {point: self._hook(group) for point, group in self._groups.items()}

    def prompt_read(self) -> None:
        """Say that the prompts have been read: what comes now are generated tokens."""
        self._mask = None

    def keep_rows(self, rows: Int[Tensor, " kept"]) -> None:
        """Drop all other rows of the batch."""
        self._numbers, self.active = self._numbers[rows], self.active[rows]
        for group in self._groups.values():
            group.keep_rows(rows)

    def _hook(self, group: _Group) -> HookFunction:
        def add(activation: Tensor) -> Tensor | None:
            acting = self._acting(group)
            if acting is None:
                return None
            self.touched.index_add_(0, self._numbers, acting.sum(dim=1))
            changed = activation.clone()
            changed[:, -acting.shape[1] :] += acting[..., None] * group.delta[:, None]
            return changed

        return add

    def _acting(self, group: _Group) -> Bool[Tensor, "row position"] | None:
        """Which of the batch's last positions are changed; None when none is."""
        if self._mask is None:
            return (group.on_generated & self.active)[:, None] if group.on_generated.any() else None
        if group.on_prompt.any():
            acting = group.on_prompt[:, None] & self._mask
            acting[:, -1] |= group.on_last
            return acting
        return group.on_last[:, None] if group.on_last.any() else None
