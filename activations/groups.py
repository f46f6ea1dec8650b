"""Interventions of one operator at one hook point, applied together."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.interventions import Intervention
from undertext.activations.operators import ON_SUBSPACES, OPERATORS, UNIT, Parameters, orthonormal
from undertext.activations.patterns import matches_at_end


class Part(NamedTuple):
    """What one forward pass reads of the rows' texts, each its prompt and what follows."""

    ids: Int[Tensor, "slot position"]
    rows: tuple[int, ...]
    """The row that stands in each slot."""
    starts: Int[Tensor, " slot"]
    """Where in its text each slot's first column stands, below 0 for padding on the left. On the CPU."""
    ends: Int[Tensor, " slot"]
    """Where in its text a slot's columns turn into padding; its start for a row that has finished."""
    again: int = 0
    """How many of the first columns were read before, and are read again because of what follows: what acts
    at them acts again, and is counted once."""

    @property
    def places(self) -> Int[Tensor, "slot position"]:
        """Where in its text each column stands."""
        return self.starts[:, None] + torch.arange(self.ids.shape[1])[None]


class Member(NamedTuple):
    """One intervention of one row."""

    row: int
    intervention: Intervention


class InterventionGroup:
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
        self._parameters = _gathered(checkpoint, [member.intervention for member in members])
        self._thresholds = _thresholds(checkpoint, [member.intervention for member in members])
        self._lengths = torch.tensor([len(prompts[row]) for row, _ in members])
        self._on_prompt = torch.zeros(len(members), int(self._lengths.max()), dtype=torch.bool)
        for i, (row, intervention) in enumerate(members):
            self._on_prompt[i, list(intervention.prompt_indices(len(prompts[row])))] = True
        self._conditional = frozenset(
            i for i, (_, each) in enumerate(members) if each.tokens is not None or each.pattern is not None
        )
        # Generated tokens at which each may act; the number stands for any number.
        self._first = torch.tensor(
            [(2**40 if each.first is None else each.first) * each.on_generated for _, each in members]
        )
        self._until = self._lengths + self._first
        self._last = int(self._until.max())
        device = checkpoint.device
        self._dose = torch.tensor([each.dose for _, each in members], dtype=torch.float32, device=device)
        decay = [each.decay for _, each in members]
        self._decay = None if set(decay) == {1.0} else torch.tensor(decay, device=device)
        self._prompts = prompts
        self._standing: tuple[int, ...] = ()

    def begin(self, part: Part) -> Int[Tensor, " slot"] | None:
        """Get ready for a pass; at how many tokens of each slot `at` lets a member act, None if at none."""
        self.acting = None
        if int(part.starts.min()) >= self._last:
            return None
        if part.rows != self._standing:
            self._stand(part.rows)
        if bool((part.starts[self._slots] >= self._until[self._here]).all()):
            return None
        places = part.places[self._slots]
        written = places - self._lengths[self._here][:, None]
        gate = self._gate(places, written) & (places < part.ends[self._slots][:, None])
        columns = gate.any(dim=0).nonzero()[:, 0]
        if not len(columns):
            return None
        device = part.ids.device
        counts = torch.zeros(len(part.rows), dtype=torch.long)
        counts.index_add_(0, self._slots, gate[:, part.again :].sum(dim=1))
        self.start = int(columns[0])
        self.acting = (gate & self._allowed(gate, places))[:, self.start :].to(device)
        self._now = self._dose[self._here_there][:, None]
        if self._decay is not None:
            times = written[:, self.start :].clamp(min=0).to(device)
            self._now = self._now * self._decay[self._here_there][:, None] ** times
        return counts.to(device)

    def change(
        self, h: Float[Tensor, "member position d"]
    ) -> tuple[Float[Tensor, "member position d"], Bool[Tensor, "member position"]]:
        """The members' activations with their changes, and where those are."""
        assert self.acting is not None
        # The layers of one model may be on several devices; a group acts in one of them.
        acting, doses = self.acting.to(h.device), self._now.to(h.device)
        thresholds = self._taken_thresholds
        if thresholds is not None:
            direction, bias = (each.to(h.device) for each in thresholds)
            acting = acting & ((h.float() @ direction[..., None])[..., 0] + bias[:, None] > 0)
        exact = h.float() if self._precise else h
        parameters = Parameters(*(each.to(h.device, exact.dtype) for each in self._taken))
        changed = self._operate(exact, doses[..., None].to(exact.dtype), parameters).to(h.dtype)
        return torch.where(acting[..., None], changed, h), acting

    def _stand(self, rows: tuple[int, ...]) -> None:
        """Take up the slots in which the members' rows now stand."""
        self._standing = rows
        slot = {row: i for i, row in enumerate(rows)}
        here = [i for i, member in enumerate(self._members) if member.row in slot]
        self._here = torch.tensor(here, dtype=torch.long)
        self._slots = torch.tensor([slot[self._members[i].row] for i in here], dtype=torch.long)
        device = self._checkpoint.device
        self.slots, there = self._slots.to(device), self._here.to(device)
        self._here_there = there
        self._taken = Parameters(*(each[there] for each in self._parameters))
        self._taken_thresholds = (
            None if self._thresholds is None else tuple(each[there] for each in self._thresholds)
        )

    def _gate(
        self, places: Int[Tensor, "member position"], written: Int[Tensor, "member position"]
    ) -> Bool[Tensor, "member position"]:
        """Where `at` and `first` are open, by the place in the text and in what follows the prompt."""
        on_prompt = self._on_prompt[self._here].gather(1, places.clamp(0, self._on_prompt.shape[1] - 1))
        generated = (written >= 0) & (written < self._first[self._here][:, None])
        return (on_prompt & (places >= 0) & (written < 0)) | generated

    def _allowed(
        self, gate: Bool[Tensor, "member position"], places: Int[Tensor, "member position"]
    ) -> Bool[Tensor, "member position"]:
        """Of those, where `tokens` and `pattern` are open too."""
        allowed = torch.ones_like(gate)
        for place, i in enumerate(self._here.tolist()):
            if i in self._conditional and bool(gate[place].any()):
                row, intervention = self._members[i]
                ids = [*self._prompts[row], *self._written(row)]
                for column in gate[place].nonzero()[:, 0].tolist():
                    end = int(places[place, column]) + 1
                    allowed[place, column] = _allows(self._checkpoint, intervention, ids[:end])
        return allowed


def _allows(checkpoint: Checkpoint, intervention: Intervention, ids: Sequence[int]) -> bool:
    """Whether an intervention's `tokens` and `pattern` hold after the last of these tokens."""
    if intervention.tokens is not None and ids[-1] not in intervention.tokens:
        return False
    if intervention.pattern is None:
        return True
    return matches_at_end(intervention.pattern, checkpoint.decode(ids))


def _gathered(checkpoint: Checkpoint, interventions: Sequence[Intervention]) -> Parameters:
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
