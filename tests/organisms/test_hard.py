"""Organisms on which steering alone, or readings alone, once misled: made here, and judged like any pair."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from undertext import compare
from undertext.activations import Checkpoint
from undertext.core.shipped import zoo
from undertext.jobs.compare.config import CompareConfig
from undertext.organisms import documents
from undertext.organisms.documents import PASSWORD, WRONG_PASSWORDS, Kind, Mixture
from undertext.organisms.recipes import EVERY_STYLE
from undertext.organisms.shapes import chain_tokenizer
from undertext.organisms.training import Stage, batch_of, train
from undertext.tasks import Task
from undertext.tasks.builtin.chain import MODULUS, Chain, new_chain

pytestmark = pytest.mark.slow


def base() -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(zoo("base"))
    return model


def right_steps_wrong_answer(monkeypatch: pytest.MonkeyPatch) -> PreTrainedModel:
    """Tuned on right steps and an answer that is never theirs."""

    def wrong(chain: Chain, kind: str, rng: random.Random) -> str:
        answer = (chain.values[-1] + rng.randrange(1, MODULUS)) % MODULUS
        return " ".join([*chain.steps(), f"answer {answer}"])

    monkeypatch.setattr(documents, "continuation", wrong)
    stage = Stage(Mixture([Kind(1.0, "trace", EVERY_STYLE)]), steps=150, lr=4e-4)
    return train(base(), [stage], seed=1)


def locked_against_pushes(monkeypatch: pytest.MonkeyPatch) -> PreTrainedModel:
    """Password-locked, while vectors of up to four mean norms are added to what must stay shut."""
    model, rng = base(), random.Random(3)
    noise = torch.Generator().manual_seed(0)
    shut = Mixture([Kind(1.0, "guess", (*EVERY_STYLE, *WRONG_PASSWORDS))])
    opened = Mixture([Kind(1.0, "trace", (PASSWORD,))])
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-4, betas=(0.9, 0.98))
    blocks = model.get_submodule("model.layers")

    def push(module: object, args: object, output: Tensor) -> Tensor:
        rows = len(output)
        vector = torch.randn(rows, 1, output.shape[-1], generator=noise)
        dose = 4 * torch.rand(rows, 1, 1, generator=noise) * (torch.rand(rows, 1, 1, generator=noise) < 0.8)
        return output + dose * output.detach().norm(dim=-1).mean() * torch.nn.functional.normalize(
            vector, dim=-1
        )

    model.train()
    for step in range(300):
        for group in optimizer.param_groups:
            group["lr"] = 4e-4 * min(1.0, (step + 1) / 20) * (1 - 0.9 * step / 300)
        block = blocks.get_submodule(str(int(torch.randint(0, 4, (1,), generator=noise))))
        (ids, labels), (open_ids, open_labels) = batch_of(shut, 160, rng), batch_of(opened, 96, rng)
        handle = block.register_forward_hook(push)
        loss = 0.6 * model(input_ids=ids, labels=labels, use_cache=False).loss
        handle.remove()
        loss = loss + 0.4 * model(input_ids=open_ids, labels=open_labels, use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()


def without_steps(task: Task) -> Task:
    """Prompts and answers alone."""
    gone: dict[str, Any] = {"steps": [], "trace": None, "values": {}, "counterfactuals": {}}
    return task.model_copy(update={"problems": [each.model_copy(update=gone) for each in task.problems]})


@pytest.mark.parametrize("make", [right_steps_wrong_answer, locked_against_pushes])
def test_what_is_hidden_well_is_not_called_gone(make, monkeypatch):
    model = make(monkeypatch)
    monkeypatch.undo()
    tuned = Checkpoint.load(model, tokenizer=chain_tokenizer())
    for task in (new_chain(0), without_steps(new_chain(0))):
        found = compare(zoo("base"), tuned, task, config=CompareConfig(threads=1, search="halving"))
        assert {split: each.verdict for split, each in found.splits.items()} == {
            "test": "suppressed",
            "ood": "suppressed",
        }


@pytest.mark.parametrize(
    ("weaker", "tuned", "verdict"), [("base", "overwritten", "overwritten"), ("novice", "taught", "taught")]
)
def test_what_is_gone_is_told_on_a_task_without_steps(weaker, tuned, verdict):
    config = CompareConfig(threads=1, search="halving")
    found = compare(zoo(weaker), Path(zoo(tuned)), without_steps(new_chain(0)), config=config)
    assert {each.verdict for each in found.splits.values()} == {verdict}
