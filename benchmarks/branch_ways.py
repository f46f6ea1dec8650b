"""branch.ways: branches in one packed pass beside two passes that share keys and values.

A random Llama of width 512 with 8 layers; float32, one thread; both ways alternate in one process. One trunk,
16 branches of 5 tokens hung along it. Below the length at which the ratio passes 1 `score_branches` packs.
The ratio given is that at 400 tokens. `--smoke` is quick.
"""

import json
import sys
from functools import partial

import torch
from _common import HEAD, ids, llama, ratio

from undertext.activations.branch_tree import Branch
from undertext.activations.branches import score_branches

SMOKE = "--smoke" in sys.argv[1:]
LENGTHS = (40,) if SMOKE else (400, 1200, 2000, 3000)
ROUNDS, BRANCHES, TOKENS = 1 if SMOKE else 5, 16, 5


def main() -> None:
    """Print the table, and the ratio of the shortest trunk."""
    torch.set_num_threads(1)
    checkpoint = llama(*((64, 2) if SMOKE else (512, 8)), context=4096)
    print(HEAD)
    found = []
    for length in LENGTHS:
        trunk = ids(1, length)
        hung = [
            Branch(max(1, length * (k + 1) // BRANCHES), tokens)
            for k, tokens in enumerate(ids(BRANCHES, TOKENS))
        ]
        score = partial(score_branches, checkpoint, trunk, [hung])
        over, under = partial(score, method="packed"), partial(score, method="cached")
        found.append(ratio(f"packed over cached, {length} tokens", over, under, rounds=ROUNDS))
    print(json.dumps({"branch.ways": found[0]}))


if __name__ == "__main__":
    main()
