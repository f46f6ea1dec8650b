"""Captures a Qwen2-1.5B-shaped bfloat16 pair, one checkpoint after the other, and says what memory it takes.

Not run by `make bench`: it writes some 6.5 GB and takes a few minutes. The weights are random and made in a
temporary folder, which is removed. Memory is what the kernel says of this process: `VmHWM` is the most that
was ever resident, which counts the pages of mapped weight files as well as memory of its own. transformers
maps a safetensors file and, on the CPU in the file's own dtype, uses the mapped pages as the weights, so
that "over the weights" is `VmHWM` less the bytes of one checkpoint's parameters: the interpreter, the
libraries, activations, and every second copy of a weight are in it.
"""

import argparse
import gc
import json
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config

from undertext.activations import HookPoint, capture_pair_to_store

GIB = 2**30
CONFIG = Qwen2Config(
    hidden_size=1536, num_hidden_layers=28, num_attention_heads=12, num_key_value_heads=2,
    intermediate_size=8960, vocab_size=151936, max_position_embeddings=4096, tie_word_embeddings=True,
    bos_token_id=1, eos_token_id=2, pad_token_id=0, dtype="bfloat16",
)  # fmt: skip
WORDS = ["so", "then", "because", "seven", "plus", "four", "is", "eleven", "wait", "that", "holds", "no"]
BAR_OVER, BAR_ALL = 1.5, 24.0


def texts() -> dict[str, str]:
    draw = random.Random(0)
    return {f"p{n}": " ".join(draw.choices(WORDS, k=draw.randrange(20, 120))) for n in range(48)}


def make(folder: Path, seed: int, config: Qwen2Config = CONFIG, *, words_alone: bool = False) -> int:
    """Save a random checkpoint; the bytes of its weights. Tensors are drawn in bfloat16, one by one.

    With `words_alone` the embedding, which is the head too, is zero but for tokens of two letters or more:
    what the checkpoint writes can then be read as text.
    """
    folder.mkdir()
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    generator = torch.Generator().manual_seed(seed)
    weights = {
        name: torch.ones(value.shape, dtype=torch.bfloat16)
        if "norm" in name
        else torch.empty(value.shape, dtype=torch.bfloat16).normal_(0, 0.02, generator=generator)
        for name, value in empty.named_parameters()  # the tied head is the embedding, named once
    }
    config.architectures = ["Qwen2ForCausalLM"]
    config.save_pretrained(folder)
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<pad>", "<bos>", "<eos>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    raw.train_from_iterator(texts().values(), trainer)
    special = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>"}
    PreTrainedTokenizerFast(tokenizer_object=raw, **special).save_pretrained(folder)
    if words_alone:
        read = {token: raw.decode([token]).strip() for token in range(raw.get_vocab_size())}
        kept = [token for token, text in read.items() if re.fullmatch("[a-z]{2,}", text)]
        drawn = weights["model.embed_tokens.weight"]
        weights["model.embed_tokens.weight"] = torch.zeros_like(drawn)
        weights["model.embed_tokens.weight"][kept] = drawn[kept]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return sum(value.nbytes for value in weights.values())


def memory(field: str) -> int:
    """Bytes that the kernel says of this process: `VmHWM`, `VmRSS`, `RssAnon`, `RssFile`."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field)]
    return int(line.split()[1]) * 1024


def measure(folder: Path) -> None:
    """Capture the pair in `folder` and print, last, what it took as JSON."""
    before = memory("VmHWM")
    seen: list[str] = []

    def progress(done: int) -> None:
        anon, mapped = memory("RssAnon") / GIB, memory("RssFile") / GIB
        seen.append(f"  {done:3d} prompts: {anon:.2f} GiB of its own, {mapped:.2f} GiB mapped")

    start = perf_counter()
    pair = capture_pair_to_store(
        folder / "base", folder / "tuned", texts(), [HookPoint(n, "resid_post") for n in (6, 13, 20, 27)],
        "all", folder / "stores", load={"dtype": torch.bfloat16}, dtype=torch.bfloat16, unit=16,
        progress=progress,
    )  # fmt: skip
    spent = perf_counter() - start
    peak = memory("VmHWM")
    print(*seen, sep="\n")
    rows = len(pair)
    del pair
    gc.collect()
    left = memory("RssAnon") + memory("RssFile")
    print(json.dumps({"rows": rows, "seconds": spent, "before": before, "peak": peak, "left": left}))


def main() -> int:
    """Exit status 1 when a bar does not hold."""
    parser = argparse.ArgumentParser(description="Memory of capturing a Qwen2-1.5B-shaped pair.")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.measure:
        measure(args.measure)
        return 0
    with tempfile.TemporaryDirectory(dir=Path(__file__).parents[1], prefix=".big-pair-") as made:
        folder = Path(made)
        weights = make(folder / "base", 0)
        make(folder / "tuned", 1)
        # A process of its own: what making the pair took must not count.
        command = [sys.executable, __file__, "--measure", made, "--threads", str(args.threads)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    *lines, last = done.stdout.splitlines()
    print(*lines, sep="\n")
    found = json.loads(last)
    over, peak = (found["peak"] - weights) / GIB, found["peak"] / GIB
    print(f"{found['rows']} rows of 4 points from each of two checkpoints in {found['seconds']:.0f} s")
    print(f"weights of one checkpoint        {weights / GIB:6.2f} GiB")
    print(f"resident before loading          {found['before'] / GIB:6.2f} GiB")
    print(f"resident after all was freed     {found['left'] / GIB:6.2f} GiB")
    print(f"peak                             {peak:6.2f} GiB (bar {BAR_ALL})")
    print(f"peak over one checkpoint         {over:6.2f} GiB (bar {BAR_OVER})")
    return int(over > BAR_OVER or peak > BAR_ALL)


if __name__ == "__main__":
    sys.exit(main())
