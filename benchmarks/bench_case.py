"""bench.case: what judging a case of the bench takes, over training its organism.

One pair of a world of the quick set: `password`, a lock on `fluent`, in `chain-llama-word-1`; one thread. The
organism is trained from nothing, its parent with it, and held against its claim (`relearning`); then
`undertext.compare` judges the pair by every line on both splits, which are a case each. Training is what the
organisms' cards say of it (`training_s`: steps alone, without what is asked of the organism afterwards).
`bench.case` is the time of judging by case, over that of the organism's own training from its parent. Other
bases of the ratio stand beside it, without an id. `--smoke` trains for two steps.
"""

import json
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from unittest.mock import patch

import torch

from undertext.activations.quiet import quiet
from undertext.jobs.bench.build import cases_of
from undertext.jobs.bench.judges import our_comparison
from undertext.jobs.bench.plan import read_plan
from undertext.organisms.bench import build, world
from undertext.organisms.bench.build import WorldFolder
from undertext.organisms.bench.recipes import ORGANISMS

SMOKE = "--smoke" in sys.argv[1:]
WORLD, ORGANISM = "chain-llama-word-1", "password"


def hardly_trained(stack: ExitStack) -> None:
    """Two steps a stage, and few problems."""
    few = {**dict.fromkeys(world.SPLITS, 12), "train": 60}
    stack.enter_context(patch.object(world, "SPLITS", few))
    stack.enter_context(patch.object(build, "RELEARNING", replace(build.RELEARNING, steps=1, batch=6)))
    less = {
        name: replace(each, stages=tuple(replace(stage, steps=2, batch=6) for stage in each.stages))
        for name, each in ORGANISMS.items()
    }
    stack.enter_context(patch.dict(ORGANISMS, less))


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as made, ExitStack() as stack, quiet():
        if SMOKE:
            hardly_trained(stack)
        plan = next(each for each in read_plan().of("quick") if each.world.name == WORLD)
        organism = ORGANISMS[ORGANISM]
        folder = WorldFolder(plan.world, Path(made))
        begun = perf_counter()
        card = folder.checked(ORGANISM)
        built = perf_counter() - begun
        base = str(organism.parent)
        task, cases = folder.task_of(organism), cases_of(plan, organism, card)
        begun = perf_counter()
        judged = our_comparison(
            folder.path(base), folder.path(ORGANISM), task, seed=0, out=Path(made) / "report"
        )
        pair = perf_counter() - begun
        own, parents = float(card["training_s"]), float(folder.card(base)["training_s"])
        for case in cases:
            said = judged.splits[case.split]
            print(f"{case.name}: {said.verdict}, confidence {said.confidence:.2f}; true: {case.truth}")
    whole = own + parents
    print(f"\nbuilt with its parent, and checked by relearning: {built:.1f} s\n")
    print("| judging | over training | seconds | ratio |\n|---|---|---|---|")
    for name, over in (("a case", pair / len(cases)), ("the pair", pair)):
        for of, under in (("from nothing", whole), (f"from {base}", own)):
            print(f"| {name} | {of} | {over:.1f} over {under:.1f} | {over / under:.3f} |")
    print(json.dumps({"bench.case": round(pair / len(cases) / own, 4)}))


if __name__ == "__main__":
    main()
