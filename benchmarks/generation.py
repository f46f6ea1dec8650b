"""steer.*: a steered sweep as rows of one batch, beside a loop of Hugging Face's `generate` with a hook.

A random Llama of width 256 with 6 layers, float32, one thread; peer and ours alternate in one process.
11 doses of one vector at 4 layers, added at the prompt's last token, greedy. Floor: the matrix products alone
of the passes ours makes: linear layers, attention, logits of the last tokens.

generation.long: 512 outputs of lognormal length (median 48, at most 512 tokens), 64 at a time, unsteered, by
token written, over as many outputs that are all of the mean length, so that the 64 of a batch end together.
The lengths are drawn five times; the spread is over the draws. Beside it, without an id: over a batch of 64.
"""

import json
import math
import random
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from unittest.mock import patch

import torch
from _common import HEAD, ids, llama, ratio
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.generation import generate
from undertext.activations.hookpoint import HookPoint
from undertext.activations.interventions import Intervention
from undertext.activations.sampling import Stopping

LAYERS, DOSES = (1, 2, 3, 4), tuple(0.5 * step for step in range(-5, 6))


def settings(checkpoint: Checkpoint) -> list[Intervention]:
    vector = torch.randn(checkpoint.d_model, generator=torch.Generator().manual_seed(0))
    return [Intervention(HookPoint(layer, "resid_post"), vector, dose) for layer in LAYERS for dose in DOSES]


def ours(checkpoint: Checkpoint, prompts: list[list[int]], steps: int) -> list[list[int]]:
    tried = settings(checkpoint)
    return generate(
        checkpoint,
        [prompt for _ in tried for prompt in prompts],
        max_new_tokens=steps,
        interventions=[each for each in tried for _ in prompts],
        batch_size=512,
    ).tokens


def loop(checkpoint: Checkpoint, prompts: list[list[int]], steps: int) -> list[list[int]]:
    """One `generate` a setting over all prompts, as equal lengths allow without padding."""
    tokens = torch.tensor(prompts)
    found: list[list[int]] = []
    for each in settings(checkpoint):
        read = False

        def add(module: object, args: object, output: Tensor, each: Intervention = each) -> Tensor | None:
            nonlocal read
            if read:  # generated tokens are not steered
                return None
            read = True
            changed = output.clone()
            changed[:, -1] += each.dose * each.vector
            return changed

        block = checkpoint.model.model.layers[each.point.layer]
        handle = block.register_forward_hook(add)
        try:
            out = checkpoint.model.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                max_new_tokens=steps,
                do_sample=False,
                pad_token_id=0,
                eos_token_id=None,
            )
        finally:
            handle.remove()
        found += out[:, tokens.shape[1] :].tolist()
    return found


def floor(checkpoint: Checkpoint, prompts: int, length: int, steps: int) -> Callable[[], None]:
    """The products of ours: the prompts once but for their last token, then every row token by token."""
    rows = prompts * len(LAYERS) * len(DOSES)
    config = checkpoint.model.config
    heads, d_head = config.num_attention_heads, checkpoint.d_model // config.num_attention_heads
    block = checkpoint.model.model.layers[0]
    weights = [
        module.weight.T for module in block.modules() if isinstance(module, torch.nn.Linear)
    ]  # q, k, v, o, gate, up, down
    passes = [(prompts, length - 1, length - 1), *((rows, 1, length + step) for step in range(steps))]

    def products() -> None:
        for batch, read, past in passes:
            for _ in range(config.num_hidden_layers):
                for weight in weights:
                    torch.mm(inputs[weight.shape[0]][: batch * read], weight)
                keys = past_keys[: batch * heads, :past]
                scores = torch.bmm(queries[: batch * heads, :read], keys.mT)
                torch.bmm(scores, keys)
            if read == 1:
                torch.mm(inputs[checkpoint.d_model][:batch], checkpoint.model.lm_head.weight.T)

    most = max(batch * read for batch, read, _ in passes)
    inputs = {weight.shape[0]: torch.randn(most, weight.shape[0]) for weight in weights}
    past_keys = torch.randn(rows * heads, length + steps, d_head)
    queries = torch.randn(rows * heads, max(1, length - 1), d_head)
    return products


def lognormal(seed: int) -> list[int]:
    """Lengths of 512 outputs."""
    drawn = random.Random(seed)
    return [max(1, min(512, round(48 * math.exp(drawn.gauss(0, 1))))) for _ in range(512)]


def long_outputs(checkpoint: Checkpoint, seeds: Sequence[int] = range(5)) -> float:
    """Time per token written of outputs of mixed length, over that of a batch whose rows all end together.

    The median over draws of the lengths, so that it does not depend on one of them.
    """
    checkpoint.model.generation_config.eos_token_id = None

    def per_token(lengths: list[int]) -> float:
        # Each row's first token is set, and says when it ends.
        options = {"openings": lengths, "max_new_tokens": max(lengths), "batch_size": 64}
        start = perf_counter()
        found = generate(checkpoint, ids(len(lengths), 16), **options)
        spent = perf_counter() - start
        assert found.produced == lengths
        return spent / sum(lengths)

    ratios: dict[int, list[float]] = {512: [], 64: []}
    with patch.object(Stopping, "ended", lambda _, produced: len(produced) == produced[0]):
        per_token([16] * 64)  # warms up
        for seed in seeds:
            lengths = lognormal(seed)
            mean = round(statistics.mean(lengths))
            ours = per_token(lengths)
            for rows, found in ratios.items():
                theirs = per_token([mean] * rows)
                found.append(ours / theirs)
                print(
                    f"| seed {seed}: 512 outputs, {min(lengths)} to {max(lengths)} tokens; {rows} of {mean} "
                    f"| {found[-1]:.3f} | | {1e6 * ours:.0f} over {1e6 * theirs:.0f} microseconds a token |",
                    flush=True,
                )
    for rows, found in ratios.items():
        name = "generation.long" if rows == 512 else f"the same over {rows} outputs of the mean length"
        spread = f"{min(found):.3f} to {max(found):.3f}"
        print(f"| {name} | {statistics.median(found):.3f} | {spread} | {len(found)} draws of the lengths |")
    return round(statistics.median(ratios[512]), 4)


@torch.inference_mode()
def main() -> None:
    torch.set_num_threads(1)
    checkpoint = llama(width=256, layers=6)
    checkpoint.model.generation_config.eos_token_id = None
    cases = {"steer.loop_8": (8, 16, 12), "steer.loop_64": (64, 16, 6), "steer.long_prompt": (4, 128, 32)}
    print(HEAD)
    found: dict[str, float] = {}
    same = total = 0
    for name, (count, length, steps) in cases.items():
        prompts = ids(count, length)
        found[name] = ratio(
            f"{name} ({count} prompts of {length} tokens, {steps} written)",
            partial(loop, checkpoint, prompts, steps),
            partial(ours, checkpoint, prompts, steps),
            rounds=5 if count < 64 else 3,
        )
        pairs = list(zip(loop(checkpoint, prompts, steps), ours(checkpoint, prompts, steps), strict=True))
        same, total = same + sum(a == b for a, b in pairs), total + len(pairs)
    count, length, steps = cases["steer.loop_8"]
    found["steer.floor"] = ratio(
        "steer.floor",
        lambda: ours(checkpoint, ids(count, length), steps),
        floor(checkpoint, count, length, steps),
        rounds=5,
    )
    found["steer.tokens"] = same / total
    print(f"| steer.tokens | {same / total:.3f} | | {same} of {total} rows |")
    found["generation.long"] = long_outputs(llama(width=256, layers=6, context=1024))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
