"""The figures of `compare.peers`: those of the script held against those of the comparison's own tables.

Not run by `make bench`: `compare.py` prints it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from undertext.jobs.compare.result import Comparison

ROUGH = 0.05
"""Most that a probe's accuracy may differ, whose fit ends elsewhere, or a share of sampled answers."""
FEW = 1.5
"""Most problems on which greedy answers may differ: two tokens may be all but equally likely."""
CLOSE = 1e-3
"""Most that a mean probability may differ."""
LAYERED = ("control", "random_init")
"""Nulls that are read at every layer; the others are of the text alone."""
ENDS = {"before": "confidence before the first step", "after": "confidence after the last step"}


class Held(NamedTuple):
    """Differences between two figures each, and the largest that is allowed."""

    differences: list[float]
    allowed: float


def differences(result: Comparison, split: str, found: Mapping[str, Any]) -> dict[str, Held]:
    """By kind of figure; `found` is what each piece of the script gave."""
    judged = result.splits[split]
    lines = {line.name: line for line in judged.evidence}
    problems = judged.accuracy["base"].n
    one = FEW / problems
    accuracy = [abs(judged.accuracy[who].value - found["answers"][who]) for who in ("base", "tuned")]
    used, moved = lines["used"], found["interchange"]
    searched, sweep = found["search"], result.table("sweep")
    on_dev = sweep.problems.max()
    keys = result.table("keys").dropna(subset=["dev_accuracy"])
    whole = {
        (each.vector, each.layer, each.dose, each.at): each.lenient
        for each in sweep[sweep.problems == on_dev].itertuples()
    }
    best = float(result.table("recovery").accuracy.max())
    trace = {(each.checkpoint, each.figure): each.value for each in result.table("trace").itertuples()}
    return {
        "accuracy of both": Held(accuracy, one),
        "share of right samples": Held(
            [abs(float(result.table("samples").right.mean()) - found["samples"])], ROUGH
        ),
        "probes, nulls among them": Held(_probes(result, split, found["probes"]), ROUGH),
        "next steps": Held(
            [abs(lines["continued"].estimate.value - found["next_steps"]["base"])], FEW / used.estimate.n
        ),
        "interchange": Held(
            [
                abs(used.estimate.value - moved["base"][0]),
                abs(used.null.value - max(by_chance for _, by_chance in moved.values())),
            ],
            FEW / used.estimate.n,
        ),
        "keys on dev": Held(
            [abs(each.dev_accuracy - found["keys"][each.key]) for each in keys.itertuples()], FEW / on_dev
        ),
        "steering on dev, settings that saw all of it": Held(
            [abs(searched.on_dev[setting] - own) for setting, own in whole.items()], FEW / on_dev
        ),
        "steering, what the best setting recovers": Held([abs(best - max(searched.recovered.values()))], one),
        "along traces": Held(
            [abs(trace[who, ENDS[end]] - probability) for (who, end), probability in found["along"].items()],
            CLOSE,
        ),
    }


def _probes(result: Comparison, split: str, found: Mapping[tuple[str, str, int], float]) -> list[float]:
    table = result.table("probes")
    layers = sorted(table.layer.unique())
    apart = []
    for each in table[table.split == split].itertuples():
        at = layers.index(each.layer)
        apart.append(abs(each.accuracy - found[each.role, each.name, at]))
        apart += [
            abs(getattr(each, null) - found[null, each.name, at if null in LAYERED else 0])
            for null in ("control", "surface", "window", "random_init")
        ]
    return apart


def agree(held: Mapping[str, Held]) -> None:
    """Print how far figures are apart. SystemExit names the first kind that is too far, or that is empty."""
    print("\n| figures | number | largest difference | allowed |\n|---|---|---|---|")
    for name, (apart, allowed) in held.items():
        if not apart:
            raise SystemExit(f"{name}: nothing was held against ours")
        print(f"| {name} | {len(apart)} | {max(apart):.4f} | {allowed:.4f} |", flush=True)
        if max(apart) > allowed:
            far = f"{max(apart):.4g}, {allowed:.4g} is allowed"
            raise SystemExit(f"{name}: the script's figures differ from ours by {far}")
