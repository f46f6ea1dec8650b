"""The forward passes of a batch that writes: of prompts, and of what is written after them."""

import inspect
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from undertext.activations.activation_recording import Recorder
from undertext.activations.batching import pad_left
from undertext.activations.cache import BufferedCache
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.groups import Part
from undertext.activations.hookpoint import HookPoint
from undertext.activations.hooks import HookFunction
from undertext.activations.rope import rope_switches
from undertext.activations.steered_rows import Row, SteeredRows


class _Shared(NamedTuple):
    """Rows that read the same, under the same interventions, and so are read once."""

    firsts: list[int]
    """A row of each kind."""
    slots: list[int]
    """For each row, its kind."""

    @classmethod
    def by(cls, rows: Sequence[int], keys: Sequence[Hashable]) -> "_Shared":
        firsts: dict[Hashable, int] = {}
        for row, key in zip(rows, keys, strict=True):
            firsts.setdefault(key, row)
        kinds = {key: kind for kind, key in enumerate(firsts)}
        return cls(list(firsts.values()), [kinds[key] for key in keys])


@dataclass
class Pool:
    """Rows that one pass reads on, and what the model has kept of them."""

    rows: list[int]
    """The row in each place; one that has left stands there until another takes its place."""
    here: list[bool]
    """Whether it is still there."""
    cache: BufferedCache

    @property
    def free(self) -> list[int]:
        """The places of rows that have left."""
        return [slot for slot, here in enumerate(self.here) if not here]

    @property
    def taken(self) -> list[int]:
        """The places of the others."""
        return [slot for slot, here in enumerate(self.here) if here]

    def shrink(self) -> None:
        """Give up the places that are free: the last rows move into those that are not at the end."""
        count = len(self.taken)
        if count == len(self.rows):
            return
        gaps = [slot for slot in self.free if slot < count]
        movers = [slot for slot in self.taken if slot >= count]
        self.cache.close_up(gaps, movers, count)
        for gap, mover in zip(gaps, movers, strict=True):
            self.rows[gap] = self.rows[mover]
        self.rows, self.here = self.rows[:count], [True] * count


class Passes:
    """What reads rows, each a prompt and what was written after it, with what acts in them.

    All texts of a pass end at the cache's last position. One that is shorter than the longest has padding
    before it, which the mask hides; positions before the longest are forgotten.

    What rows read alike is read once: a prompt up to its last token by all rows whose interventions do
    not act there, and the last token by all in which the same interventions act.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        prompts: Sequence[Sequence[int]],
        interventions: Sequence[Row],
        recorder: Recorder | None,
    ) -> None:
        """Rows by their prompts' token ids, and what acts in them."""
        self.checkpoint, self.prompts, self.interventions = checkpoint, prompts, interventions
        self.produced: list[list[int]] = [[] for _ in prompts]
        """All tokens of each row after its prompt, for the caller to write."""
        self._switches = rope_switches(checkpoint)
        self._lengths = torch.tensor([len(ids) for ids in prompts], dtype=torch.long)
        # Rows that cross a switch are all equally long (`writing_kinds`), so no padding stands before them.
        self.crossing = bool(self._switches) and bool((self._lengths == self._lengths[:1]).all())
        """Whether rows may cross a switch of the rope, which they can only do together."""
        self.steered = SteeredRows(checkpoint, interventions, prompts, self.produced.__getitem__)
        self.recorder = recorder
        accepted = inspect.signature(checkpoint.model.forward).parameters
        # Architectures without one of these work positions out from the mask, or give all logits.
        self._accepts = {name for name in ("position_ids", "logits_to_keep") if name in accepted}

    @property
    def hooks(self) -> list[dict[HookPoint, HookFunction]]:
        """What to put on the model meanwhile, in this order."""
        return [self.steered.hooks, *([] if self.recorder is None else [self.recorder.hooks])]

    def of_prompts(
        self, rows: Sequence[int]
    ) -> tuple[BufferedCache, list[int], Float[Tensor, "slot d_vocab"]]:
        """A cache of what the prompts of `rows` hold, for each row its place there, and its logits."""
        ids, real = pad_left([self.prompts[row] for row in rows], self.checkpoint.device)
        width = ids.shape[1]
        positions = (real.long().cumsum(dim=1) - 1).clamp(min=0)
        every = _Shared.by(rows, [self._key(row, 0) for row in rows])
        before = _Shared.by(rows, [self._key(row, 1) for row in rows])
        cache = BufferedCache(self.checkpoint.model.config, width)
        at = {row: i for i, row in enumerate(rows)}

        def read(shared: _Shared, start: int, end: int) -> Tensor:
            firsts = torch.tensor([at[row] for row in shared.firsts], device=ids.device)
            lengths = self._lengths[shared.firsts]
            part = Part(ids[firsts, start:end], tuple(shared.firsts), lengths - width + start, lengths)
            mask, places = real[firsts, :end].long(), positions[firsts, start:end]
            return self._pass(part, mask, places, cache, rows, shared.slots)

        start = 0
        # Up to its last token a prompt may be on the other side of a switch of the rope.
        apart = width > 1 and width - 1 not in self._switches
        if apart and len(before.firsts) < len(every.firsts):
            start = width - 1
            read(before, 0, start)
            slot = dict(zip(rows, before.slots, strict=True))
            cache.take_rows(torch.tensor([slot[row] for row in every.firsts]), 1)
        logits = read(every, start, width)
        return cache, every.slots, logits[torch.tensor(every.slots, device=logits.device)]

    def on(self, pool: Pool) -> Float[Tensor, "slot d_vocab"]:
        """Read the last token of every row of a pool, and give the logits after it."""
        device, rows = self.checkpoint.device, pool.rows
        here = torch.tensor(pool.here)
        ids = torch.tensor([[self.produced[row][-1]] for row in rows], device=device)
        starts = self._lengths[rows] + torch.tensor([len(self.produced[row]) - 1 for row in rows])
        past = int(starts[here].max())
        pool.cache.keep_last(past)
        # One that has left reads its last token again and again; nothing acts there, and nobody reads it.
        starts = starts.clamp(max=past)
        part = Part(ids, tuple(rows), starts, starts + here.long())
        mask = (torch.arange(past + 1)[None] >= past - starts[:, None]).long().to(device)
        positions = starts[:, None].to(device)
        if self.crossing and past in self._switches:
            part, positions, pool.cache = self._from_the_start(part, here)
            mask = torch.ones_like(mask)
        return self._pass(part, mask, positions, pool.cache, rows, range(len(rows)))

    def _from_the_start(
        self, part: Part, alive: Tensor
    ) -> tuple[Part, Int[Tensor, "slot position"], BufferedCache]:
        """The next pass reading the whole texts anew: past a switch of the rope all keys are others."""
        device = part.ids.device
        width = int(part.starts[alive].max()) + 1
        # A finished row is filled up with its first token; nothing acts there and nobody reads it.
        ids = torch.tensor(
            [
                ([*self.prompts[row], *self.produced[row]] + [self.prompts[row][0]] * width)[:width]
                for row in part.rows
            ],
            device=device,
        )
        starts = torch.zeros(len(part.rows), dtype=torch.long)
        positions = torch.arange(width, device=device)[None].expand(len(part.rows), -1)
        cache = BufferedCache(self.checkpoint.model.config, width)
        return Part(ids, part.rows, starts, width * alive.long(), again=width - 1), positions, cache

    def _key(self, row: int, short: int) -> Hashable:
        """What a row reads of its prompt but for the last `short` tokens, and what acts there."""
        ids = self.prompts[row]
        acting = [
            id(each)
            for each in self.interventions[row]
            if any(index < len(ids) - short for index in each.prompt_indices(len(ids)))
        ]
        return tuple(ids), tuple(acting)

    def _pass(
        self,
        part: Part,
        mask: Tensor,
        positions: Tensor,
        cache: BufferedCache,
        rows: Sequence[int],
        slots: Sequence[int],
    ) -> Float[Tensor, "slot d_vocab"]:
        """One forward pass, counted for `rows`, each with the slot it is read in."""
        self.steered.begin(part)
        if self.recorder is not None:
            self.recorder.begin(part, rows, slots)
        offered = {"position_ids": positions, "logits_to_keep": 1}
        output = self.checkpoint.model(
            input_ids=part.ids,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            **{name: value for name, value in offered.items() if name in self._accepts},
        )
        self.steered.end(rows, slots)
        if self.recorder is not None:
            self.recorder.end()
        logits: Tensor = output.logits[:, -1]
        return logits
