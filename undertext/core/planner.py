"""A job's draft made into its plan: rates measured, memory added up, and smaller settings beside it."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.rope import rope_switches
from undertext.core.memory import peak
from undertext.core.plan import Draft, Memory, Plan, Rates, Work, weighing
from undertext.core.rates import measure_rates

_AGAIN = "texts that grow past a switch of the rope are read again there, which is not counted"
_LOGITS, _FLOAT = 2, 4
"""Copies of a row's logits while a token is chosen, and most bytes of each number."""
_SPARE = 0.15
"""Share of what was in use in the trial that a job takes beside: libraries that a stage loads, figures that
are drawn, and memory that is free again and not given back. Measured on a CPU: 0.11 of 846 MB at the most."""
_PAGE = 4096
"""Bytes of a page of memory, at least."""
_DRAWN_WITH = ("matplotlib.figure", "matplotlib.backends.backend_svg", "jinja2", "pandas")
"""Libraries that a job loads only at its end, to draw its report."""
_LESS = 0.95
"""Largest share of the time at which other settings are said to make a job smaller."""


def make_plan(job: str, config: BaseModel, draft: Draft) -> Plan:
    """Measure rates with the draft's checkpoint, and put together what they come to. Nothing is written."""
    works = list(draft.works(config))
    trial = draft.trial
    rates = measure_rates(trial, works)
    _touch(draft.checkpoints)
    for library in _DRAWN_WITH:
        import_module(library)
    device = torch.device(draft.device) if trial.checkpoint is None else trial.checkpoint.device

    def seconds(some: Sequence[Work], length: float = 1.0) -> float:
        return sum(rates.of(work, trial.batch_size, length) for work in some)

    most = seconds(works)
    usual = None
    if rates.length is not None and trial.max_new_tokens:
        usual = seconds(works, rates.length / trial.max_new_tokens)
    less: dict[str, float] = {}
    for other in draft.less if weighing.get() else ():
        share = seconds(list(draft.works(config.model_copy(update=dict(other))))) / most if most else 1.0
        if share <= _LESS:
            less[", ".join(f"{name} {said(value)}" for name, value in other.items())] = share
    return Plan(
        job=job,
        settings=config.model_dump(mode="json"),
        works=works,
        rates=rates,
        most_s=most,
        usual_s=usual,
        memory=_memory(draft, works, rates, peak(device)),
        disk=draft.room,
        less=dict(sorted(less.items(), key=lambda each: each[1])),
        max_new_tokens=trial.max_new_tokens,
        batch_size=trial.batch_size,
        device=str(device),
        notes=[*draft.notes, *([_AGAIN] if trial.checkpoint and rope_switches(trial.checkpoint) else [])],
    )


def said(value: Any) -> str:
    """A setting's value as the command line takes it."""
    if isinstance(value, BaseModel):
        return str(value)
    if isinstance(value, Mapping):
        return " ".join(f"{key} {said(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return " ".join(map(said, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _memory(draft: Draft, works: Sequence[Work], rates: Rates, used: int | None) -> Memory:
    checkpoint = draft.trial.checkpoint
    logits = 0 if checkpoint is None else _LOGITS * _FLOAT * checkpoint.d_vocab
    batches = [
        min(draft.trial.batch_size, work.rows)
        * (logits + rates.cache * (work.longest + draft.trial.max_new_tokens))
        for work in works
        if work.written
    ]
    sizes = _weights(draft.checkpoints)
    return Memory(
        weights=sizes.all,
        used=used,
        copies=draft.copies * sizes.largest,
        batch=max(batches, default=0),
        spare=0 if used is None else round(_SPARE * used),
        kept=max((work.kept for work in works), default=0),
        training=draft.training,
    )


class _Sizes(NamedTuple):
    """Bytes of weights."""

    all: int
    """Those that are in memory together."""
    largest: int
    """Those of the largest checkpoint."""


def _weights(checkpoints: Sequence[Checkpoint]) -> _Sizes:
    """Of these checkpoints; those that share a room take turns."""
    sizes: dict[int, tuple[bool, int]] = {}
    for checkpoint in checkpoints:
        size = sum(each.numel() * each.element_size() for each in _tensors(checkpoint))
        sizes[id(checkpoint.weights.modules)] = checkpoint.weights.room is not None, size
    turns = max((size for shared, size in sizes.values() if shared), default=0)
    others = [size for shared, size in sizes.values() if not shared]
    return _Sizes(turns + sum(others), max([turns, *others]))


def _tensors(checkpoint: Checkpoint) -> list[Tensor]:
    """Weights and buffers, each once."""
    model = checkpoint.weights.modules
    return list(
        {each.data_ptr(): each for each in [*model.parameters(), *model.buffers()] if each.numel()}.values()
    )


def _touch(checkpoints: Sequence[Checkpoint]) -> None:
    """Let weights be in memory that are only mapped so far: one element a page."""
    for checkpoint in checkpoints:
        if checkpoint.weights.room is None:
            for each in _tensors(checkpoint):
                each.detach().flatten()[:: _PAGE // each.element_size()].sum()
