"""branch.*: what scoring an answer after each step costs beside scoring each text, and beside one cache.

A random Llama of width 512 with 8 layers, float32, one thread; peers and ours alternate in one process. One
text: a prompt of 100 tokens and 15 steps of 20, with an answer of 3 tokens after each step.

- naive: each prefix with its answer a row of its own, in batches sorted by length (the fastest batch size
  of those tried), all logits, their log-softmax at the answer.
- kv: the cache extended by each step, and the answer read over it and cropped off again.
- floor: the matrix products alone that one pass over the distinct tokens needs: linear layers, attention
  among them, logits where they are needed.
"""

import json
import statistics
from collections.abc import Callable
from functools import partial
from time import perf_counter

import torch
from _common import ids, llama  # this folder is where Python looks first when a file in it is run
from torch import Tensor
from transformers import DynamicCache

from undertext.activations.branches import Branch, score_branches
from undertext.activations.checkpoint import Checkpoint

ROUNDS, PROMPT, STEPS, STEP, ANSWER = 7, 100, 15, 20, 3
AFTER = [PROMPT + STEP * (step + 1) for step in range(STEPS)]


def naive(checkpoint: Checkpoint, trunk: list[int], answer: list[int], batch_size: int) -> Tensor:
    texts = sorted(([*trunk[:at], *answer] for at in AFTER), key=len)
    found = []
    for start in range(0, len(texts), batch_size):
        rows = texts[start : start + batch_size]
        width = max(map(len, rows))
        padded = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        logits = checkpoint.model(input_ids=padded, use_cache=False).logits
        for row, values in zip(rows, logits, strict=True):
            near = values[len(row) - ANSWER - 1 : len(row) - 1].log_softmax(dim=-1)
            found.append(near[range(ANSWER), row[-ANSWER:]])
    return torch.cat(found)


def kv(checkpoint: Checkpoint, trunk: list[int], answer: list[int]) -> Tensor:
    cache = DynamicCache()
    read = 0
    tokens = torch.tensor([trunk])
    last = torch.tensor([answer[:-1]])
    found = []
    for at in AFTER:
        step = checkpoint.model(input_ids=tokens[:, read:at], past_key_values=cache, logits_to_keep=1)
        rest = checkpoint.model(input_ids=last, past_key_values=cache)
        cache.crop(1 - ANSWER)
        values = torch.cat([step.logits[0], rest.logits[0]]).log_softmax(dim=-1)
        found.append(values[range(ANSWER), answer])
        read = at
    return torch.cat(found)


def products(checkpoint: Checkpoint, n_tokens: int, n_read: int) -> Callable[[], None]:
    """The matrix products of one pass, into buffers that are there already."""
    config = checkpoint.model.config
    heads = config.num_attention_heads
    wide = torch.randn(n_tokens, config.hidden_size)
    middle = torch.randn(n_tokens, config.intermediate_size)
    queries = torch.randn(heads, n_tokens, config.hidden_size // heads)
    weights = torch.randn(heads, n_tokens, n_tokens)
    chosen = torch.randn(n_read, config.hidden_size)
    linear = [
        module.weight.t()
        for name, module in checkpoint.model.named_modules()
        if isinstance(module, torch.nn.Linear) and name != "lm_head"
    ]
    outputs = {width: torch.empty(n_tokens, width) for width in (wide.shape[1], middle.shape[1])}
    scores, mixed = torch.empty_like(weights), torch.empty_like(queries)
    head = checkpoint.model.get_output_embeddings().weight.t()
    logits = torch.empty(n_read, head.shape[1])

    def run() -> None:
        for weight in linear:
            torch.mm(
                wide if weight.shape[0] == wide.shape[1] else middle, weight, out=outputs[weight.shape[1]]
            )
        for _ in range(config.num_hidden_layers):
            torch.bmm(queries, queries.transpose(1, 2), out=scores)
            torch.bmm(weights, queries, out=mixed)
        torch.mm(chosen, head, out=logits)

    return run


def seconds(job: Callable[[], object]) -> float:
    start = perf_counter()
    job()
    return perf_counter() - start


@torch.inference_mode()
def main() -> None:
    torch.set_num_threads(1)
    checkpoint = llama()
    (trunk,) = ids(1, AFTER[-1])
    (answer,) = ids(1, ANSWER)
    branches = [[Branch(at, answer) for at in AFTER]]

    def ours() -> Tensor:
        return score_branches(checkpoint, [trunk], branches).tokens

    expected = naive(checkpoint, trunk, answer, 1)
    sizes = {
        size: seconds(partial(naive, checkpoint, trunk, answer, size)) for size in (1, 2, 4, 8, 15)
    }  # fmt: skip
    size = min(sizes, key=lambda size: sizes[size])
    jobs: dict[str, Callable[[], object]] = {
        "naive": lambda: naive(checkpoint, trunk, answer, size),
        "kv": lambda: kv(checkpoint, trunk, answer),
        "ours": ours,
        "floor": products(checkpoint, len(trunk) + STEPS * (ANSWER - 1), STEPS * ANSWER),
    }
    for name, job in jobs.items():
        found = job()
        if name != "floor":
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(ROUNDS):
        for name, job in jobs.items():
            times[name].append(seconds(job))
    tried = ", ".join(f"{size}: {1000 * taken:.0f}" for size, taken in sizes.items())
    print(f"naive in batches of {size} (ms by batch size: {tried}); medians of {ROUNDS} rounds")
    print("| | ms | spread |\n|---|---|---|")
    for name, taken in times.items():
        ms = [1000 * each for each in taken]
        print(f"| {name} | {statistics.median(ms):.1f} | {min(ms):.1f} to {max(ms):.1f} |")
    print("\n| id | ratio | spread |\n|---|---|---|")
    found = {}
    for name, over, under in (("naive", "naive", "ours"), ("kv", "kv", "ours"), ("floor", "ours", "floor")):
        ratios = [a / b for a, b in zip(times[over], times[under], strict=True)]
        found[f"branch.{name}"] = round(statistics.median(ratios), 4)
        print(f"| branch.{name} | {statistics.median(ratios):.3f} | {min(ratios):.3f} to {max(ratios):.3f} |")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
