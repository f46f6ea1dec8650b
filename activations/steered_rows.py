"""Applying to each row of a batch its own interventions, and counting what was touched."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.groups import InterventionGroup, Member, Part
from undertext.activations.hookpoint import HookPoint
from undertext.activations.hooks import HookFunction, check_point
from undertext.activations.interventions import Intervention
from undertext.activations.operators import ON_SUBSPACES, UNIT, Operator

Row = tuple[Intervention, ...]
"""What acts in one row; at one hook point, in this order."""


def check_interventions(
    checkpoint: Checkpoint,
    interventions: Sequence[Intervention | Sequence[Intervention] | None],
    prompts: Sequence[Sequence[int]],
) -> list[Row]:
    """What acts in each row. UserError unless there is an entry per prompt, each possible in this model."""
    if not isinstance(interventions, Sequence) or isinstance(interventions, str):
        raise UserError(
            "expected an intervention, a list of them or None for each of "
            f"{len(prompts)} prompts, in a list, got {type(interventions).__name__}"
        )
    if len(interventions) != len(prompts):
        raise UserError(
            "expected an intervention, a list of them or None for each of "
            f"{len(prompts)} prompts, got {len(interventions)}"
        )
    rows: list[Row] = []
    checked: set[int] = set()
    for row, (given, ids) in enumerate(zip(interventions, prompts, strict=True)):
        if not isinstance(given, Intervention | list | tuple | None):
            raise UserError(
                f"row {row}: expected an intervention, a list of them or None, got {type(given).__name__}"
            )
        those = () if given is None else (given,) if isinstance(given, Intervention) else tuple(given)
        if wrong := [each for each in those if not isinstance(each, Intervention)]:
            raise UserError(f"row {row}: expected interventions, got {type(wrong[0]).__name__}")
        rows.append(those)
        for each in those:
            try:
                each.prompt_indices(len(ids))
                if id(each) not in checked:
                    _check(checkpoint, each)
                    checked.add(id(each))
            except UserError as error:
                raise UserError(f"row {row}: {error}") from error
    return rows


def _check(checkpoint: Checkpoint, each: Intervention) -> None:
    check_point(checkpoint, each.point)
    width = checkpoint.width(each.point)
    tensors = {"vector": each.vector, "centre": each.centre}
    if each.threshold is not None:
        tensors["threshold direction"] = each.threshold.direction
    for name, tensor in tensors.items():
        if tensor is None:
            continue
        if tensor.shape[-1] != width:
            raise UserError(
                f"expected a {name} [{width}] at {each.point} of {checkpoint.name}, got {list(tensor.shape)}"
            )
        if not bool((each.dose * tensor).isfinite().all()):
            raise UserError(f"{name} at {each.point}, or its product with the dose, holds NaN or infinity")
    if bad := [token for token in each.tokens or () if not 0 <= token < checkpoint.d_vocab]:
        raise UserError(f"tokens hold token id {bad[0]}, valid are 0 to {checkpoint.d_vocab - 1}")
    if each.operator in (*ON_SUBSPACES, *UNIT) and not bool(each.vector.any()):
        raise UserError(f"the vector at {each.point} is zero: {each.operator} needs a direction")


class Touched(NamedTuple):
    """At how many tokens a row was changed."""

    before: int
    """Of those of the prompt before its last one."""
    last: int
    """1 where the prompt's last one was, which is read to choose the first generated token."""
    generated: int
    """Of the generated tokens that were read back in, each to choose the next."""

    @property
    def all(self) -> int:
        """Whatever they are of."""
        return sum(self)

    @property
    def choosing(self) -> int:
        """How many generated tokens were chosen in a pass that was changed."""
        return self.last + self.generated


class SteeredRows:
    """Hooks for one batch of rows, each a prompt and what is written after it.

    Around each forward pass the caller says what it reads (`begin`) and that it is over (`end`).
    Finished rows that still stand in the batch are neither changed nor counted.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        rows: Sequence[Row],
        prompts: Sequence[Sequence[int]],
        written: Callable[[int], list[int]],
    ) -> None:
        """Gather the rows' interventions by hook point, order there, and operator.

        `written(row)` gives the tokens of a row after its prompt so far.
        """
        self.read: Int[Tensor, " row"] = torch.zeros(len(rows), dtype=torch.long)
        """At how many tokens `at` let an intervention act, summed over a row's interventions."""
        self._touched: Int[Tensor, "row 3"] = torch.zeros(len(rows), 3, dtype=torch.long)
        self._rows = rows
        self._lengths = torch.tensor([len(ids) for ids in prompts], dtype=torch.long)
        gathered: dict[HookPoint, dict[tuple[int, Operator], list[Member]]] = {}
        for row, those in enumerate(rows):
            order: dict[HookPoint, int] = {}
            for each in those:
                key = (order.get(each.point, 0), each.operator)
                order[each.point] = key[0] + 1
                gathered.setdefault(each.point, {}).setdefault(key, []).append(Member(row, each))
        self._groups = {
            point: [InterventionGroup(checkpoint, groups[key], prompts, written) for key in sorted(groups)]
            for point, groups in gathered.items()
        }

    @property
    def hooks(self) -> dict[HookPoint, HookFunction]:
        """What to put on the model while this batch runs."""
        return {point: self._hook(groups) for point, groups in self._groups.items()}

    def begin(self, part: Part) -> None:
        """Say what the next forward pass reads."""
        self._part = part
        self._read = torch.zeros(len(part.rows), dtype=torch.long, device=part.ids.device)
        self._changed = torch.zeros(part.ids.shape, dtype=torch.bool, device=part.ids.device)
        self._counts: dict[int, Tensor] = {}
        for groups in self._groups.values():
            for group in groups:
                counts = group.begin(part)
                if counts is not None:
                    self._counts[id(group)] = counts

    def end(self, rows: Sequence[int], slots: Sequence[int]) -> None:
        """Count what the pass did: for each of `rows`, that of the slot it shared or stood in."""
        at = torch.tensor(slots, dtype=torch.long)
        index = torch.tensor(rows, dtype=torch.long)
        self.read[index] += self._read.cpu()[at]
        if not self._counts:
            return
        part = self._part
        changed, places = self._changed.cpu()[:, part.again :], part.places[:, part.again :]
        after = places - (self._lengths[list(part.rows)] - 1)[:, None]  # the prompt's last one is at 0
        counted = torch.stack(
            [(changed & where).sum(dim=1) for where in (after < 0, after == 0, after > 0)], 1
        )
        self._touched[index] += counted[at]

    def audit(self, generated: Mapping[int, int]) -> dict[int, Touched]:
        """Where each row was changed, given for each row how many tokens after its prompt have been read.

        RuntimeError where interventions were not asked at exactly the tokens that they were to be.
        """
        found: dict[int, Touched] = {}
        for row, count in generated.items():
            those, read = self._rows[row], int(self.read[row])
            expected = sum(each.expected(int(self._lengths[row]), count) for each in those)
            if read != expected:
                raise RuntimeError(
                    f"row {row} of a batch: expected to act at {expected} tokens, acted at {read}: {those}"
                )
            found[row] = Touched(*self._touched[row].tolist())
        return found

    def _hook(self, groups: list[InterventionGroup]) -> HookFunction:
        def change(activation: Tensor) -> Tensor | None:
            changed = None
            for group in groups:
                if group.acting is None:
                    continue
                changed = activation.clone() if changed is None else changed
                h, slots = changed[:, group.start :], group.slots.to(changed.device)
                h[slots], where = group.change(h[slots])
                self._changed[:, group.start :][group.slots] |= where.to(self._changed.device)
                self._read += self._counts[id(group)]
            return changed

        return change
