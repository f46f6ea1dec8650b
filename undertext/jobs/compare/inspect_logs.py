"""A comparison's outputs as logs of inspect: a file a split and output, which `inspect view` shows.

The form is version 2 of inspect's JSON log (inspect-ai 0.3.285); `from_inspect` reads it back as a task.
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from undertext.activations.errors import UserError
from undertext.activations.store.disk import replace_file
from undertext.core.output import json_bytes
from undertext.jobs.compare.result import Comparison
from undertext.jobs.compare.token_parts import OUTPUTS, Output

SCORER = "undertext"
RIGHT, WRONG = "C", "I"
"""What inspect calls a right answer, and a wrong one."""


def to_inspect(comparison: Comparison, folder: str | Path) -> list[Path]:
    """Write every output of a comparison as logs of inspect, and return the files.

    A log is `SPLIT-base.json`, `SPLIT-tuned.json` or `SPLIT-steered.json` (the weaker checkpoint's outputs
    with the best vector). It holds prompts as the task has them, answers, outputs, and whether each is right
    by the task's grader, leniently; the strict grade and the problem's flags are metadata. Files of these
    names are replaced. Raises UserError where the folder cannot be written, and where a comparison has no
    outputs.
    """
    rows = comparison.tables["problems"].to_pylist()
    logs = {
        f"{split}-{who}.json": _log(comparison, split, who, own)
        for split in dict.fromkeys(row["split"] for row in rows)
        for who in OUTPUTS
        for own in [[row for row in rows if row["split"] == split and row[f"{who}_output"] is not None]]
        if own
    }
    if not logs:
        raise UserError("the comparison holds no outputs to be written as logs of inspect")
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, log in logs.items():
            replace_file(target / name, [json_bytes(log)])
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror or error})") from error
    return [target / name for name in logs]


def _log(comparison: Comparison, split: str, who: Output, rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    summary, made = comparison.summary, comparison.run.get("made", {})
    weaker = comparison.splits[split].weaker
    role = who if who != "steered" else (weaker if weaker != "neither" else "base")
    model = f"undertext/{summary[role]['name']}" + (" steered" if who == "steered" else "")
    name, began = summary["task"]["name"], made.get("began", "1970-01-01T00:00:00+00:00")
    key = sha256(f"{comparison.id} {split} {who}".encode()).hexdigest()[:22]
    right = [bool(row[f"{who}_lenient"]) for row in rows]
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": key,
            "run_id": comparison.id,
            "created": began,
            "task": f"{name}-{split}",
            "task_id": sha256(f"{summary['task']['fingerprint']} {split}".encode()).hexdigest()[:22],
            "task_version": 0,
            "task_attribs": {},
            "task_args": {},
            "dataset": {"samples": len(rows), "sample_ids": [row["id"] for row in rows], "shuffled": False},
            "model": model,
            "model_args": {},
            "config": {"epochs": 1},
            "packages": {"undertext": comparison.run.get("versions", {}).get("undertext", "")},
            "metadata": {"fingerprint": summary[role]["fingerprint"], "split": split, "output": who},
            "scorers": [{"name": SCORER, "metrics": [{"name": "accuracy"}], "metadata": {}}],
        },
        "plan": {"name": "plan", "steps": [], "config": {}},
        "results": {
            "total_samples": len(rows),
            "completed_samples": len(rows),
            "scores": [
                {
                    "name": SCORER,
                    "scorer": SCORER,
                    "params": {},
                    "metrics": {
                        "accuracy": {"name": "accuracy", "value": sum(right) / len(rows), "params": {}}
                    },
                }
            ],
        },
        "stats": {"started_at": began, "completed_at": began, "model_usage": {}},
        "samples": [_sample(row, who, model) for row in rows],
    }


def _sample(row: Mapping[str, Any], who: Output, model: str) -> dict[str, Any]:
    text, cut = row[f"{who}_output"], row[f"{who}_unfinished"]
    answer = {"role": "assistant", "content": text, "source": "generate", "model": model}
    return {
        "id": row["id"],
        "epoch": 1,
        "input": row["prompt"],
        "target": row["answer"],
        "messages": [{"role": "user", "content": row["prompt"], "source": "input"}, answer],
        "output": {
            "model": model,
            "choices": [{"message": answer, "stop_reason": "max_tokens" if cut else "stop"}],
            "completion": text,
        },
        "scores": {
            SCORER: {
                "value": RIGHT if row[f"{who}_lenient"] else WRONG,
                "answer": text,
                "metadata": {"strict": row[f"{who}_strict"], "unfinished": cut},
            }
        },
        "metadata": {"type": row["type"], "in the gap": row["gap"], "flags": row["flags"]},
        "store": {},
        "events": [],
        "model_usage": {},
        "attachments": {},
    }
