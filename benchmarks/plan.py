"""plan.*: the time that a plan states over the time that the job then takes.

Shipped organisms and the shipped chain task, one thread. What is stated: where rows write as many tokens as
in the trial, or, of what writes nothing, at most. A plan knows of reading, writing and training alone: what
else the job does (probes that are fitted, reports that are drawn) is in the time that it takes.
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from undertext import CompareConfig, MeasureConfig, SteerConfig, compare, measure, steer
from undertext.core.dry_run import plans_of
from undertext.jobs.sae_train.config import TrainConfig
from undertext.jobs.sae_train.job import train_dictionary
from undertext.tasks.builtin.chain import new_chain

BASE, TUNED = "zoo:base", "zoo:elicited"
SEARCH = {"splits": ("test",), "max_layers": 2, "search_problems": 16, "random_directions": 2, "threads": 1}
TASK = new_chain(0, train=400, dev=60, test=100, ood=20)


def jobs(folder: Path) -> dict[str, Callable[..., Any]]:
    training = TrainConfig(
        d_sae=1024, k=16, batch_size=1024, held_out=1024, steps=150, loss_texts=32, threads=1
    )
    return {
        "compare": lambda **more: compare(
            BASE, TUNED, TASK, config=CompareConfig(**SEARCH, samples=4, trace_problems=20), **more
        ),
        "steer": lambda **more: steer(BASE, TASK, stronger=TUNED, config=SteerConfig(**SEARCH), **more),
        "measure": lambda **more: measure(
            BASE, TUNED, TASK, config=MeasureConfig(problems=50, fit_problems=60, threads=1), **more
        ),
        "sae_train": lambda **more: train_dictionary(
            BASE, task=TASK, config=training, **({"out": folder / "sae"} | more)
        ),
    }


def main() -> None:
    torch.set_num_threads(1)
    found = {}
    print(f"{'job':<12}{'stated, s':>12}{'at most, s':>12}{'taken, s':>12}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as made:
        for name, job in jobs(Path(made)).items():
            (plan,) = plans_of(lambda job=job: job(progress=False))
            begun = perf_counter()
            job(progress=False)
            taken = perf_counter() - begun
            stated = plan.most_s if plan.usual_s is None else plan.usual_s
            found[f"plan.{name}"] = round(stated / taken, 3)
            print(f"{name:<12}{stated:>12.1f}{plan.most_s:>12.1f}{taken:>12.1f}{stated / taken:>8.2f}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
