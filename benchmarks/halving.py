"""steer.halving: rows and tokens that successive halving generates, over those of the grid of all settings.

The base of the shipped zoo, which answers its chain task by guessing unless it is steered: every vector that
a comparison offers (the contrast, of either checkpoint, the delta, random directions), at every layer, dose
and place, on the dev problems. Nothing is timed. The grid is run once; halving then goes by the same rows,
under 20 seeds, and its winner's accuracy, by the grid, is set against the grid's best.
"""

import json
import statistics
import sys
from tempfile import TemporaryDirectory

import torch

from undertext.core.setup import open_pair
from undertext.core.sweep_rows import SweepRows
from undertext.measures.recovery.candidates import candidate_vectors
from undertext.measures.recovery.config import SearchConfig
from undertext.steering import Gate, Schedule, grid, halving, sweep
from undertext.tasks.builtin.chain import new_chain
from undertext.tasks.output_grader import grading

PROBLEMS, SEEDS, WITHIN = 120, 20, 0.02


def main() -> int:
    torch.set_num_threads(1)
    task, config = new_chain(0), SearchConfig()
    pair = open_pair("zoo:base", "zoo:elicited", config)
    offered = candidate_vectors(pair.base, pair.tuned, task, config)
    near = {name for name, control in offered.controls.items() if control.of is not None}
    vectors = [each for each in offered.vectors if each.name not in near]
    gates = [Gate(each.place) for each in config.positions]
    settings = grid([each.name for each in vectors], range(pair.base.n_layers), config.doses, gates)
    problems = task.split("dev")[:PROBLEMS]
    prompts = [problem.prompt for problem in problems]
    right = grading(task, problems)
    with TemporaryDirectory() as folder:
        whole = sweep(
            pair.base, prompts, settings, vectors, right, max_new_tokens=task.max_new_tokens,
            stop=task.stop, keep=SweepRows(folder),
        )  # fmt: skip
        accuracy, tokens = whole.accuracy(), int(whole.written.sum())
        rows, written, behind = [], [], []
        for seed in range(SEEDS):
            found = halving(
                pair.base, prompts, settings, vectors, right, max_new_tokens=task.max_new_tokens,
                stop=task.stop, keep=SweepRows(folder), seed=seed,
            )  # fmt: skip
            rows.append(found.rows / found.grid_rows)
            written.append(int(found.sweep.written.sum()) / tokens)
            behind.append(float(accuracy.max() - accuracy[settings.index(found.winner)]))
    good = int((accuracy >= accuracy.max() - WITHIN).sum())
    size = f"{len(settings)} settings on {len(prompts)} problems"
    print(f"{size}: {whole.ran.numel()} rows, {tokens} tokens")
    print(f"schedule: {Schedule()}, rounds {Schedule().rounds(len(settings), len(prompts))}")
    best, middle = float(accuracy.max()), float(accuracy.median())
    print(f"grid's best {best:.3f}, median {middle:.3f}; {good} settings within {WITHIN}")
    print("| of 20 seeds | median | least | most |\n|---|---|---|---|")
    for name, each in (("rows", rows), ("tokens", written), ("points behind the grid's best", behind)):
        print(f"| {name} | {statistics.median(each):.3f} | {min(each):.3f} | {max(each):.3f} |")
    if max(behind) > WITHIN:
        print(f"a winner is {max(behind):.3f} behind the grid's best: more than {WITHIN}", file=sys.stderr)
        return 1
    print(json.dumps({"steer.halving": round(max(*rows, *written), 4)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
