"""Whether half of a change undone tells what relearning tells: `python -m benchmarks._half_undone`.

Not run by `make bench`: five minutes of one core where the bench's worlds are built, some ten more where they
are not. A checkpoint that works its problems out is wiped for so many steps, each time from the start, and
asked by itself, midway back to what it was, and after the bench's relearning. Prints a table a world.
"""

import argparse
import copy
from dataclasses import replace
from pathlib import Path

import torch

from undertext.activations import Checkpoint
from undertext.activations.between import moved_towards
from undertext.core.setup import threads
from undertext.core.terms import HALFWAY
from undertext.jobs.bench.plan import read_plan
from undertext.measures.answers import greedy
from undertext.organisms.bench.build import NEVER_HAD, SPLITS_JUDGED, WorldFolder
from undertext.organisms.bench.recipes import ORGANISMS
from undertext.organisms.training import train

WORLDS = ("chain-llama-word-1", "logic-gpt2-word-7")
"""Of the part `tuning`."""
STEPS = (10, 25, 50, 100, 200, 400)
SEED = 99


def table(folder: WorldFolder) -> str:
    """The rows of a world, in Markdown."""
    task = folder.task
    (recipe,) = ORGANISMS["wiped_by_noise"].stages
    whole = folder.model("fluent")
    before = Checkpoint.load(whole, tokenizer=folder.world.tokenizer)
    never = folder.relearnt(folder.model(NEVER_HAD), task, SPLITS_JUDGED)
    lines = [
        f"{folder.world.name}; one that never had it relearns {shown(never)}\n",
        "| steps of wiping | size of the change | accuracy | half undone | relearnt |\n|---|---|---|---|---|",
    ]
    for steps in STEPS:
        model = copy.deepcopy(whole)
        train(model, [replace(recipe, steps=steps)], seed=SEED, loss_of=folder._loss)
        after = Checkpoint.load(model, tokenizer=folder.world.tokenizer)
        with moved_towards(after, before, HALFWAY):
            half = {s: float(greedy(after, task, task.split(s)).lenient.mean()) for s in SPLITS_JUDGED}
        figures = [folder.accuracy(model, task, SPLITS_JUDGED), half]
        figures.append(folder.relearnt(model, task, SPLITS_JUDGED))
        lines.append(f"| {steps} | {size(model, whole):.2f} | {' | '.join(map(shown, figures))} |")
    return "\n".join(lines)


def size(model: torch.nn.Module, whole: torch.nn.Module) -> float:
    """The norm of what changed in all weights together, as a share of theirs."""
    pairs = list(zip(model.parameters(), whole.parameters(), strict=True))
    changed = sum(float((a - b).detach().square().sum()) for a, b in pairs)
    return float((changed / sum(float(b.detach().square().sum()) for _, b in pairs)) ** 0.5)


def shown(accuracy: dict[str, float]) -> str:
    """Accuracies of the splits judged."""
    return ", ".join(f"{accuracy[split]:.2f}" for split in SPLITS_JUDGED)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bench", type=Path, default=Path("undertext-bench"), help="where worlds are built")
    at = parser.parse_args().bench
    with threads(1):
        for plan in read_plan().worlds:
            if plan.world.name in WORLDS:
                print(table(WorldFolder(plan.world, at / plan.world.name)), flush=True)


if __name__ == "__main__":
    main()
