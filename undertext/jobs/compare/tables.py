"""What was measured, as rows: the parquet files of a report."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from undertext.activations.hookpoint import HookPoint
from undertext.jobs.compare.config import CompareConfig, Rule
from undertext.jobs.compare.evidence import EvidenceCollector, SplitEvidence
from undertext.jobs.compare.judging import Judged
from undertext.measures.answers import Answers
from undertext.measures.decoding.readings import Readings
from undertext.measures.recovery.rows import recovery_rows, schema_of, sweep_rows
from undertext.tasks.task import Task


def tables_of(
    task: Task,
    behaviour: Mapping[tuple[str, str], Answers],
    judged: Mapping[str, Judged],
    latencies: Mapping[str, EvidenceCollector],
    config: CompareConfig,
    rule: Rule,
) -> dict[str, pa.Table]:
    """Every table of a comparison that has rows; their columns are `Comparison.tables`'s contract."""
    rows = []
    for split, each in judged.items():
        found: SplitEvidence | None = each.latency
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
    of: EvidenceCollector, splits: Sequence[str], behaviour: Mapping[tuple[str, str], Answers]
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
                        "accuracy": float(sources[source][layer].float().mean()),
                        "control": float(sources["control"][layer].float().mean()),
                        "surface": float(sources["surface"][0].float().mean()),
                        "random_init": float(sources["random_init"][layer].float().mean()),
                        "chosen": layer == readings.chosen[name, source],
                    }
                )
    return rows
