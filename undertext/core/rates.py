"""How fast a checkpoint reads and writes on this machine, and how much memory its rows take: a few seconds.

Numbers of rows are tried one after the other, each larger than the last, until one takes long: a large
checkpoint on a slow machine is tried with one row alone.
"""

from collections.abc import Sequence
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
"""Seconds from which on no more rows are tried."""
WHOLE, WHOLE_SECONDS = 8, 5.0
"""Rows that are written to their end, where that takes no more than about so many seconds."""


def measure_rates(trial: Trial, works: Sequence[Work]) -> Rates:
    """Measure with the largest number of rows that these works have in a batch, or as many as are quick."""
    start = perf_counter()
    encoded = trial.checkpoint.encode(trial.prompts)
    read = _read(trial.checkpoint, encoded)
    writing = [work for work in works if work.written]
    if not writing:
        return Rates(read, {}, 1.0, None, 0, perf_counter() - start)
    most = max(1, min(trial.batch_size, max(work.rows for work in writing)))
    passes: dict[int, float] = {}
    for rows in [*_widths(most), most]:
        passes[rows], took = _pass(trial, encoded, rows)
        if took > LONG:
            break
    steered = 1.0
    if any(work.steered for work in writing):
        widest = max(passes)
        steered = max(1.0, _pass(trial, encoded, widest, steered=True)[0] / passes[widest])
    length = _length(trial, encoded, passes)
    cache = _cache(trial.checkpoint, encoded[0])
    return Rates(read, passes, steered, length, cache, perf_counter() - start)


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


def _rows(encoded: Sequence[list[int]], rows: int) -> list[list[int]]:
    """So many prompts, over and over."""
    return [encoded[row % len(encoded)] for row in range(rows)]


def _pass(
    trial: Trial, encoded: Sequence[list[int]], rows: int, *, steered: bool = False
) -> tuple[float, float]:
    """Seconds in which so many rows write a token each, and how long the trial of it took."""
    steps = min(STEPS, trial.max_new_tokens)
    prompts, acting = _rows(encoded, rows), _interventions(trial.checkpoint)
    times: list[float] = []
    written: list[int] = []
    for count in (1, steps):
        start = perf_counter()
        out: Generations = generate(
            trial.checkpoint,
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


def _length(trial: Trial, encoded: Sequence[list[int]], passes: dict[int, float]) -> float | None:
    rows = min(WHOLE, len(encoded))
    nearest = min(passes, key=lambda each: abs(each - rows))
    if passes[nearest] * max(1.0, rows / nearest) * trial.max_new_tokens > WHOLE_SECONDS:
        return None
    out = generate(
        trial.checkpoint,
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
