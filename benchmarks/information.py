"""ig.naive: the information gain of a whole task beside scoring every (problem, step) pair by itself.

Random models of width 512 with 8 layers, in the shapes of Llama, GPT-2 and Qwen3; float32, one thread; peer
and ours alternate in one process. Eight problems, each with a prompt of 100 tokens, 15 steps of 20, and an
answer of 3 tokens after a lead of 2. Both forms of information gain, from text to figures.

- naive: the text of every pair through the model, all logits, their log-softmax at its tokens; in batches
  sorted by length, the fastest batch size of those tried.
- ours: `measures.trace.along` and `measures.trace.information`, as `undertext measure` has them.

The figures of both agree within 1e-3. `ig.naive` is the smallest of the three ratios. `--smoke` is quick.
"""

import json
import random
import sys
from collections.abc import Sequence
from functools import partial
from time import perf_counter

import numpy as np
import torch
from _common import (  # this folder is where Python looks first when a file in it is run
    HEAD,
    WORDS,
    llama,
    ratio,
)
from transformers import AutoModelForCausalLM, GPT2Config, PreTrainedConfig, Qwen3Config

from undertext.activations.checkpoint import Checkpoint
from undertext.measures.trace.along import along
from undertext.measures.trace.information import gain
from undertext.measures.trace.trails import Trail
from undertext.tasks import Problem
from undertext.tasks.steps import Span

SMOKE = "--smoke" in sys.argv[1:]
PROBLEMS, PROMPT, STEPS, STEP, ANSWER = (2, 10, 3, 4, 2) if SMOKE else (8, 100, 15, 20, 3)
WIDTH, LAYERS = (64, 2) if SMOKE else (512, 8)
ROUNDS, SIZES = (1, (1, 2)) if SMOKE else (5, (1, 4, 16))
LEAD = " 7 8 "
Figures = list[tuple[float, float]]
"""Of each problem the total in the answer form, and the published code's form."""


def checkpoint_of(shape: str) -> Checkpoint:
    """A random model of a shape, with the tokenizer of the others."""
    made = llama(WIDTH, LAYERS)
    if shape == "llama":
        return made
    torch.manual_seed(0)
    heads = WIDTH // 64
    config: PreTrainedConfig = GPT2Config(
        vocab_size=WORDS, n_embd=WIDTH, n_layer=LAYERS, n_head=heads, n_positions=512
    )
    if shape == "qwen3":
        config = Qwen3Config(
            vocab_size=WORDS, hidden_size=WIDTH, intermediate_size=WIDTH * 43 // 16, head_dim=64,
            num_hidden_layers=LAYERS, num_attention_heads=heads, num_key_value_heads=heads,
            max_position_embeddings=512,
        )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config).eval()
    return Checkpoint.load(model, tokenizer=made.tokenizer)


def trails() -> list[Trail]:
    """Problems with traces of words drawn at random."""
    rng = random.Random(0)

    # The tokenizer's padding is "0", which it also finds within a word.
    whole = [str(i) for i in range(10, WORDS) if "0" not in str(i)]

    def words(count: int) -> str:
        return " ".join(rng.choice(whole) for _ in range(count))

    made = []
    for k in range(PROBLEMS):
        problem = Problem(id=str(k), split="test", prompt=words(PROMPT), answer=words(ANSWER))
        text, spans = "", []
        for _ in range(STEPS):
            start = len(text) + bool(text)
            text = f"{text} {words(STEP)}".strip()
            spans.append(Span(start, len(text)))
        made.append(Trail(problem, text, tuple(spans), "gold", None, None))
    return made


def ours(checkpoint: Checkpoint, own: Sequence[Trail]) -> Figures:
    """As the job has it."""
    read = along(checkpoint, own, [[trail.problem.answer] for trail in own], LEAD)
    gains = [gain(trail, rows[0], trail.problem.answer) for trail, rows in zip(own, read, strict=True)]
    return [(each.total, each.published) for each in gains]


@torch.inference_mode()
def naive(checkpoint: Checkpoint, own: Sequence[Trail], size: int) -> Figures:
    """A text for every pair."""
    answers = [len(checkpoint.encode([trail.problem.answer])[0]) for trail in own]
    pairs = [(i, point) for i, trail in enumerate(own) for point in trail.points]
    texts = [own[i].reading[:point] + LEAD + own[i].problem.answer for i, point in pairs]
    ids = checkpoint.encode(texts)
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    logs, perplexities = np.zeros(len(ids)), np.zeros(len(ids))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        width = max(len(ids[row]) for row in rows)
        padded = torch.tensor([ids[row] + [0] * (width - len(ids[row])) for row in rows])
        scores = checkpoint.model(input_ids=padded, use_cache=False).logits.log_softmax(-1)
        for row, values in zip(rows, scores, strict=True):
            n = len(ids[row])
            said = values[: n - 1].gather(1, padded[rows.index(row), 1:n, None])[:, 0].double()
            logs[row] = float(said[-answers[pairs[row][0]] :].sum())
            perplexities[row] = float((-said.mean()).exp())
    out, n = [], STEPS + 1
    for i in range(len(own)):
        a, b = logs[i * n : (i + 1) * n], perplexities[i * n : (i + 1) * n]
        out.append((float(a[-1] - a[0]), float(b[0] - b[-1]) / n))
    return out


def main() -> None:
    """Print the table and the ratio."""
    torch.set_num_threads(1)
    own, found = trails(), {}
    rows = []
    for shape in ("llama", "gpt2", "qwen3"):
        checkpoint = checkpoint_of(shape)
        wanted = ours(checkpoint, own)
        times = {}
        for size in SIZES:
            start = perf_counter()
            np.testing.assert_allclose(naive(checkpoint, own, size), wanted, rtol=1e-3, atol=1e-3)
            times[size] = perf_counter() - start
        best = min(times, key=lambda size: times[size])
        rows.append(f"{shape}: naive in batches of {best}, of {', '.join(map(str, SIZES))}")
        if not found:
            print(HEAD)
        over, under = partial(naive, checkpoint, own, best), partial(ours, checkpoint, own)
        found[shape] = ratio(shape, over, under, rounds=ROUNDS)
    print("\n" + "\n".join(rows))
    print(json.dumps({"ig.naive": min(found.values())}))


if __name__ == "__main__":
    main()
