"""The cost model on a GPU: what share of its peaks each size reaches, and what one size says of the others.

    python benchmarks/_cost_cuda.py            # on a machine with a GPU; about two minutes
    python benchmarks/_cost_cuda.py --smoke    # tiny sizes, any machine: only that it runs

Random models of Qwen2.5's sizes in bfloat16: 1.5B, 3B and 7B. Read: 64 texts of 512 tokens, resid_post of the
last layer kept at the last position. Written: 256 rows after prompts of 150 tokens, plainly and with a vector
added at the middle layer; the seconds of one pass are those of 49 tokens less those of one, by 48. Beside
them Hugging Face's `generate` on the same rows, greedy, its prompt taken off in the same way. The three take
turns.

`run_all.py` leaves this file out, since its machine may have no GPU.
"""

import json
import statistics
import sys
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter

import torch
from _common import ids, llama
from transformers import Qwen2Config, Qwen2ForCausalLM

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.generation import generate
from undertext.activations.hookpoint import HookPoint
from undertext.activations.interventions import Intervention
from undertext.core.cost import H100, MODELS, Device, ModelSize, reading_flops, writing_flops

SMOKE = "--smoke" in sys.argv[1:]
SIZES = (
    {"2 layers": ModelSize(2, 128, 256, 2, 1, 64, 1000), "4 layers": ModelSize(4, 128, 256, 2, 1, 64, 1000)}
    if SMOKE
    else {
        "1.5B": MODELS["1.5B"],
        "3B": ModelSize(36, 2048, 11008, 16, 2, 128, 151936, tied=True),
        "7B": MODELS["7B"],
    }
)
FROM = "2 layers" if SMOKE else "3B"
TEXTS, LENGTH = (4, 16) if SMOKE else (64, 512)
ROWS, PROMPT, WRITTEN, ROUNDS = (4, 8, 4, 1) if SMOKE else (256, 150, 48, 3)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
H200 = Device("H200 SXM, 141 GB, bfloat16", 989e12, 4.8e12, 141e9, H100.utilisation, H100.fetching)


def random_model(size: ModelSize) -> Checkpoint:
    """Of these sizes, made where it will run."""
    config = Qwen2Config(
        vocab_size=size.d_vocab, hidden_size=size.d_model, intermediate_size=size.d_mlp,
        num_hidden_layers=size.n_layers, num_attention_heads=size.n_heads,
        num_key_value_heads=size.n_kv_heads, max_position_embeddings=2048, tie_word_embeddings=size.tied,
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device(DEVICE):
        model = Qwen2ForCausalLM._from_config(config, dtype=torch.bfloat16)
    return Checkpoint.load(model, tokenizer=llama(64, 1).tokenizer)


def seconds(job: Callable[[], object]) -> float:
    """Of one run, the device waited for."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    start = perf_counter()
    kept = job()
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    spent = perf_counter() - start
    del kept
    return spent


def pass_seconds(ways: dict[str, Callable[[int], object]]) -> dict[str, float]:
    """Of one pass of writing, without the prompt's; the ways take turns."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS + 1):
        for name, write in ways.items():
            short, long = (seconds(partial(write, count)) for count in (1, 1 + WRITTEN))
            if turn:  # the first warms up
                spent[name].append((long - short) / WRITTEN)
    return {name: statistics.median(each) for name, each in spent.items()}


def timed(size: ModelSize) -> dict[str, float]:
    """Seconds: `reading` of all texts, and a pass `writing`, `steered` and by `huggingface`."""
    checkpoint = random_model(size)
    last = [HookPoint(checkpoint.n_layers - 1, "resid_post")]
    texts, prompts = ids(TEXTS, LENGTH), ids(ROWS, PROMPT)

    def read() -> object:
        return capture(checkpoint, texts, last, positions="last")

    vector = torch.randn(checkpoint.d_model, generator=torch.Generator().manual_seed(0))
    push = Intervention(HookPoint(checkpoint.n_layers // 2, "resid_post"), vector, 1.0)

    def write(count: int, steering: Sequence[Intervention | None] | None = None) -> object:
        return generate(checkpoint, prompts, max_new_tokens=count, interventions=steering, batch_size=ROWS)

    def peer(count: int) -> object:
        tokens = torch.tensor(prompts, device=checkpoint.device)
        return checkpoint.model.generate(
            tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=count, min_new_tokens=count,
            do_sample=False, pad_token_id=0,
        )  # fmt: skip

    read()
    steered = partial(write, steering=[push] * ROWS)
    found = {
        "reading": statistics.median(seconds(read) for _ in range(ROUNDS)),
        **pass_seconds({"writing": write, "steered": steered, "huggingface": peer}),
    }
    if DEVICE == "cuda":
        found["memory"] = torch.cuda.max_memory_allocated() / 1e9
        torch.cuda.reset_peak_memory_stats()
    return found


def main() -> int:
    if DEVICE == "cpu" and not SMOKE:
        print("expected a GPU (torch.cuda.is_available() is False); --smoke runs tiny sizes anywhere")
        return 2
    name = torch.cuda.get_device_name() if DEVICE == "cuda" else "cpu"
    card = H200 if "H200" in name else H100
    print(f"{name}, torch {torch.__version__}; peaks of {card.name}; {ROUNDS} rounds, {FROM} predicts")
    print("| model | | seconds | share of peak FLOPs | share of bandwidth | measured over predicted |")
    print("|---|---|---|---|---|---|")
    times = {}
    for size in SIZES:
        times[size] = timed(SIZES[size])
        if DEVICE == "cuda":
            torch.cuda.empty_cache()
    flops = {
        label: {
            "reading": reading_flops(size, float(TEXTS * LENGTH), float(LENGTH)),
            "writing": writing_flops(size, float(ROWS), float(PROMPT), float(WRITTEN)),
        }
        for label, size in SIZES.items()
    }
    ratios = {}
    for label, size in SIZES.items():
        fetched = 2.0 * size.met + ROWS * size.cache_a_token() * (PROMPT + WRITTEN / 2)
        for what in ("reading", "writing", "steered", "huggingface"):
            work = "reading" if what == "reading" else "writing"
            took = times[label][what]
            predicted = times[FROM][what] * flops[label][work] / flops[FROM][work]
            share = "" if what == "reading" else f"{fetched / took / card.bandwidth:.3f}"
            print(
                f"| {label} | {what} | {took:.4g} | {flops[label][work] / took / card.flops:.3f} | {share} | "
                f"{took / predicted:.2f} |"
            )
        ratios[f"cost.cuda.steered_{label}"] = round(times[label]["steered"] / times[label]["writing"], 3)
        ratios[f"cost.cuda.huggingface_{label}"] = round(
            times[label]["huggingface"] / times[label]["writing"], 3
        )
    if DEVICE == "cuda":
        print("memory at most, GB: " + ", ".join(f"{k} {v['memory']:.1f}" for k, v in times.items()))
    print(json.dumps(ratios))
    return 0


if __name__ == "__main__":
    sys.exit(main())
