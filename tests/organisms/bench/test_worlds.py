"""Worlds: tokenizers, tasks, documents and locks."""

import random
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest
import torch

from undertext.organisms.bench.documents import Kind, Mixture, batch_of, document, drawn
from undertext.organisms.bench.families.item import Item
from undertext.organisms.bench.locks import LockLoss
from undertext.organisms.bench.recipes import ORGANISMS
from undertext.organisms.bench.world import SPLITS, World
from undertext.organisms.training import train
from undertext.tasks import Task
from undertext.tasks.value_positions import values_not_said

WORLDS = [
    World("chain", "llama", "word", 1),
    World("graph", "gpt_neox", "char", 2),
    World("leg_counting", "gpt2", "bpe", 3),
    World("countdown", "qwen3", "bpe", 4),
]
names = pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
FIRST = [WORLDS[0], *(pytest.param(world, marks=pytest.mark.slow) for world in WORLDS[1:])]
first = pytest.mark.parametrize("world", FIRST, ids=lambda world: world.name)


@cache
def task_of(world: World) -> Task:
    return world.task()


@cache
def items_of(world: World) -> list[Item]:
    return [item for items in world.items().values() for item in items]


@first
def test_a_prompt_s_tokens_begin_every_document_and_texts_come_back(world):
    """Else what is written would not begin where a checkpoint is asked to go on."""
    rng, tokenizer, family = random.Random(0), world.tokenizer, world.family
    for how in ("trace", "guess", "noise", "steps", "echo", "wrong answer", "slips"):
        head, tail = document(
            family, Kind(1.0, how), drawn(family, Kind(1.0, how), family.sizes[0], rng), rng
        )
        before, whole = (tokenizer(text)["input_ids"] for text in (head, f"{head} {tail}"))
        assert whole[: len(before)] == before
        assert tokenizer.unk_token_id not in whole
        assert tokenizer.decode(whole, skip_special_tokens=True).strip() == f"{head} {tail}"


@pytest.mark.parametrize("world", FIRST[:3], ids=lambda world: world.name)
def test_a_task_holds_problems_that_differ_and_are_not_trained_on(world):
    task = task_of(world)
    assert {split: len(task.split(split)) for split in task.splits} == SPLITS
    assert len({problem.prompt for problem in task.problems}) == len(task.problems)
    assert not values_not_said(task.problems)
    assert all(item.held_out for item in items_of(world))
    longest = max(len(world.tokenizer(problem.trace)["input_ids"]) for problem in task.problems)
    assert longest < task.max_new_tokens <= longest + 8


@first
def test_every_other_wording_of_a_problem_is_a_paraphrase(world):
    items, problems = items_of(world), task_of(world).problems
    assert len(problems) == len(items)
    for problem, item in zip(problems, items, strict=True):
        assert sorted([problem.prompt, *problem.paraphrases]) == sorted(item.questions)
        assert len(problem.paraphrases) == world.family.wordings - 1


@names
def test_labels_are_what_is_written_and_the_end(world):
    mixture = Mixture([Kind(0.5, "trace", ("textbook",)), Kind(0.5, "guess")], longer=True)
    tokens, labels, ends = batch_of(world.family, world.tokenizer, mixture, 12, random.Random(3))
    for row, said, end in zip(tokens, labels, ends, strict=True):
        assert (said[:end] == -100).all()
        written = said[said != -100]
        assert torch.equal(written, row[end : end + len(written)])
        assert written[-1] == world.tokenizer.eos_token_id
        assert (row[end + len(written) :] == world.tokenizer.pad_token_id).all()


@names
def test_every_step_is_learnt_as_if_it_were_the_last(world):
    """Of a trace the labels are its tokens, but for where a step or the answer begins: there the end is."""
    rng = random.Random(4)
    tokens, labels, ends = batch_of(world.family, world.tokenizer, Mixture([Kind(1.0, "steps")]), 12, rng)
    whole, written, _ = batch_of(
        world.family, world.tokenizer, Mixture([Kind(1.0, "trace")]), 12, random.Random(4)
    )
    assert torch.equal(tokens, whole)
    stop = world.tokenizer.eos_token_id
    for row, said, trace, end in zip(tokens, labels, written, ends, strict=True):
        assert said[end] == -100  # nothing begins the first step
        (differing,) = torch.nonzero(said != trace, as_tuple=True)
        assert differing[0] == end
        assert (said[differing[1:]] == stop).all()
        # What lies between two beginnings is a step, and behind the last the answer.
        last = int(torch.nonzero(trace == stop)[0])
        texts = [world.tokenizer.decode(row[a:b]).strip() for a, b in pairwise([*differing.tolist(), last])]
        assert len(texts) >= 2
        assert " ".join(texts) == world.tokenizer.decode(row[end:last]).strip()
        assert texts[-1].startswith(world.family.answer.split("{")[0].strip())


@pytest.mark.parametrize("name", ["against_pushes", "against_keys", "one_direction"])
@names
def test_locks_train_and_leave_no_hook(world, name):
    (stage,) = ORGANISMS[name].stages
    model = world.empty(0)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    lock = LockLoss(world, model, 0)
    train(model, [replace(stage, steps=2, batch=10)], seed=0, loss_of=lock)
    assert any(not torch.equal(value, before[key]) for key, value in model.state_dict().items())
    hooks = [hook for module in model.modules() for hook in module._forward_hooks.values()]
    assert not any("_pushed" in getattr(hook, "__qualname__", "") for hook in hooks)
    assert lock.direction.norm() == pytest.approx(1, abs=1e-5)


def test_what_is_added_is_of_the_dose_and_at_the_place():
    """Pushed rows differ from the same rows unpushed from the pushed layer on, by up to four norms."""
    world = WORLDS[0]
    model, rng = world.empty(0).eval(), random.Random(0)
    lock = LockLoss(world, model, 1)
    tokens, _, ends = batch_of(world.family, world.tokenizer, Mixture([Kind(1.0, "guess")]), 6, rng)
    vectors = lock._vectors(ORGANISMS["against_pushes"].stages[0].mixture, 2, 6)
    seen = []
    block = model.get_submodule("model.layers.2")
    with torch.no_grad():
        for on in (False, True):
            with lock._pushed(model, 2, vectors, ends, rng) if on else nullcontext():
                handle = block.register_forward_hook(lambda _, __, output: seen.append(output))
                seen.append(model(tokens).logits)
                handle.remove()
    plain, before, pushed, after = seen
    assert not torch.allclose(before, after)
    norm = plain.norm(dim=-1).mean()
    added = (pushed - plain).norm(dim=-1) / norm
    assert added.max() <= 4.001
    assert torch.allclose(added.max(1).values, vectors.norm(dim=-1), atol=1e-3)
