"""What benchmarks share: a model, prompts, and a fair ratio."""

import random
import statistics
from collections.abc import Callable
from time import perf_counter

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from undertext.activations.checkpoint import Checkpoint

WORDS = 1000


def llama(width: int = 512, layers: int = 8, context: int = 512) -> Checkpoint:
    """A random Llama with heads of 64."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=WORDS, hidden_size=width, intermediate_size=width * 43 // 16, num_hidden_layers=layers,
        num_attention_heads=width // 64, num_key_value_heads=width // 64, max_position_embeddings=context,
    )  # fmt: skip
    words = Tokenizer(WordLevel({str(i): i for i in range(WORDS)}, unk_token="0"))
    words.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="0", pad_token="0")
    return Checkpoint.load(LlamaForCausalLM(config), tokenizer=tokenizer)


def ids(rows: int, length: int) -> list[list[int]]:
    """Random token ids, the same at every call."""
    rng = random.Random(rows * 1000 + length)
    return [[rng.randrange(1, WORDS) for _ in range(length)] for _ in range(rows)]


def ratio(
    name: str,
    over: Callable[[], object],
    under: Callable[[], object],
    *,
    rounds: int = 7,
    before: Callable[[], object] = lambda: None,
) -> float:
    """Median over rounds of time(over) / time(under), each right after the other; prints a table's row.

    `before` runs ahead of each and is not timed.
    """
    found: list[float] = []
    spent: list[list[float]] = []
    for turn in range(rounds + 1):
        times = []
        for job in (over, under):
            before()
            start = perf_counter()
            kept = job()
            times.append(perf_counter() - start)
            del kept
        if turn:  # the first warms both up
            found.append(times[0] / times[1])
            spent.append(times)
    seconds = " over ".join(f"{statistics.median(each):.4g} s" for each in zip(*spent, strict=True))
    print(f"| {name} | {statistics.median(found):.3f} | {min(found):.3f} to {max(found):.3f} | {seconds} |")
    return round(statistics.median(found), 4)


HEAD = "| id | ratio | spread | medians |\n|---|---|---|---|"
