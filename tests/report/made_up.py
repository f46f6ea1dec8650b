"""Tables of a comparison made up for these tests: every figure is invented, nothing was measured."""

import re
from dataclasses import asdict

import numpy as np
import pyarrow as pa

from tests.report.made_up_features import FEATURE
from undertext.core.output import plain
from undertext.core.statistics import Estimate
from undertext.core.terms import CONTROL_KINDS, ControlKind
from undertext.jobs.compare.checkpoints.result import SCHEMA, CheckpointComparisons, table_of
from undertext.jobs.compare.token_parts import TOKENS
from undertext.jobs.compare.trace_curves import CURVES, GAIN, GIVEN, SHARES
from undertext.jobs.compare.words import LINES
from undertext.jobs.steer.result import SteerResult
from undertext.measures.recovery.estimate import Excess, RecoveryEstimate
from undertext.measures.recovery.side_effects import SideEffects

PROBLEMS = 40
LAYERS = range(4)
DOSES = (0.5, 1.0, 2.0, 4.0, 8.0)
VECTORS = ("contrast: \u201cthink\u201d (<b>$x$</b>)", "delta", "rollouts: right or wrong")
RANDOM = tuple(f"random {k}" for k in range(1, 9))
CONTROLS = dict.fromkeys(RANDOM, "random directions") | {
    "shuffled: delta": "shuffled labels",
    "elsewhere: delta": "random positions",
}
HEATMAPS = tuple(f"{kind}-{split}" for kind in ("heatmap", "values") for split in ("test", "ood"))
FIGURES = ("accuracy", "recovery", *HEATMAPS, "probes", "doses", "confidence", "gain", "latents")
"""Names of the figures of the comparison."""

UNBROKEN = "unbroken" * 20
HOSTILE = {
    0: "<script>document.title = 'ran'; alert('ran')</script>",
    1: "</style></pre></code><img src=x onerror=\"alert('ran')\">{{ 7 * 7 }} & &amp; 'quoted' \"twice\"",
    2: "שלום, התשובה היא 4 \u202egnihtyreve esrever 🧮👩‍👩‍👧 \x00\x07",
    3: 5 * UNBROKEN,
    4: "long. " * 900,
}
"""What the tuned checkpoint writes on the first problems of each split."""


def problems() -> pa.Table:
    rng = np.random.default_rng(0)
    rows = []
    for split in ("test", "ood"):
        for k in range(PROBLEMS):
            answer = str(rng.integers(7))
            base, tuned, steered = k % 6 == 5, k % 20 != 5, k % 8 != 3
            rows.append(
                {
                    "split": split,
                    "id": f"{split}-{k}",
                    "type": "find" if k % 2 else None,
                    "prompt": f"a = {k} ; b = a + 3 ; find b :",
                    "answer": answer,
                    "base_output": f"answer {answer if base else 'unknown'}" if k != 3 else "",
                    "tuned_output": HOSTILE.get(k, f"a = {k} ; b = {answer} ; answer {answer}"),
                    "steered_output": f"a = {k} ; answer {answer}" if split == "test" else None,
                    "base_strict": base and k % 4 != 1,
                    "base_lenient": base,
                    "base_unfinished": False,
                    "tuned_strict": tuned,
                    "tuned_lenient": tuned,
                    "tuned_unfinished": False,
                    "steered_strict": steered if split == "test" else None,
                    "steered_lenient": steered if split == "test" else None,
                    "steered_unfinished": False if split == "test" else None,
                    "gap": tuned and not base,
                    "flags": "tuned: blank; base: right, but for its form" if k == 4 else "",
                }
            )
    return pa.Table.from_pylist(rows)


def trace() -> pa.Table:
    rows = [
        ("base", "another: follows the trace", 0.91, 0.85, 0.95, None, None),
        ("tuned", "another: follows the trace", 0.12, 0.05, 0.2, None, None),
        ("base", "rationalisation index over chance", 0.1, 0.0, 0.21, "rationalised_above", None),
        (
            "tuned",
            "rationalisation index over chance",
            0.83,
            0.71,
            0.95,
            "rationalised_above",
            "rationalised",
        ),
        ("base", "confidence before the first step", 0.2, 0.15, 0.25, None, None),
        ("base", "confidence after the last step", 0.7, 0.62, 0.78, None, None),
        ("tuned", "confidence before the first step", 0.8, 0.74, 0.86, None, None),
        ("tuned", "confidence after the last step", 0.97, 0.93, 1.0, None, None),
        ("tuned", "doubt words lost", 0.4, 0.1, 0.7, "lost_above", None),
    ]
    names = ("checkpoint", "figure", "value", "low", "high", "threshold", "flag")
    return pa.Table.from_pylist(
        [{"split": "test", **dict(zip(names, row, strict=True)), "n": PROBLEMS} for row in rows]
    )


def curves() -> pa.Table:
    """A base that comes to its answer by its trace, and a tuned one that has it beforehand."""
    rows = []
    for figure, ends in (
        (GIVEN, {"base": (0.2, 0.7), "tuned": (0.8, 0.97)}),
        (GAIN, {"base": (0.0, -1.3), "tuned": (0.0, 0.2)}),
    ):
        for role, (first, last) in ends.items():
            for share in SHARES.tolist():
                value = first + (last - first) * share
                off = 0.05 * (share if figure == GAIN else 1)
                rows.append(
                    {
                        "split": "test", "checkpoint": role, "figure": figure, "share": share,
                        "value": value, "low": value - off, "high": value + off, "n": PROBLEMS,
                    }
                )  # fmt: skip
    return pa.Table.from_pylist(rows, CURVES)


def tokens(problems: pa.Table) -> pa.Table:
    """Every word of every output, as both checkpoints read it; the tuned one cuts steered ones otherwise.
    Probes read the first split alone; a feature fires at tokens that are unlikely."""
    rng = np.random.default_rng(3)
    rows = []
    for problem in problems.to_pylist():
        for output in ("base", "tuned", "steered"):
            text = problem[f"{output}_output"]
            for reader in ("base", "tuned"):
                if text is None:
                    continue
                starts = [found.start() for found in re.finditer(r"\s*\S+", text)]
                if (output, reader) == ("steered", "tuned"):
                    starts = starts[::2]
                scores = -rng.exponential(1.5 if reader == "base" else 0.2, len(starts))
                read = {
                    "name": "last <b>value</b>",
                    "layer": 3 if reader == "base" else 2,
                    "label": problem["answer"],
                    "probe": np.exp(scores)[::-1],
                }
                rows.append(
                    {
                        "split": problem["split"],
                        "id": problem["id"],
                        "output": output,
                        "reader": reader,
                        "starts": starts,
                        "end": len(text),
                        "log_probs": scores,
                        "ranks": [1 + int(score < -1) + 3 * int(score < -2) for score in scores],
                        "feature": FEATURE,
                        "strength": np.where(scores < -1, -4 * scores, 0),
                        **(read if problem["split"] == "test" else {}),
                    }
                )
    return pa.Table.from_pylist(rows, TOKENS)


def samples(problems: pa.Table) -> pa.Table:
    rows = [
        {
            "checkpoint": "base",
            "split": "test",
            "id": problem["id"],
            "sample": k,
            "output": f"sampled {k} <b>for</b> {problem['id']}",
            "right": k == 1,
            "tokens": 4,
        }
        for problem in problems.to_pylist()
        if problem["split"] == "test" and problem["gap"]
        for k in range(3)
    ]
    return pa.Table.from_pylist(rows)


def keys() -> pa.Table:
    rows = [
        {
            "checkpoint": "base",
            "key": name,
            "kind": kind,
            "access": "none",
            "dev_accuracy": accuracy,
            "chosen": chosen,
        }
        for name, kind, accuracy, chosen in (
            ("told 'Think <step> by step.'", "prompted", 0.6, True),
            ("told '..'", "prompted", 0.2, False),
            ("opening 'a ='", "prefilled", 0.7, True),
        )
    ]
    return pa.Table.from_pylist(rows)


def probes() -> pa.Table:
    rng = np.random.default_rng(1)
    names = {"weaker": "base", "stronger": "tuned", "transported": "transported"}
    rows = []
    for split in ("test", "ood"):
        for name in ("first value", "last value"):
            for role, top in (("weaker", 0.85), ("stronger", 0.95), ("transported", 0.6)):
                for layer in LAYERS:
                    own = role != "transported"
                    rows.append(
                        {
                            "checkpoint": names[role],
                            "role": role,
                            "name": name,
                            "layer": layer,
                            "hook": f"blocks.{layer}.hook_resid_post",
                            "C": 0.1,
                            "split": split,
                            "n": PROBLEMS,
                            "accuracy": 0.2 + (top - 0.2) * (layer + 1) / 4 + float(rng.normal(0, 0.02)),
                            "control": 0.17 + float(rng.uniform(0, 0.08)) if own else None,
                            "surface": 0.28 if own else None,
                            "window": 0.3 if own else None,
                            "random_init": 0.24 if own else None,
                            "chosen": layer == 3,
                        }
                    )
    return pa.Table.from_pylist(rows)


def positions() -> pa.Table:
    """The readings of `probes`, by the second step and the fourth: at the others nothing is read."""
    rows = []
    for row in probes().to_pylist():
        columns = ("split", "checkpoint", "role", "name", "layer", "hook", "n", "accuracy", "chosen")
        for step, off in ((2, 0.0), (4, -0.1)):
            own = {column: row[column] for column in columns} | {"step": step}
            value = own["accuracy"] + off
            more = {"accuracy": value, "low": value - 0.1, "high": value + 0.1, "control": 0.2}
            rows.append(own | more)
    return pa.Table.from_pylist(rows)


def sweep() -> pa.Table:
    rng = np.random.default_rng(2)
    rows = []
    for vector in (*VECTORS, *CONTROLS):
        top = 0.35 if vector in CONTROLS else 0.95 - 0.2 * VECTORS.index(vector)
        for layer in LAYERS:
            for at in ("last_prompt", "all"):
                for dose in DOSES:
                    peak = np.exp(-((np.log2(dose) - 1) ** 2) / 3)
                    accuracy = float(np.clip(0.15 + (top - 0.15) * peak + rng.normal(0, 0.03), 0, 1))
                    rows.append(
                        {
                            "vector": vector,
                            "control": CONTROLS.get(vector),
                            "access": "none" if vector in RANDOM else "stronger's activations",
                            "layer": layer,
                            "hook": f"blocks.{layer}.hook_resid_post",
                            "dose": dose,
                            "at": at,
                            "problems": 64,
                            "split": "dev",
                            "strict": accuracy,
                            "lenient": accuracy,
                            "chosen": dose == 2.0 and layer == 2 and at == "last_prompt",
                        }
                    )
    return pa.Table.from_pylist(rows)


def recovery() -> pa.Table:
    rows = []
    for k, vector in enumerate((*VECTORS, *CONTROLS)):
        control = CONTROLS.get(vector)
        value = 0.2 + 0.02 * k if control else 0.9 - 0.25 * k
        gap = (value - 0.15) / 0.8
        row = {
            "split": "test",
            "vector": vector,
            "control": control,
            "access": "none" if vector in RANDOM else "stronger's activations",
            "layer": 2,
            "hook": "blocks.2.hook_resid_post",
            "dose": 2.0,
            "at": "last_prompt",
            "accuracy": value,
            "low": value - 0.1,
            "high": min(1.0, value + 0.1),
            **around("difference", value - 0.15),
            **around("recovered", None if vector == VECTORS[2] else gap),
            **around("recovered_graded_strictly", gap - 0.25),
            "only_format": 0.25,
            "solved": 6,
            **around("still_correct", 0.8),
            "unfinished": 0.0,
            "kl": 0.1234,
            "perplexity": 8.0,
            "perplexity_steered": 9.5,
            "best_vector": k == 0,
            "strongest": k == 0,
        }
        for kind in ("random_directions", "shuffled_labels", "random_positions"):
            row |= around(f"over_{kind}", None if control else gap - 0.3)
        rows.append(row)
    return pa.Table.from_pylist(rows)


def accuracy_by_key() -> pa.Table:
    """Of the split on which keys were tried."""
    rows = []
    for line, accuracy in (("prompted", 0.5), ("noised", 0.2), ("recovered", 0.9)):
        row = {"split": "test", "line": line, "n": PROBLEMS, "accuracy": accuracy}
        row |= {"low": accuracy - 0.1, "high": min(1.0, accuracy + 0.1)}
        rows.append(row | {"null": 0.25, "null_low": 0.2, "null_high": 0.3})
    return pa.Table.from_pylist(rows)


def around(column: str, value: float | None) -> dict[str, float | None]:
    """A figure with an interval, or neither."""
    return {
        column: value,
        f"{column}_low": None if value is None else value - 0.125,
        f"{column}_high": None if value is None else value + 0.125,
    }


WIDE = Estimate(-0.25, -0.375, -0.125, PROBLEMS)
"""A figure that takes as much room as any: it and both its bounds have a minus sign."""


def steered() -> SteerResult:
    """A result of `steer` whose table has every column, and long names in it."""
    best = {kind: f"best of {kind}" for kind in CONTROL_KINDS}
    names: dict[str, ControlKind | None] = {
        **dict.fromkeys((*VECTORS, UNBROKEN)),
        **{n: c for c, n in best.items()},
    }
    vectors = {}
    for k, (name, kind) in enumerate(names.items()):
        own = Estimate(0.9 - 0.1 * k, 0.85 - 0.1 * k, 0.95 - 0.1 * k, PROBLEMS)
        vectors[name] = asdict(
            RecoveryEstimate(
                vector=name, control=kind, access="stronger's activations", layer=2,
                hook="blocks.2.hook_resid_post", at="last_prompt", operator="add", dose=1.5, steered=0.125,
                steered_of_all=0.0625, strict=own, lenient=own, difference=WIDE, gap=WIDE, strict_gap=WIDE,
                excess={each: Excess(best[each], WIDE, WIDE) for each in CONTROL_KINDS if each != kind},
                only_format=0.25, solved=6, still_correct=own, unfinished=0.0,
            )
        )  # fmt: skip
    effect = asdict(SideEffects("prompts of train", 0.1234, 8.0, 9.5, 300, 20))
    checkpoint = {"name": UNBROKEN, "fingerprint": "00112233445566aa"}
    summary = {
        "checkpoint": checkpoint,
        "stronger": {**checkpoint, "name": "stronger"},
        "task": {"name": "chain"},
        "best_vector": VECTORS[0],
        "strongest": VECTORS[0],
        "accuracy": {"test": {"unsteered": asdict(WIDE), "stronger": asdict(WIDE)}},
        "splits": {"test": vectors},
        "side_effects": dict.fromkeys(vectors, effect),
        "notes": [UNBROKEN],
    }
    return SteerResult(plain(summary), {"sweep": sweep()}, {"job": "steer", "config": {"seed": 0}})


def over_training() -> CheckpointComparisons:
    """Comparisons of two checkpoints of one training run, with every line of evidence; a third failed."""
    estimate = asdict(Estimate(0.5, 0.4, 0.6, PROBLEMS))
    rows = [
        {
            "checkpoint": f"checkpoint-{step}", "source": f"run/checkpoint-{step}", "step": step,
            "split": "test",
            "verdict": "undetermined", "confidence": 0.5, "stability": 0.9, "weaker": "base",
            "accuracy": dict.fromkeys(("base", "tuned", "difference"), estimate),
            "unfinished": {"base": 0.1, "tuned": 0.25},
            "lines": {name: {"says": "unclear", "share": estimate} for name in LINES},
            "flags": 3,
        }
        for step in (10, 20)
    ]  # fmt: skip
    failed = {"checkpoint-30": {"source": "run/checkpoint-30", "error": UNBROKEN}}
    task = {"name": "chain", "description": "Variables assigned one from another."}
    summary = {
        "schema": SCHEMA,
        "base": {"name": "base"},
        "task": task,
        "seed": 0,
        "rows": rows,
        "failed": failed,
    }
    return CheckpointComparisons(
        summary, {"checkpoints": table_of(rows, failed)}, {"job": "compare checkpoints"}
    )
