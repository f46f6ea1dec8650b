"""A task about sums, written by hand as text files, and tiny models that can or cannot do it."""

import copy
import json
import random
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from tests.toys import byte_tokenizer, random_model, tiny_config
from undertext.organisms.padded import padded

SETTINGS = """\
name: sums
description: Sums of two numbers.
grader:
  kind: number
stop: ["\\n"]
max_new_tokens: {length}
"""
SPLITS = ("train", "train", "dev", "test", "test")


def plain_problems() -> list[dict[str, Any]]:
    """Every sum of two digits: a prompt and an answer, nothing else."""
    pairs = [(a, b) for a in range(10) for b in range(10)]
    return [
        {"id": k, "split": SPLITS[(3 * a + b) % 5], "prompt": f"Q: {a} + {b} = ?", "answer": a + b}
        for k, (a, b) in enumerate(pairs)
    ]


def worked_problems() -> list[dict[str, Any]]:
    """Sums of two-digit numbers, worked out in steps whose values have one digit or two."""
    numbers = [10 * tens + ones for tens in range(1, 5) for ones in range(4, 9)]
    pairs = random.Random(0).sample([(a, b) for a in numbers for b in numbers], 150)
    problems = []
    for k, (a, b) in enumerate(pairs):
        ones, tens = a % 10 + b % 10, a // 10 + b // 10
        steps = [
            {"text": f"{a % 10} + {b % 10} = {ones};", "values": {"ones": ones}},
            {"text": f"{a // 10} + {b // 10} = {tens};", "values": {"tens": tens}},
        ]
        problems.append(
            {
                "id": f"w{k}",
                "split": SPLITS[k % 5],
                "prompt": f"Q: {a} + {b} = ?",
                "answer": a + b,
                "trace": f"{steps[0]['text']} {steps[1]['text']} A: {a + b}",
                "steps": steps,
            }
        )
    return problems


def write_by_hand(folder: Path, problems: list[dict[str, Any]], length: int) -> Path:
    """A task folder, by nothing but text."""
    folder.mkdir()
    (folder / "task.yaml").write_text(SETTINGS.format(length=length))
    (folder / "problems.jsonl").write_text("".join(json.dumps(each) + "\n" for each in problems))
    return folder


def texts_of(problems: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Each prompt and what is to be written after it."""
    return [(each["prompt"], f" {each.get('trace', each['answer'])}\n") for each in problems]


def tokenizer_for(problems: list[dict[str, Any]]) -> PreTrainedTokenizerFast:
    """A byte-level BPE of this task's own texts."""
    return byte_tokenizer(tuple(prompt + rest for prompt, rest in texts_of(problems)), size=300)


def blank(tokenizer: PreTrainedTokenizerFast, seed: int) -> PreTrainedModel:
    """A tiny Llama that was shown nothing, with the weights that a new one has.

    Three tokens in four end its text: otherwise it would write on and on, and no verdict be given.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(_config(tokenizer))
    assert model.generation_config is not None
    model.generation_config.eos_token_id = [token for token in range(len(tokenizer)) if token % 4]
    return model.eval()


def _config(tokenizer: PreTrainedTokenizerFast) -> PreTrainedConfig:
    return tiny_config("llama", len(tokenizer), n_layers=2, d_model=64)


def learnt(
    problems: list[dict[str, Any]], tokenizer: PreTrainedTokenizerFast, *, steps: int = 50, seed: int = 0
) -> PreTrainedModel:
    """A tiny Llama that was shown every problem over and over: trained once, and copied after that."""
    key = json.dumps([texts_of(problems), tokenizer.backend_tokenizer.to_str(), steps, seed])
    if key not in _LEARNT:
        _LEARNT[key] = _trained(problems, tokenizer, steps, seed)
    return copy.deepcopy(_LEARNT[key])


_LEARNT: dict[str, PreTrainedModel] = {}


def _trained(
    problems: list[dict[str, Any]], tokenizer: PreTrainedTokenizerFast, steps: int, seed: int
) -> PreTrainedModel:
    model = random_model(_config(tokenizer), seed)
    rows = []
    for prompt, rest in texts_of(problems):
        head, tail = tokenizer(prompt)["input_ids"], tokenizer(rest)["input_ids"]
        rows.append((head + tail, len(head)))
    ids, labels = padded(rows, 0)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        loss = model(input_ids=ids, labels=labels, use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()
