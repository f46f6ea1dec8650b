"""Writing on from prompts in batches, each row with its own intervention."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from activations.batching import by_length, pad_left
from activations.cache import BufferedCache
from activations.checkpoint import Checkpoint
from activations.errors import UserError
from activations.hooks import hooked
from activations.interventions import Intervention
from activations.sampling import Sampler
from activations.steered_rows import SteeredRows, check_interventions
from activations.stopping import Stopping


@dataclass(frozen=True)
class Generations:
    """What was written after each prompt, in the order of the prompts."""

    texts: list[str]
    """Text up to the end token or the first stop string, neither included."""
    tokens: list[list[int]]
    """The whole tokens of that text."""
    touched: list[int]
    """At how many tokens, prompt and generated, the row's intervention acted."""


def generate(
    checkpoint: Checkpoint,
    prompts: Sequence[str] | Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    stop: Sequence[str] = (),
    interventions: Sequence[Intervention | None] | None = None,
    temperature: float = 0.0,
    seed: int = 0,
    batch_size: int = 256,
    progress: Callable[[int], None] | None = None,
) -> Generations:
    """Write up to `max_new_tokens` after each prompt (text, or token ids).

    Greedy at temperature 0; otherwise what a row draws depends on `seed` and its index alone, not
    on its batch. `interventions` holds one, or None, for each prompt. `progress` is called with
    the number of rows finished since its last call.

    Raises:
        UserError: for a prompt that leaves no room in the context, an intervention the model has no
            place for, or NaN in a row's logits.
        RuntimeError: when an intervention did not act at exactly the tokens it was to act at.
    """
    if max_new_tokens < 1:
        raise UserError(f"max_new_tokens must be at least 1, got {max_new_tokens}")
    encoded = checkpoint.encode(prompts, room=max_new_tokens)
    acting = [None] * len(encoded) if interventions is None else list(interventions)
    check_interventions(checkpoint, acting, len(encoded))
    stopping = Stopping(checkpoint, stop)
    tokens: list[list[int]] = [[] for _ in encoded]
    texts, touched = [""] * len(encoded), [0] * len(encoded)
    for rows in by_length([len(ids) for ids in encoded], batch_size):
        sampler = Sampler(temperature, seed, rows, max_new_tokens, checkpoint.device)
        batch = _Batch(checkpoint, rows, [encoded[row] for row in rows], [acting[row] for row in rows])
        with torch.inference_mode(), hooked(checkpoint, batch.steered.hooks):
            batch.run(max_new_tokens, sampler, stopping, progress or (lambda finished: None))
        for row, produced, count in zip(rows, batch.produced, batch.audit(), strict=True):
            tokens[row], texts[row] = stopping.cut(produced)
            touched[row] = count
    return Generations(texts, tokens, touched)


class _Batch:
    """Rows that are generated together; those that have finished leave once they are half of it."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        rows: Sequence[int],
        prompts: Sequence[Sequence[int]],
        interventions: Sequence[Intervention | None],
    ) -> None:
        self.checkpoint, self.rows, self.prompts, self.interventions = (
            checkpoint,
            rows,
            prompts,
            interventions,
        )
        self.ids, self.mask = pad_left(prompts, checkpoint.device)
        self.steered = SteeredRows(checkpoint, interventions, self.mask)
        self.produced: list[list[int]] = [[] for _ in prompts]
        """All tokens of each row, end token and stop string included."""

    def run(
        self, max_new_tokens: int, sampler: Sampler, stopping: Stopping, progress: Callable[[int], None]
    ) -> None:
        """Generate until every row has ended."""
        ids, mask = self.ids, self.mask
        width = mask.shape[1]
        capacity = width + max_new_tokens - 1  # the last token is never read
        mask = torch.cat([mask, mask.new_ones(len(ids), max_new_tokens - 1)], dim=1)
        positions = (self.mask.cumsum(dim=1) - 1).clamp(min=0)
        cache = BufferedCache(self.checkpoint.model.config, capacity)
        numbers = torch.arange(len(ids), device=ids.device)
        standing, alive = list(range(len(ids))), [True] * len(ids)
        for step in range(max_new_tokens):
            logits = self._logits(ids, mask[:, : width + step], positions, cache)
            self.steered.prompt_read()
            self._check(logits, standing, alive)
            chosen = sampler.choose(logits, step, numbers)
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
            ids, positions = chosen[:, None], positions[:, -1:] + 1
            if 2 * sum(alive) <= len(alive):
                kept = torch.tensor([slot for slot, lives in enumerate(alive) if lives], device=ids.device)
                ids, mask, positions, numbers = ids[kept], mask[kept], positions[kept], numbers[kept]
                cache.keep_rows(kept)
                self.steered.keep_rows(kept)
                standing, alive = numbers.tolist(), [True] * len(kept)
            if finished:
                self.steered.active = torch.tensor(alive, device=ids.device)

    def audit(self) -> list[int]:
        """At how many tokens each row's intervention acted; RuntimeError where that is not what was asked."""
        touched = self.steered.touched.tolist()
        for row, intervention, prompt, produced, count in zip(
            self.rows, self.interventions, self.prompts, self.produced, touched, strict=True
        ):
            expected = 0
            if intervention is not None:
                expected += len(prompt) if intervention.on_prompt else int(intervention.at == "last_prompt")
                expected += len(produced) - 1 if intervention.on_generated else 0
            if count != expected:
                raise RuntimeError(
                    f"row {row}: expected to act at {expected} tokens, acted at {count}: {intervention}"
                )
        return touched

    def _logits(
        self, ids: Tensor, mask: Tensor, positions: Tensor, cache: BufferedCache
    ) -> Float[Tensor, "row d_vocab"]:
        inputs = {"position_ids": positions, "logits_to_keep": 1}
        # Architectures without one of these work positions out from the mask, or give all logits.
        accepted = inspect.signature(self.checkpoint.model.forward).parameters
        given = {name: value for name, value in inputs.items() if name in accepted}
        output = self.checkpoint.model(
            input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, **given
        )
        return output.logits[:, -1].float()

    def _check(
        self, logits: Float[Tensor, "row d_vocab"], standing: Sequence[int], alive: Sequence[bool]
    ) -> None:
        wrong = logits.isnan().any(dim=-1)
        if wrong.any():
            for slot in wrong.nonzero()[:, 0].tolist():
                if alive[slot]:
                    number = standing[slot]
                    intervention = self.interventions[number]
                    cause = f" with dose {intervention.dose} at {intervention.point}" if intervention else ""
                    raise UserError(
                        f"{self.checkpoint.name}: NaN in the logits of prompt {self.rows[number]}{cause}"
                    )
