"""One batch of rows that are generated together."""

import inspect
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.activation_recording import Recorder
from undertext.activations.batching import pad_left
from undertext.activations.cache import BufferedCache
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.groups import Part
from undertext.activations.hookpoint import HookPoint
from undertext.activations.hooks import HookFunction
from undertext.activations.rope import rope_switches
from undertext.activations.sampling import Sampler, Stopping
from undertext.activations.steered_rows import Row, SteeredRows, Touched


class _Shared(NamedTuple):
    """Rows that read the same, under the same interventions, and so are read once."""

    firsts: list[int]
    """A row of each kind."""
    slots: list[int]
    """For each row, its kind."""

    @classmethod
    def by(cls, keys: Sequence[Hashable]) -> "_Shared":
        firsts: dict[Hashable, int] = {}
        for row, key in enumerate(keys):
            firsts.setdefault(key, row)
        kinds = {key: kind for kind, key in enumerate(firsts)}
        return cls(list(firsts.values()), [kinds[key] for key in keys])


class Batch:
    """Rows that are generated together; those that have finished leave once they are half of it.

    What rows read alike is read once: a prompt up to its last token by all rows whose interventions do
    not act there, and the last token by all in which the same interventions act.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        prompts: Sequence[Sequence[int]],
        interventions: Sequence[Row],
        recorder: Recorder | None,
        openings: Sequence[int] | None = None,
        margins: bool = False,
    ) -> None:
        """Rows by their prompts' token ids, what acts in them, and their first token where it is set."""
        self.checkpoint, self.prompts, self.interventions = checkpoint, prompts, interventions
        self.produced: list[list[int]] = [[] for _ in prompts]
        """All tokens of each row, end token and stop string included."""
        self.margins: list[list[float]] | None = [[] for _ in prompts] if margins else None
        """For each token of each row, p(likeliest) - p(second likeliest) where it was chosen."""
        self._openings = openings
        self._switches = rope_switches(checkpoint)
        self._lengths = torch.tensor([len(ids) for ids in prompts])
        self.steered = SteeredRows(checkpoint, interventions, prompts, self.produced.__getitem__)
        self.recorder = recorder
        accepted = inspect.signature(checkpoint.model.forward).parameters
        # Architectures without one of these work positions out from the mask, or give all logits.
        self._accepts = {name for name in ("position_ids", "logits_to_keep") if name in accepted}

    @property
    def hooks(self) -> list[dict[HookPoint, HookFunction]]:
        """What to put on the model while this batch runs, in this order."""
        return [self.steered.hooks, *([] if self.recorder is None else [self.recorder.hooks])]

    def run(
        self, max_new_tokens: int, sampler: Sampler, stopping: Stopping, progress: Callable[[int], None]
    ) -> None:
        """Generate until every row has ended."""
        logits, mask, positions, cache = self._read_prompts(max_new_tokens)
        device = logits.device
        numbers = torch.arange(len(self.prompts), device=device)
        standing, alive = list(range(len(self.prompts))), [True] * len(self.prompts)
        # Rows that cross a switch are all equally long (`writing_kinds`), so no padding stands before them.
        crossing = bool((self._lengths == self._lengths[0]).all())
        for step in range(max_new_tokens):
            self._check(logits, standing, alive)
            chosen = sampler.choose(logits, step, numbers)
            if step == 0 and self._openings is not None:
                chosen = torch.tensor(self._openings, device=device)
            if self.margins is not None:
                top = logits.softmax(dim=-1).topk(2).values
                for slot, margin in enumerate((top[:, 0] - top[:, 1]).tolist()):
                    if alive[slot]:
                        self.margins[standing[slot]].append(margin)
            finished = 0
            for slot, token in enumerate(chosen.tolist()):
                if alive[slot]:
                    produced = self.produced[standing[slot]]
                    produced.append(token)
                    if stopping.ended(produced) or len(produced) == max_new_tokens:
                        alive[slot] = False
                        finished += 1
            if finished:
                progress(finished)
            if not any(alive):
                return
            ids, positions = chosen[:, None], positions + 1
            if 2 * sum(alive) <= len(alive):
                kept = torch.tensor([slot for slot, lives in enumerate(alive) if lives], device=device)
                ids, mask, positions, numbers = ids[kept], mask[kept], positions[kept], numbers[kept]
                cache.take_rows(kept, mask.shape[1])
                standing, alive = numbers.tolist(), [True] * len(kept)
            starts = self._lengths[standing] + step
            part = Part(ids, tuple(standing), starts, starts + torch.tensor(alive).long())
            end = mask.shape[1] - max_new_tokens + 2 + step
            if end - 1 in self._switches and crossing:
                part, positions, cache = self._from_the_start(part, standing, alive, mask.shape[1])
            logits = self._pass(part, mask[:, :end], positions, cache, standing, list(range(len(standing))))
            positions = positions[:, -1:]

    def _read_prompts(
        self, max_new_tokens: int
    ) -> tuple[Float[Tensor, "row d_vocab"], Tensor, Tensor, BufferedCache]:
        """Logits after each prompt; masks [row, capacity] and last positions [row, 1]; the filled cache."""
        ids, real = pad_left(self.prompts, self.checkpoint.device)
        width = ids.shape[1]
        capacity = width + max_new_tokens - 1  # the last token is never read
        positions = (real.long().cumsum(dim=1) - 1).clamp(min=0)
        every = _Shared.by([self._key(row, 0) for row in range(len(self.prompts))])
        before = _Shared.by([self._key(row, 1) for row in range(len(self.prompts))])
        cache = BufferedCache(self.checkpoint.model.config, width)

        def read(shared: _Shared, start: int, end: int) -> Tensor:
            firsts = torch.tensor(shared.firsts, device=ids.device)
            lengths = self._lengths[shared.firsts]
            part = Part(ids[firsts, start:end], tuple(shared.firsts), lengths - width + start, lengths)
            return self._pass(
                part,
                real[firsts, :end].long(),
                positions[firsts, start:end],
                cache,
                list(range(len(self.prompts))),
                shared.slots,
            )

        start = 0
        # Up to its last token a prompt may be on the other side of a switch of the rope.
        apart = width > 1 and width - 1 not in self._switches
        if apart and len(before.firsts) < len(every.firsts):
            start = width - 1
            read(before, 0, start)
            cache.take_rows(
                torch.tensor([before.slots[row] for row in every.firsts], device=ids.device), width
            )
        logits = read(every, start, width)
        slots = torch.tensor(every.slots, device=ids.device)
        cache.take_rows(slots, capacity)
        mask = torch.cat([real, real.new_ones(len(ids), max_new_tokens - 1)], dim=1).long()
        return logits[slots], mask, positions[:, -1:], cache

    def _from_the_start(
        self, part: Part, standing: Sequence[int], alive: Sequence[bool], capacity: int
    ) -> tuple[Part, Tensor, BufferedCache]:
        """The next pass reading the whole texts anew: past a switch of the rope all keys are others."""
        device = part.ids.device
        width = int(part.starts[0]) + 1
        # A finished row is filled up with its first token; nothing acts there and nobody reads it.
        ids = torch.tensor(
            [
                ([*self.prompts[row], *self.produced[row]] + [self.prompts[row][0]] * width)[:width]
                for row in standing
            ],
            device=device,
        )
        starts = torch.zeros(len(standing), dtype=torch.long)
        ends = torch.tensor([width if lives else 0 for lives in alive])
        positions = torch.arange(width, device=device)[None].expand(len(standing), -1)
        cache = BufferedCache(self.checkpoint.model.config, capacity)
        return Part(ids, tuple(standing), starts, ends, again=width - 1), positions, cache

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
        return output.logits[:, -1].float()

    def audit(self) -> list[Touched]:
        """Where each row was changed; RuntimeError as `SteeredRows.audit`."""
        return self.steered.audit([len(produced) - 1 for produced in self.produced])

    def _check(
        self, logits: Float[Tensor, "row d_vocab"], standing: Sequence[int], alive: Sequence[bool]
    ) -> None:
        wrong = logits.isnan().any(dim=-1)
        if wrong.any():
            for slot in wrong.nonzero()[:, 0].tolist():
                if alive[slot]:
                    raise NotANumber(standing[slot])


class NotANumber(UserError):
    """NaN in the logits of a row, `args[0]`."""
