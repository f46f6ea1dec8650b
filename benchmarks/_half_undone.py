"""Whether next steps, half of a change undone, and a change of its size at random tell what relearning does:
`python -m benchmarks._half_undone`.

Not run by `make bench`: ten minutes of one core where the bench's worlds are built, some ten more where they
are not. A checkpoint that works its problems out is wiped for so many steps, each time from the start, and
asked by itself, for single next steps, midway back to what it was, and after the bench's relearning; and the
checkpoint that it was, with every weight moved as far, up or down at random. The world's own locked and wiped
organisms stand below. Prints a table a world.
"""

import argparse
import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from transformers import PreTrainedModel

from undertext.activations import Checkpoint
from undertext.activations.between import moved_at_random, moved_towards
from undertext.core.setup import threads
from undertext.core.terms import HALFWAY
from undertext.jobs.bench.plan import read_plan
from undertext.measures.answers import greedy
from undertext.measures.trace.continued import continued
from undertext.organisms.bench.build import NEVER_HAD, SPLITS_JUDGED, WorldFolder
from undertext.organisms.bench.recipes import ORGANISMS, Organism
from undertext.organisms.training import train
from undertext.tasks.task import Task

WORLDS = ("chain-llama-word-1", "logic-gpt2-word-7")
"""Of the part `tuning`."""
STRONG = (3e-3, 1.0)
"""Learning rate and weight decay of the bench's own wiping."""
WIPINGS = (
    *((steps, *STRONG) for steps in (10, 25, 50, 100, 200, 400)),
    (400, 1e-3, 0.0),
    (800, 3e-4, 0.0),
)
"""Steps, learning rate and weight decay."""
SEED = 99


def table(folder: WorldFolder, tuned: Sequence[Organism]) -> str:
    """The rows of a world, in Markdown."""
    task = folder.task
    (recipe,) = ORGANISMS["wiped_by_noise"].stages
    whole = folder.model("fluent")
    before = Checkpoint.load(whole, tokenizer=folder.world.tokenizer)
    never = folder.relearnt(folder.model(NEVER_HAD), task, SPLITS_JUDGED)
    lines = [
        f"{folder.world.name}; one that never had it relearns {shown(never)}\n",
        "| tuned | size of the change | accuracy | next steps | half undone | relearnt | base moved as far |",
        "|---|---|---|---|---|---|---|",
    ]

    def row(name: str, model: PreTrainedModel, relearnt: dict[str, float]) -> str:
        after = Checkpoint.load(model, tokenizer=folder.world.tokenizer)
        with moved_towards(after, before, HALFWAY):
            half = accuracy(after, task)
        with moved_at_random(before, after, seed=SEED):
            moved = accuracy(before, task)
        figures = [accuracy(after, task), next_steps(after, before, task), half, relearnt, moved]
        return f"| {name} | {size(model, whole):.2f} | {' | '.join(map(shown, figures))} |"

    for steps, rate, decay in WIPINGS:
        model = copy.deepcopy(whole)
        stage = replace(recipe, steps=steps, lr=rate, weight_decay=decay)
        train(model, [stage], seed=SEED, loss_of=folder._loss)
        name = f"wiped, {steps} steps at {rate:g}"
        lines.append(row(name, model, folder.relearnt(model, task, SPLITS_JUDGED)))
    for organism in tuned:
        if organism.truth in ("suppressed", "overwritten"):
            card = folder.checked(organism.name)
            lines.append(row(f"`{organism.name}`", folder.model(organism.name), card["relearning"]["weaker"]))
    return "\n".join(lines)


def accuracy(checkpoint: Checkpoint, task: Task) -> dict[str, float]:
    """Greedy lenient accuracy on the splits judged."""
    return {s: float(greedy(checkpoint, task, task.split(s)).lenient.mean()) for s in SPLITS_JUDGED}


def next_steps(after: Checkpoint, before: Checkpoint, task: Task) -> dict[str, float]:
    """Of the next steps that the one before writes over chance, the share that the one after does."""
    shares = {}
    for split in SPLITS_JUDGED:
        own, whole = (continued(each, task.split(split)) for each in (after, before))
        chance = float(own.by_chance.mean())
        shares[split] = (float(own.right.mean()) - chance) / (float(whole.right.mean()) - chance)
    return shares


def size(model: torch.nn.Module, whole: torch.nn.Module) -> float:
    """The norm of what changed in all weights together, as a share of theirs."""
    pairs = list(zip(model.parameters(), whole.parameters(), strict=True))
    changed = sum(float((a - b).detach().square().sum()) for a, b in pairs)
    return float((changed / sum(float(b.detach().square().sum()) for _, b in pairs)) ** 0.5)


def shown(figures: dict[str, float]) -> str:
    """Accuracies of the splits judged."""
    return ", ".join(f"{figures[split]:.2f}" for split in SPLITS_JUDGED)


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
                print(table(WorldFolder(plan.world, at / plan.world.name), plan.tuned), flush=True)


if __name__ == "__main__":
    main()
