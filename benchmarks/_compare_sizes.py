"""How the time of a comparison grows with problems, layers, tokens and width: `compare.py` prints it.

Not run by `make bench`. A pair with more layers or a wider residual stream computes what the shipped one
does: added layers write nothing, added dimensions hold zeros and nothing reads them. So outputs and gap are
the same, and the size alone differs. Tokens differ by the number of variables in a problem.
"""

import copy
from pathlib import Path
from typing import Any

import torch
from _compare_work import BASE, FEW, SMOKE, SPLIT, TUNED, timed
from transformers import LlamaForCausalLM

from undertext import CompareConfig, compare
from undertext.activations.quiet import quiet
from undertext.core.setup import open_checkpoint
from undertext.core.terms import ROLES
from undertext.tasks import Task
from undertext.tasks.builtin.chain import LENGTHS, new_chain

LESS: dict[str, Any] = {"samples": 4, "search_problems": 16, "random_directions": 2, "trace_problems": 16}
CONFIG = CompareConfig(splits=(SPLIT,), threads=1, max_layers=64, **(FEW if SMOKE else LESS))
TIMES = (2,) if SMOKE else (1, 2, 4)
TRAIN, DEV, TEST = (60, 12, 12) if SMOKE else (200, 40, 100)


def enlarged(model: LlamaForCausalLM, *, layers: int = 1, width: int = 1) -> LlamaForCausalLM:
    """A model of so many times the layers and the width that gives the same logits."""
    config = copy.deepcopy(model.config)
    config.num_hidden_layers *= layers
    for name in ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads"):
        setattr(config, name, getattr(config, name) * width)
    config.layer_types = None  # one for each layer there was
    config.rms_norm_eps /= width
    made = LlamaForCausalLM(config)
    own = model.state_dict()
    with torch.no_grad():
        for name, weight in made.named_parameters():
            weight.zero_()
            start, _, rest = name.partition("layers.")
            if rest:
                number, rest = rest.split(".", 1)
                if int(number) % layers:
                    continue
                name = f"{start}layers.{int(number) // layers}.{rest}"
            there = own[name]
            # The mean over zeros as well is smaller, and what is divided by its root is larger.
            scale = width**-0.5 if name.endswith("norm.weight") else 1.0
            weight[tuple(slice(n) for n in there.shape)] = there * scale
    made.generation_config = copy.deepcopy(model.generation_config)
    return made.eval()


def larger_pair(folder: Path, **times: int) -> tuple[Path, Path]:
    """The shipped pair, enlarged, in folders."""
    places = (folder / ROLES[0], folder / ROLES[1])
    for source, place in zip((BASE, TUNED), places, strict=True):
        checkpoint = open_checkpoint(source)
        with quiet():
            enlarged(checkpoint.model, **times).save_pretrained(place)
            checkpoint.tokenizer.save_pretrained(place)
    return places


def of_length(variables: int) -> Task:
    """A task whose problems all have so many variables."""
    n = len(LENGTHS)
    task = new_chain(0, train=n * TRAIN, dev=n * DEV, test=n * TEST, ood=n)
    return task.model_copy(
        update={"problems": [each for each in task.problems if len(each.steps) == variables]}
    )


def print_growth(folder: Path) -> None:
    """The table, one run a row."""
    base, tuned = open_checkpoint(BASE), open_checkpoint(TUNED)
    plain = {count: new_chain(0, train=TRAIN, dev=DEV, test=count * TEST, ood=1) for count in TIMES}
    config = base.model.config
    asked = f"{CONFIG.samples} samples, {CONFIG.search_problems} problems to search on, every layer"
    print(f"\nHow it grows (one run each; {TEST} problems where nothing else is said; {asked}):\n")
    print("| what | seconds | over the first |\n|---|---|---|")

    def rows(of: dict[str, tuple[Any, Any, Task]]) -> None:
        first = 0.0
        for name, (weaker, stronger, task) in of.items():
            out = folder / name.replace(" ", "_")
            spent = timed(lambda: compare(weaker, stronger, task, config=CONFIG, out=out, progress=False))  # noqa: B023
            first = first or spent
            print(f"| {name} | {spent:.1f} | {spent / first:.2f} |", flush=True)

    rows({f"{count * TEST} problems": (base, tuned, task) for count, task in plain.items()})
    shipped = plain[TIMES[0]]
    rows(
        {
            f"{count * config.num_hidden_layers} layers": (
                *larger_pair(folder / f"layers-{count}", layers=count),
                shipped,
            )
            for count in TIMES
        }
    )
    rows(
        {
            f"d_model {count * config.hidden_size}": (
                *larger_pair(folder / f"width-{count}", width=count),
                shipped,
            )
            for count in TIMES
        }
    )
    lengths = {}
    for variables in LENGTHS[: len(TIMES)]:
        task = of_length(variables)
        texts = [f"{each.prompt} {each.trace}" for each in task.split(SPLIT)]
        mean = sum(map(len, base.encode(texts))) / len(texts)
        lengths[f"{mean:.1f} tokens a problem with its trace"] = (base, tuned, task)
    rows(lengths)
