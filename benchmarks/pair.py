"""pair.load: both checkpoints of a pair loaded and checked, over what Hugging Face takes to load both.

A random Llama of width 768 with 8 layers, float32, and one of other weights; files in the system's cache.
Theirs: `from_pretrained` of both models and tokenizers. Ours reads the same, and checks that the files
are whole, that the two are of one model, and that both read 500 texts alike.
"""

import json
import tempfile
from functools import partial
from pathlib import Path

import torch
from _common import HEAD, llama, ratio
from transformers import AutoModelForCausalLM, AutoTokenizer

from undertext.activations.pair import Pair, load_pair

TEXTS = [f"{n} + {n * n % 97} = ?" for n in range(500)]


def theirs(folders: tuple[Path, Path]) -> list[object]:
    found: list[object] = []
    for folder in folders:
        model = AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32, device_map={"": "cpu"}
        )
        found += [model.eval(), AutoTokenizer.from_pretrained(folder)]
    return found


def ours(folders: tuple[Path, Path]) -> Pair:
    return load_pair(*folders, texts=TEXTS)


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as made:
        folders = (Path(made) / "base", Path(made) / "tuned")
        for seed, folder in enumerate(folders):
            checkpoint = llama(width=768, layers=8)
            with torch.no_grad():
                checkpoint.model.lm_head.weight.add_(seed)
            checkpoint.model.save_pretrained(folder)
            checkpoint.tokenizer.save_pretrained(folder)
        print(HEAD)
        found = ratio("pair.load", partial(ours, folders), partial(theirs, folders))
    print(json.dumps({"pair.load": found}))


if __name__ == "__main__":
    main()
