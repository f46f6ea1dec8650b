"""What was measured, as rows: the parquet files of a report."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from activations.hookpoint import HookPoint
from undertext.config import CompareConfig, Rule
from undertext.evidence.behaviour import Behaviour
from undertext.evidence.controls import KINDS, described
from undertext.evidence.readings import Readings
from undertext.evidence.recovered import Recovered, recovered
from undertext.evidence.recovery import Recovery, Search
from undertext.evidence.side_effects import SideEffects
from undertext.judging import Judged
from undertext.latency import Latency, LatencyOf
from undertext.statistics import Estimate
from undertext.tasks.task import Task

TEXT = ("type", "control", "side_text")
"""Columns of text that can be empty from top to bottom, beside those named `*_control` and `*_output`."""


def tables_of(
    task: Task,
    behaviour: Mapping[tuple[str, str], Behaviour],
    judged: Mapping[str, Judged],
    latencies: Mapping[str, LatencyOf],
    config: CompareConfig,
    rule: Rule,
) -> dict[str, pa.Table]:
    """Every table of a comparison that has rows; their columns are `Comparison.tables`'s contract."""
    rows = []
    for split, each in judged.items():
        found: Latency | None = each.latency
        for i, problem in enumerate(task.split(split)):
            row: dict[str, Any] = {
                "split": split,
                "id": problem.id,
                "type": problem.type,
                "prompt": problem.prompt,
                "answer": problem.answer,
            }
            for role in ("base", "tuned"):
                outputs = behaviour[split, role]
                row |= {
                    f"{role}_output": outputs.texts[i],
                    f"{role}_strict": bool(outputs.strict[i]),
                    f"{role}_lenient": bool(outputs.lenient[i]),
                }
            steered = found.recovery if found is not None else None
            name = steered.search.headline if steered is not None else ""
            row |= {
                "steered_output": None if steered is None else steered.texts[name][i],
                "steered_strict": None if steered is None else bool(steered.strict[name][i]),
                "steered_lenient": None if steered is None else bool(steered.lenient[name][i]),
                "gap": i in each.gap,
            }
            rows.append(row)
    tables = {"problems": rows}
    for weaker, latency in latencies.items():
        on = [split for split, each in judged.items() if each.result.weaker == weaker]
        if on:
            for name, more in _latency_rows(latency, on, behaviour).items():
                tables.setdefault(name, []).extend(more)
    return {name: pa.Table.from_pylist(each, schema=schema_of(each)) for name, each in tables.items() if each}


def _latency_rows(
    of: LatencyOf, splits: Sequence[str], behaviour: Mapping[tuple[str, str], Behaviour]
) -> dict[str, list[dict[str, Any]]]:
    """Rows of the tables `probes`, `sweep` and `recovery`, for the splits where `of.weaker` is the weaker."""
    other = "tuned" if of.weaker == "base" else "base"
    names = {"weaker": of.weaker, "stronger": other, "transported": "transported"}
    recovered = [
        row
        for split in splits
        for row in recovery_rows(
            of.recoveries[split], split, behaviour[split, of.weaker], behaviour[split, other],
            of.side_effects, seed=of.config.seed, level=of.rule.level,
        )
    ]  # fmt: skip
    return {
        "probes": [
            row
            for readings in (of.readings, of.self_knowledge)
            if readings is not None
            for row in probe_rows(readings, splits, of.points, names)
        ],
        "sweep": sweep_rows(of.found),
        "recovery": recovered,
    }


def schema_of(rows: Sequence[Mapping[str, Any]]) -> pa.Schema:
    """A column's type, also where all of it is empty."""
    kinds = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    fields = []
    for column in rows[0]:
        value = next((row[column] for row in rows if row[column] is not None), None)
        kind = (
            pa.bool_()
            if column.endswith(("_strict", "_lenient"))
            else pa.string()
            if column in TEXT or column.endswith(("_control", "_output"))
            else pa.float64()
        )
        fields.append((column, kinds[type(value)] if value is not None else kind))
    return pa.schema(fields)


def probe_rows(
    readings: Readings, splits: Sequence[str], points: Sequence[HookPoint], names: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The table `probes`; `names` says which checkpoint, base or tuned, is the weaker and the stronger."""
    rows = []
    for (name, split), sources in readings.right.items():
        if split not in splits or not sources["weaker"].numel():  # a value that this split does not name
            continue
        for source in ("weaker", "stronger", "transported"):
            for layer, point in enumerate(points):
                rows.append(
                    {
                        "checkpoint": names.get(source, source),
                        "role": source,
                        "name": name,
                        "layer": point.layer,
                        "hook": str(point),
                        "C": float(readings.strength[name, source][layer]),
                        "split": split,
                        "n": sources[source].shape[1],
                        "accuracy": float(sources[source][layer].double().mean()),
                        "control": float(sources["control"][layer].double().mean()),
                        "surface": float(sources["surface"][0].double().mean()),
                        "random_init": float(sources["random_init"][layer].double().mean()),
                        "chosen": layer == readings.chosen[name, source],
                    }
                )
    return rows


def sweep_rows(found: Search) -> list[dict[str, Any]]:
    """The table `sweep`."""
    kinds = {name: control.kind for name, control in found.offered.controls.items()}
    strict, lenient = (found.on_dev.accuracy(by).tolist() for by in ("strict", "lenient"))
    steered = found.on_dev.share_steered().tolist()
    return [
        {
            "vector": setting.vector,
            "control": kinds.get(setting.vector),
            "oracle": found.offered.oracles[setting.vector],
            "layer": setting.layers[0],
            "hook": str(HookPoint(setting.layers[0], "resid_post")),
            "dose": float(setting.dose),
            "at": described(setting.where),
            "operator": setting.operator,
            "problems": int(found.on_dev.ran[i].sum()),
            "split": "dev",
            "strict": strict[i],
            "lenient": lenient[i],
            "tokens_steered": steered[i],
            "chosen": found.best[setting.vector] == setting,
        }
        for i, setting in enumerate(found.on_dev.settings)
    ]


def recovery_rows(
    recovery: Recovery,
    split: str,
    weaker: Behaviour,
    stronger: Behaviour | None,
    effects: Mapping[str, SideEffects | None],
    *,
    seed: int,
    level: float,
) -> list[dict[str, Any]]:
    """The table `recovery`: a row a vector."""
    return [
        _recovery_row(recovered(recovery, name, weaker, stronger, seed=seed, level=level), split, recovery)
        | _side_columns(effects.get(name))
        for name in recovery.search.best
    ]


def _recovery_row(found: Recovered, split: str, recovery: Recovery) -> dict[str, Any]:
    row = {
        "split": split,
        "vector": found.vector,
        "control": found.control,
        "oracle": found.oracle,
        "layer": found.setting.layers[0],
        "hook": str(HookPoint(found.setting.layers[0], "resid_post")),
        "dose": float(found.setting.dose),
        "at": described(found.setting.where),
        "operator": found.setting.operator,
        "tokens_steered": found.steered,
        "of_all_steered": found.steered_of_all,
        **three("accuracy", found.lenient, bounds=""),
        "accuracy_graded_strictly": found.strict.value,
        **three("difference", found.difference),
        **three("recovered", found.gap),
        **three("recovered_graded_strictly", found.strict_gap),
        "only_format": found.only_format,
        "solved": found.solved,
        **three("kept", found.kept),
    }
    for kind in KINDS:
        excess = found.excess.get(kind)
        column = f"over_{kind.replace(' ', '_')}"
        row |= {f"{column}_control": None if excess is None else excess.control}
        row |= three(column, None if excess is None else excess.recovered)
        row |= three(f"{column}_accuracy", None if excess is None else excess.accuracy)
    return row | {"headline": found.vector == recovery.search.headline}


def _side_columns(found: SideEffects | None) -> dict[str, Any]:
    if found is None:
        return dict.fromkeys(("side_text", "kl", "perplexity", "perplexity_steered"))
    return {
        "side_text": found.source,
        "kl": found.divergence,
        "perplexity": found.perplexity,
        "perplexity_steered": found.perplexity_steered,
    }


def three(column: str, found: Estimate | None, bounds: str | None = None) -> dict[str, float | None]:
    """Columns of a figure and its interval, empty where there is none."""
    stem = f"{column}_" if bounds is None else bounds
    return {
        column: None if found is None else found.value,
        f"{stem}low": None if found is None else found.low,
        f"{stem}high": None if found is None else found.high,
    }
