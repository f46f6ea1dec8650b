"""Interventions of one operator at one hook point, applied together."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from activations.checkpoint import Checkpoint
from activations.interventions import Intervention
from activations.operators import ON_SUBSPACES, OPERATORS, UNIT, Parameters, orthonormal


class Part(NamedTuple):
    """What one forward pass reads of a batch whose prompts are padded on the left to one width."""

    ids: Int[Tensor, "slot position"]
    rows: tuple[int, ...]
    """The row that stands in each slot."""
    first_column: int
    """Of the prompts; not below their width where generated tokens are read."""
    step: int
    """Which generated token is read, from 0; -1 while prompts are."""
    active: Bool[Tensor, " slot"]
    """Not finished."""


class Member(NamedTuple):
    """One intervention of one row."""

    row: int
    intervention: Intervention


class Group:
    """The members act, each in its row, wherever their gates are open."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        members: Sequence[Member],
        prompts: Sequence[Sequence[int]],
        written: Callable[[int], list[int]],
    ) -> None:
        """Gather what the members act with; `prompts` and `written` (tokens after it so far) go by row."""
        self._checkpoint, self._members, self._written = checkpoint, members, written
        self._operate = OPERATORS[members[0].intervention.operator]
        # Projections lose more to rounding in a short format than the activation itself has.
        self._precise = members[0].intervention.operator not in ("add", "replace")
        self._parameters = parameters(checkpoint, [member.intervention for member in members])
        self._thresholds = _thresholds(checkpoint, [member.intervention for member in members])
        width = max(map(len, prompts))
        self._prompt_gate = torch.zeros(len(members), width, dtype=torch.bool)
        self._prompt_allowed = torch.ones(len(members), width, dtype=torch.bool)
        for i, (row, intervention) in enumerate(members):
            ids = list(prompts[row])
            before = width - len(ids)
            for index in intervention.prompt_indices(len(ids)):
                self._prompt_gate[i, before + index] = True
                if intervention.tokens is not None or intervention.pattern is not None:
                    self._prompt_allowed[i, before + index] = allows(
                        checkpoint, intervention, ids[: index + 1]
                    )
        self._conditional = frozenset(
            i for i, (_, each) in enumerate(members) if each.tokens is not None or each.pattern is not None
        )
        never = torch.iinfo(torch.long).max
        self._first = torch.tensor(
            [(never if each.first is None else each.first) * each.on_generated for _, each in members]
        )
        device = checkpoint.device
        self._dose = torch.tensor([each.dose for _, each in members], dtype=torch.float32, device=device)
        self._decay = torch.tensor([each.decay for _, each in members], dtype=torch.float32, device=device)
        self._prompts = prompts
        self._standing: tuple[int, ...] = ()

    def begin(self, part: Part) -> Int[Tensor, " slot"] | None:
        """Get ready for a pass; at how many tokens of each slot `at` lets a member act, None if at none."""
        self.acting = None
        if part.step >= 0 and not (self._first > part.step).any():
            return None
        if part.rows != self._standing:
            self._stand(part.rows)
        gate, allowed = self._masks(part)
        columns = gate.any(dim=0).nonzero()[:, 0]
        if not len(columns):
            return None
        device = part.ids.device
        counts = torch.zeros(len(part.rows), dtype=torch.long, device=device)
        counts.index_add_(0, self.slots, gate.sum(dim=1).to(device))
        self.start = int(columns[0])
        self.acting = (gate & allowed)[:, self.start :].to(device)
        self._now = self._dose[self._here_at] * self._decay[self._here_at] ** max(part.step, 0)
        return counts

    def change(
        self, h: Float[Tensor, "member position d"]
    ) -> tuple[Float[Tensor, "member position d"], Bool[Tensor, "member position"]]:
        """The members' activations with their changes, and where those are."""
        assert self.acting is not None
        acting = self.acting
        with_, thresholds = self._taken, self._taken_thresholds
        if thresholds is not None:
            direction, bias = thresholds
            acting = acting & ((h.float() @ direction[..., None])[..., 0] + bias[:, None] > 0)
        exact = h.float() if self._precise else h
        parameters = Parameters(*(each.to(exact.dtype) for each in with_))
        changed = self._operate(exact, self._now[:, None, None].to(exact.dtype), parameters).to(h.dtype)
        return torch.where(acting[..., None], changed, h), acting

    def _stand(self, rows: tuple[int, ...]) -> None:
        """Take up the slots in which the members' rows now stand."""
        self._standing = rows
        slot = {row: i for i, row in enumerate(rows)}
        self._here = [i for i, member in enumerate(self._members) if member.row in slot]
        device = self._checkpoint.device
        self.slots = torch.tensor(
            [slot[self._members[i].row] for i in self._here], dtype=torch.long, device=device
        )
        here = torch.tensor(self._here, dtype=torch.long, device=device)
        self._here_at = here
        self._taken = Parameters(*(each[here] for each in self._parameters))
        self._taken_thresholds = (
            None if self._thresholds is None else tuple(each[here] for each in self._thresholds)
        )

    def _masks(self, part: Part) -> tuple[Bool[Tensor, "member position"], Bool[Tensor, "member position"]]:
        """Where each member here may act by `at` and `first`, and by `tokens` and `pattern`."""
        here = torch.tensor(self._here, dtype=torch.long)
        if part.step < 0:
            columns = slice(part.first_column, part.first_column + part.ids.shape[1])
            return self._prompt_gate[here, columns], self._prompt_allowed[here, columns]
        gate = (self._first[here] > part.step) & part.active.cpu()[self.slots.cpu()]
        allowed = torch.ones_like(gate)
        for place, i in enumerate(self._here):
            if i in self._conditional and gate[place]:
                row, intervention = self._members[i]
                allowed[place] = allows(
                    self._checkpoint, intervention, [*self._prompts[row], *self._written(row)]
                )
        return gate[:, None], allowed[:, None]


def allows(checkpoint: Checkpoint, intervention: Intervention, ids: Sequence[int]) -> bool:
    """Whether an intervention's `tokens` and `pattern` hold after the last of these tokens."""
    if intervention.tokens is not None and ids[-1] not in intervention.tokens:
        return False
    if intervention.pattern is None:
        return True
    return re.search(rf"(?:{intervention.pattern})\Z", checkpoint.decode(ids)) is not None


def parameters(checkpoint: Checkpoint, interventions: Sequence[Intervention]) -> Parameters:
    """The vectors of the members, side by side, in float32 on the checkpoint's device."""
    width = interventions[0].vector.shape[-1]
    operator = interventions[0].operator
    count = len(interventions)
    vector, centre = torch.zeros(count, width), torch.zeros(count, width)
    bases: list[Tensor] = []
    # Settings of a sweep share their vectors: each is worked out once.
    known: dict[int, Tensor] = {}
    for i, each in enumerate(interventions):
        if operator in ON_SUBSPACES:
            if id(each.vector) not in known:
                known[id(each.vector)] = orthonormal(each.vector.cpu())
            bases.append(known[id(each.vector)])
        else:
            plain = each.vector.detach().float().cpu()
            vector[i] = torch.nn.functional.normalize(plain, dim=0) if operator in UNIT else plain
        if each.centre is not None:
            centre[i] = each.centre.detach().float().cpu()
    basis = torch.zeros(count, max((len(rows) for rows in bases), default=0), width)
    for i, rows in enumerate(bases):
        basis[i, : len(rows)] = rows
    return Parameters(*(each.to(checkpoint.device) for each in (vector, basis, centre)))


def _thresholds(
    checkpoint: Checkpoint, interventions: Sequence[Intervention]
) -> tuple[Float[Tensor, "member d"], Float[Tensor, " member"]] | None:
    """Directions and biases of the members' thresholds, None where no member has one."""
    if all(each.threshold is None for each in interventions):
        return None
    width = interventions[0].vector.shape[-1]
    direction, bias = torch.zeros(len(interventions), width), torch.ones(len(interventions))  # 0 + 1 > 0
    for i, each in enumerate(interventions):
        if each.threshold is not None:
            direction[i], bias[i] = each.threshold.direction.detach().float().cpu(), each.threshold.bias
    return direction.to(checkpoint.device), bias.to(checkpoint.device)
