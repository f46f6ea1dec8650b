"""capture.*: what capturing costs beside running the model, and beside a TransformerBridge.

A random Llama of width 512 with 8 layers, float32, one thread; peer and ours alternate in one process.
"""

import json
import random
import statistics
from collections.abc import Callable
from time import perf_counter

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from activations.capture import capture
from activations.checkpoint import Checkpoint
from activations.hookpoint import HookPoint

ROUNDS, WORDS = 7, 1000


def model() -> Checkpoint:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=WORDS, hidden_size=512, intermediate_size=1376, num_hidden_layers=8, num_attention_heads=8,
        num_key_value_heads=8, max_position_embeddings=512,
    )  # fmt: skip
    words = Tokenizer(WordLevel({str(i): i for i in range(WORDS)}, unk_token="0"))
    words.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="0", pad_token="0")
    return Checkpoint.load(LlamaForCausalLM(config), tokenizer=tokenizer)


def ids(rows: int, length: int) -> list[list[int]]:
    rng = random.Random(rows * 1000 + length)
    return [[rng.randrange(1, WORDS) for _ in range(length)] for _ in range(rows)]


def ratio(name: str, over: Callable[[], object], under: Callable[[], object]) -> float:
    """Median over rounds of time(over) / time(under), each measured next to the other."""
    over(), under()
    found = []
    for _ in range(ROUNDS):
        times = []
        for job in (over, under):
            start = perf_counter()
            job()
            times.append(perf_counter() - start)
        found.append(times[0] / times[1])
    spread = f"{min(found):.3f} to {max(found):.3f}"
    print(f"| {name} | {statistics.median(found):.3f} | {spread} |")
    return round(statistics.median(found), 4)


@torch.inference_mode()
def main() -> None:
    torch.set_num_threads(1)
    checkpoint = model()
    bare, bridge = checkpoint.model, checkpoint.bridge()
    points = [HookPoint(layer, "resid_post") for layer in range(checkpoint.n_layers)]
    names = {str(point) for point in points}
    batch, one = ids(16, 64), ids(1, 16)
    tokens, single = torch.tensor(batch), torch.tensor(one)
    half = checkpoint.n_layers // 2
    early = [HookPoint(half - 1, "resid_post")]
    lengths = [max(4, min(400, int(random.Random(i).lognormvariate(4, 0.8)))) for i in range(128)]
    mixed = [ids(1, length)[0] for length in lengths]

    def ours() -> None:
        capture(checkpoint, batch, points)

    def plain() -> None:
        bare(tokens, use_cache=False)

    def arrival() -> None:
        for at in range(0, len(mixed), 16):
            rows = mixed[at : at + 16]
            width = max(map(len, rows))
            padded = torch.tensor([row + [0] * (width - len(row)) for row in rows])
            bare(input_ids=padded, use_cache=False)

    print("| id | ratio | spread |\n|---|---|---|")
    found = {
        "capture.bare_512": ratio(
            "capture.bare_512", ours, plain
        ),
        "capture.bare_16": ratio(
            "capture.bare_16", lambda: capture(checkpoint, one, points), lambda: bare(single, use_cache=False)
        ),
        "capture.bridge_all": ratio(
            "capture.bridge_all", lambda: bridge.run_with_cache(tokens), ours
        ),
        "capture.bridge_filtered": ratio(
            "capture.bridge_filtered",
            lambda: bridge.run_with_cache(tokens, names_filter=lambda name: name in names),
            ours,
        ),
        "capture.early_stop": round(
            ratio("time to the middle layer", lambda: capture(checkpoint, batch, early),
                  plain)
            / ((half + 1) / checkpoint.n_layers), 4,
        ),
        "capture.mixed_lengths": ratio(
            "capture.mixed_lengths", arrival, lambda: capture(checkpoint, mixed, points)
        ),
    }  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main()
