"""The pair of `compare.peers` in the hands of Hugging Face and TransformerLens: generating and reading.

Not run by `make bench`: `compare.py` runs it. It is written as one would who knows these libraries: the
prompts of a setting are generated in one batch, texts are read in batches of neighbours in length, and only
the hook points that are needed are cached. What `_peer_*.py` take from undertext is the task and its grader,
where values stand in the texts, the texts of keys and of steps, and the draws of every control, so that
figures can be held against ours. What loads the models and makes bridges of them is not timed.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from undertext import CompareConfig
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.random_init import random_init
from undertext.core.setup import layers_of
from undertext.core.terms import CHOOSE, FIT
from undertext.measures.answers import Answers, graded
from undertext.measures.decoding.controls import RANDOM_SEED
from undertext.tasks import Problem, Task
from undertext.tasks.draws import drawn
from undertext.tasks.value_tokens import ValueTokens

BATCH, ROWS = 64, 512
"""Texts that are read together, and rows that are generated together."""


class PeerPair:
    """Both checkpoints, and the weaker's architecture at random init, as models and as bridges."""

    def __init__(
        self, base: Checkpoint, tuned: Checkpoint, task: Task, split: str, config: CompareConfig
    ) -> None:
        self.task, self.split, self.config, self.base = task, split, config, base
        of = {"base": base, "tuned": tuned, "random_init": random_init(base, seed=config.seed + RANDOM_SEED)}
        self.models: dict[str, Any] = {who: each.model for who, each in of.items()}
        self.bridges = {who: each.bridge() for who, each in of.items()}
        self.tokenizer, self.layers = base.tokenizer, layers_of(base, config.layers, config.max_layers)
        self.problems = task.split(split)
        self.dev = drawn(task.split(CHOOSE), config.seed, config.search_problems)
        self.fit = drawn(task.split(FIT), config.seed, config.vector_problems)
        self.answered: dict[str, Answers] = {}

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        found: list[list[int]] = self.tokenizer(list(texts))["input_ids"]
        return found

    def write(
        self, who: str, prompts: Sequence[Sequence[int]], *, samples: int = 1
    ) -> tuple[list[str], list[bool]]:
        """Texts after the prompts, prompt by prompt, and whether they were cut; greedy unless sampled."""
        own, choose = self.tokenizer, {"do_sample": False}
        if samples > 1:
            choose = {
                "do_sample": True, "temperature": self.config.temperature, "top_k": 0,
                "num_return_sequences": samples,
            }  # fmt: skip
        texts: list[str] = []
        cut: list[bool] = []
        size = max(1, ROWS // samples)
        for start in range(0, len(prompts), size):
            some = prompts[start : start + size]
            width = max(map(len, some))
            pad = [width - len(ids) for ids in some]
            out = self.models[who].generate(
                input_ids=torch.tensor([[0] * n + list(ids) for n, ids in zip(pad, some, strict=True)]),
                attention_mask=torch.tensor([[0] * n + [1] * (width - n) for n in pad]),
                max_new_tokens=self.task.max_new_tokens, pad_token_id=own.pad_token_id,
                eos_token_id=own.eos_token_id, **choose,
            )[:, width:]  # fmt: skip
            texts += own.batch_decode(out, skip_special_tokens=True)
            cut += (out != own.eos_token_id).all(dim=1).tolist()
        return texts, cut

    def accuracy(self, who: str, problems: Sequence[Problem], prompts: Sequence[str] | None = None) -> float:
        return float(self.answer(who, problems, prompts).lenient.mean())

    def answer(
        self, who: str, problems: Sequence[Problem], prompts: Sequence[str] | None = None, opening: str = ""
    ) -> Answers:
        """Greedy answers, graded with the opening in which the prompts end."""
        texts, cut = self.write(who, self.ids(prompts or [problem.prompt for problem in problems]))
        whole = [f"{opening} {text}" if opening else text for text in texts]
        return graded(self.task, problems, whole, [0] * len(whole), cut)

    @property
    def gap(self) -> list[int]:
        """Problems that the tuned checkpoint has right and the base wrong."""
        base, tuned = (self.answered[who].lenient for who in ("base", "tuned"))
        return [int(i) for i in np.flatnonzero(tuned & ~base)]

    def at(self, who: str, texts: Sequence[Sequence[int]], places: Sequence[Sequence[int]]) -> Tensor:
        """Activations [layer, row, d_model] at these places of each text, in the order of the texts."""
        names = [f"blocks.{layer}.hook_resid_post" for layer in range(self.base.n_layers)]
        found: dict[int, Tensor] = {}
        for some in batches(texts):
            _, cache = self.bridges[who].run_with_cache(
                right_padded([texts[i] for i in some]), names_filter=lambda name: name in names
            )
            stack = torch.stack([cache[name] for name in names])
            found |= {i: stack[:, row, list(places[i])] for row, i in enumerate(some)}
        return torch.cat([found[i] for i in range(len(texts))], dim=1)

    def at_sites(self, who: str, sites: ValueTokens) -> Tensor:
        """Activations [layer, row, d_model] where values are about to be said."""
        places: list[list[int]] = [[] for _ in sites.tokens]
        for problem, position in zip(sites.problem.tolist(), sites.position, strict=True):
            places[problem].append(position)
        return self.at(who, sites.tokens, places)

    @torch.inference_mode()
    def logits(self, who: str, texts: Sequence[Sequence[int]]) -> Iterator[tuple[list[int], Tensor, Tensor]]:
        """Of each batch the indices of its texts, their tokens, and all logits."""
        for some in batches(texts):
            ids = right_padded([texts[i] for i in some])
            yield some, ids, self.models[who](ids, use_cache=False).logits


def batches(texts: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Indices of texts, neighbours in length together."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in range(0, len(order), BATCH):
        yield order[start : start + BATCH]


def right_padded(texts: Sequence[Sequence[int]]) -> Tensor:
    """Token ids, padded where a causal model does not see it."""
    width = max(map(len, texts))
    return torch.tensor([[*ids, *[0] * (width - len(ids))] for ids in texts])
