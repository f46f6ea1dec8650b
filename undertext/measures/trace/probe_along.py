"""What a probe reads at the end of each step of a trace: the answer, or whether the answer will be right.

It is fitted on traces of train and its layer and strength are chosen on traces of dev, at the prompt's end
and at the ends of their steps. Nothing is written for it: the trace is read as it stands, without a lead.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint
from undertext.activations.spans import locate, tokens_before
from undertext.measures.trace.lens import MAX_ANSWERS
from undertext.measures.trace.trails import Trail
from undertext.measures.trace.uncertainty import LEAST
from undertext.probes import fit_select

POINTS = 8
"""Places of a trace that a probe is fitted on at most, evenly spaced, both ends included."""
TOGETHER = 64
"""Traces whose activations are held at a time when they are read."""
RIGHT, WRONG = "right", "wrong"


@dataclass(frozen=True, eq=False)
class ProbeAlong:
    """One probe's reading of some traces, or why there is none."""

    classes: list[str]
    probability: list[Float[ndarray, "_ class"]]
    """Of each trace, after 0, 1, ... T steps."""
    layer: int | None = None
    reason: str = ""

    def of(self, trace: int, label: str | None) -> Float[ndarray, " point"] | None:
        """The probability of one class along one trace; None of what the probe does not know."""
        if label is None or label.strip() not in self.classes:
            return None
        return np.asarray(self.probability[trace][:, self.classes.index(label.strip())])


def read_along(
    checkpoint: Checkpoint,
    fit: Sequence[tuple[Trail, str]],
    choose: Sequence[tuple[Trail, str]],
    read: Sequence[Trail],
    layers: Sequence[int],
) -> ProbeAlong:
    """Fit on the labelled traces, choose on others, read the third; each label is a whole trace's.

    A label that fewer than `LEAST` traces of train have is none of the classes.
    """
    fit, choose = (_that_fit(checkpoint, each) for each in (fit, choose))
    counts = {label: sum(own == label for _, own in fit) for label in {own for _, own in fit}}
    classes = sorted(label for label, count in counts.items() if count >= LEAST)
    if not 2 <= len(classes) <= MAX_ANSWERS:
        reason = f"{len(classes)} labels stand on {LEAST} traces of train or more, of 2 to {MAX_ANSWERS}"
        return ProbeAlong([], [], reason=reason)
    index = {label: i for i, label in enumerate(classes)}
    rows = [[each for each in own if each[1] in index] for own in (fit, choose)]
    if len({label for _, label in rows[1]}) < 2:
        reason = "dev has fewer than two of the labels, and layers are chosen there"
        return ProbeAlong([], [], reason=reason)
    points = [HookPoint(layer, "resid_post") for layer in layers]
    (X, y), (X_choose, y_choose) = (_rows(checkpoint, own, index, points) for own in rows)
    chosen = fit_select(X, y, X_choose, y_choose)
    best, found = chosen.layer, []
    for start in range(0, len(read), TOGETHER):
        some = read[start : start + TOGETHER]
        activations, sizes = _read(checkpoint, some, [trail.points for trail in some], [points[best]])
        full = activations.expand(len(points), -1, -1)
        p = chosen.probe.predict_proba(full)[best].double().cpu().numpy()
        found += np.split(p, np.cumsum(sizes)[:-1])
    return ProbeAlong(classes, [np.asarray(each) for each in found], layers[best])


def _that_fit(checkpoint: Checkpoint, traces: Sequence[tuple[Trail, str]]) -> list[tuple[Trail, str]]:
    return [
        (trail, label.strip())
        for trail, label in traces
        if len(locate(checkpoint, trail.reading).ids) <= checkpoint.n_ctx
    ]


def _rows(
    checkpoint: Checkpoint,
    traces: Sequence[tuple[Trail, str]],
    index: dict[str, int],
    points: Sequence[HookPoint],
) -> tuple[Float[Tensor, "layer row d"], Int[Tensor, " row"]]:
    places = [_spaced(trail.points) for trail, _ in traces]
    X, sizes = _read(checkpoint, [trail for trail, _ in traces], places, points)
    labels = [index[label] for _, label in traces]
    return X, torch.tensor(labels).repeat_interleave(torch.tensor(sizes))


def _spaced(places: Sequence[int]) -> list[int]:
    if len(places) <= POINTS:
        return list(places)
    return [places[round(k * (len(places) - 1) / (POINTS - 1))] for k in range(POINTS)]


def _read(
    checkpoint: Checkpoint,
    trails: Sequence[Trail],
    places: Sequence[Sequence[int]],
    points: Sequence[HookPoint],
) -> tuple[Float[Tensor, "layer row d"], list[int]]:
    located = [tokens_before(checkpoint, t.reading, own) for t, own in zip(trails, places, strict=True)]
    X = capture(checkpoint, [ids for ids, _ in located], points, [at for _, at in located]).activations
    return X, [len(at) for _, at in located]
