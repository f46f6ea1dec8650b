"""How fast a checkpoint reads and writes on this machine, and how much memory its rows take: a few seconds.

Numbers of rows are tried one after the other, each larger than the last, as long as the next should not
take long by how the last two grew: a large checkpoint on a slow machine is tried with one row alone. What is
loaded with a first pass is no part of a rate, so a busy machine is not taken for a slow one.
"""

from collections.abc import Callable, Sequence
from time import perf_counter

import torch

from undertext.activations.batching import batch_tokens_on, pad_right
from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.generation import Generations, generate
from undertext.activations.hookpoint import HookPoint
from undertext.activations.interventions import Intervention
from undertext.core.plan import Rates, Trial, Work

STEPS = 8
"""Tokens that rows of a trial write."""
TIMES = 8
"""How many times as many rows are tried next."""
LONG = 0.5
"""Seconds that a trial of reading or updating may take, about."""
TRIED = 2.0
"""Seconds that the next number of rows may be expected to take in writing, or no more are tried."""
WHOLE, WHOLE_SECONDS = 8, 5.0
"""Rows that are written to their end, where that takes no more than about so many seconds."""


def measure_rates(trial: Trial, works: Sequence[Work]) -> Rates:
    """Measure with the largest number of rows that these works have in a batch, or as many as are quick."""
    start = perf_counter()
    update = _update(trial.update) if trial.update and any(work.updates for work in works) else 0.0
    checkpoint = trial.checkpoint
    if checkpoint is None:
        return Rates(0.0, {}, 1.0, None, 0, perf_counter() - start, update=update)
    encoded = checkpoint.encode(trial.prompts)
    read = _read(checkpoint, encoded)
    learnt = _learnt(checkpoint, encoded) if any(work.learnt for work in works) else 0.0
    writing = [work for work in works if work.written]
    if not writing:
        return Rates(read, {}, 1.0, None, 0, perf_counter() - start, learnt, update)
    most = max(1, min(trial.batch_size, max(work.rows for work in writing)))
    generate(checkpoint, encoded[:1], max_new_tokens=1)
    passes: dict[int, float] = {}
    last, growth = 0.0, 2.0  # a pass of few rows is bound by the weights that it reads, not by its rows
    for rows in [*_widths(most), most]:
        if last * growth > TRIED:
            break
        passes[rows], took = _pass(checkpoint, trial, encoded, rows)
        growth = max(1.0, took / last) if last else growth
        last = took
    steered = 1.0
    if any(work.steered for work in writing):
        widest = max(passes)
        steered = max(1.0, _pass(checkpoint, trial, encoded, widest, steered=True)[0] / passes[widest])
    length = _length(checkpoint, trial, encoded, passes)
    cache = _cache(checkpoint, encoded[0])
    return Rates(read, passes, steered, length, cache, perf_counter() - start, learnt, update)


def _widths(most: int) -> list[int]:
    widths = [1]
    while widths[-1] * TIMES < most:
        widths.append(widths[-1] * TIMES)
    return [rows for rows in widths if rows < most]


def _read(checkpoint: Checkpoint, encoded: Sequence[list[int]]) -> float:
    """Tokens read a second, in batches as captures make them."""
    point = HookPoint(checkpoint.n_layers - 1, "resid_post")

    def seconds(texts: Sequence[list[int]]) -> float:
        start = perf_counter()
        capture(checkpoint, texts, [point])
        return perf_counter() - start

    capture(checkpoint, encoded[:1], [point])  # what is loaded with a first pass is no part of the rate
    alone = seconds(encoded[:1])
    enough = max(1, batch_tokens_on(checkpoint.device) // max(map(len, encoded)))
    if alone * enough > TIMES * LONG:
        return len(encoded[0]) / alone
    texts = _rows(encoded, enough)
    return sum(map(len, texts)) / seconds(texts)


def _learnt(checkpoint: Checkpoint, encoded: Sequence[list[int]]) -> float:
    """Tokens a second forward and back, with gradients of all weights, which vectors alone do not need."""
    most = max(1, batch_tokens_on(checkpoint.device) // max(map(len, encoded)))
    weights = [each for each in checkpoint.model.parameters() if each.is_floating_point()]
    asking = [each.requires_grad for each in weights]

    def seconds(texts: Sequence[list[int]]) -> float:
        start = perf_counter()
        ids = pad_right(texts, checkpoint.device)
        logits = checkpoint.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
        loss = logits.float().log_softmax(-1).mean()
        torch.autograd.grad(loss, weights, allow_unused=True)
        return perf_counter() - start

    try:
        for each in weights:
            each.requires_grad_(True)
        with torch.enable_grad():
            alone = seconds(encoded[:1])
            if alone * most > TIMES * LONG:
                return len(encoded[0]) / alone
            texts = _rows(encoded, most)
            return sum(map(len, texts)) / seconds(texts)
    finally:
        for each, asked in zip(weights, asking, strict=True):
            each.requires_grad_(asked)


def _update(update: Callable[[int], None]) -> float:
    """Seconds an update: of several less one, so that beginning and ending do not count."""

    def seconds(count: int) -> float:
        start = perf_counter()
        update(count)
        return perf_counter() - start

    seconds(1)  # what is loaded with a first update is no part of the rate
    alone = seconds(1)
    count = max(2, min(STEPS, int(LONG / alone)))
    more = seconds(count)
    return (more - alone) / (count - 1) if more > alone else more / count


def _rows(encoded: Sequence[list[int]], rows: int) -> list[list[int]]:
    """So many prompts, over and over."""
    return [encoded[row % len(encoded)] for row in range(rows)]


def _pass(
    checkpoint: Checkpoint, trial: Trial, encoded: Sequence[list[int]], rows: int, *, steered: bool = False
) -> tuple[float, float]:
    """Seconds in which so many rows write a token each, and how long the trial of it took."""
    steps = min(STEPS, trial.max_new_tokens)
    prompts, acting = _rows(encoded, rows), _interventions(checkpoint)
    times: list[float] = []
    written: list[int] = []
    for count in (1, steps):
        start = perf_counter()
        out: Generations = generate(
            checkpoint,
            prompts,
            max_new_tokens=count,
            interventions=[acting[row % len(acting)] for row in range(rows)] if steered else None,
            batch_size=rows,
        )
        times.append(perf_counter() - start)
        written.append(max(out.produced))
    after = written[1] - written[0]
    # Where every row ended at once, or the clock is coarse, prompts count as part of what was written.
    alone = (times[1] - times[0]) / after if after else 0.0
    return alone if alone > 0 else times[1] / written[1], times[1]


def _interventions(checkpoint: Checkpoint) -> list[Intervention]:
    """One a layer, of hardly any effect, so that rows end as they do without."""
    direction = torch.zeros(checkpoint.d_model)
    direction[0] = 1.0
    return [
        Intervention(HookPoint(layer, "resid_post"), direction, 1e-6, "generated")
        for layer in range(checkpoint.n_layers)
    ]


def _length(
    checkpoint: Checkpoint, trial: Trial, encoded: Sequence[list[int]], passes: dict[int, float]
) -> float | None:
    rows = min(WHOLE, len(encoded))
    nearest = min(passes, key=lambda each: abs(each - rows))
    if passes[nearest] * max(1.0, rows / nearest) * trial.max_new_tokens > WHOLE_SECONDS:
        return None
    out = generate(
        checkpoint,
        encoded[:rows],
        max_new_tokens=trial.max_new_tokens,
        stop=trial.stop,
        batch_size=rows,
    )
    return sum(out.produced) / rows


@torch.inference_mode()
def _cache(checkpoint: Checkpoint, ids: list[int]) -> int:
    """Bytes of keys and values a token, of all layers."""
    tokens = pad_right([ids], checkpoint.device)
    kept = checkpoint.model(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=True)
    layers = kept.past_key_values.layers
    tensors = [each for layer in layers for each in (layer.keys, layer.values)]
    return sum(each.numel() * each.element_size() // each.shape[-2] for each in tensors)
