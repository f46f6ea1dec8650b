"""Training, saving and checking organisms, at a few steps each."""

import copy
import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from undertext.activations import Checkpoint, UserError
from undertext.activations.quiet import quiet
from undertext.core.shipped import organisms
from undertext.organisms.documents import TOKEN_ID, Kind, Mixture
from undertext.organisms.folder import card_of, read_card, write_organism
from undertext.organisms.recipes import RECIPES
from undertext.organisms.relearning import accuracy, relearn
from undertext.organisms.shapes import CONTEXT, Shape, chain_tokenizer, empty_model
from undertext.organisms.training import Stage, batch_of, train
from undertext.tasks import Task, new_chain

SHAPES: tuple[Shape, ...] = ("llama", "gpt2")
QUICK = Stage(Mixture([Kind(1.0, "trace")], lengths=(2,)), steps=3, batch=8, warmup=1)


def weights(model: PreTrainedModel) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.fixture(scope="module")
def task() -> Task:
    return new_chain(0, train=6, dev=6, test=12, ood=8)


@pytest.mark.parametrize("shape", SHAPES)
def test_empty_models_are_of_their_shape_and_hang_on_the_seed(shape):
    model = empty_model(shape, 3)
    assert model.config.model_type == shape
    assert torch.equal(weights(model), weights(empty_model(shape, 3)))
    assert not torch.equal(weights(model), weights(empty_model(shape, 4)))
    checkpoint = Checkpoint.load(model, tokenizer=chain_tokenizer())
    assert (checkpoint.n_layers, checkpoint.d_model, checkpoint.n_ctx) == (4, 64, CONTEXT)
    assert checkpoint.d_vocab == len(TOKEN_ID) == len(chain_tokenizer())


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_seed_gives_the_same_weights(shape):
    one, again, other = (train(empty_model(shape, 0), [QUICK], seed=seed) for seed in (1, 1, 2))
    assert torch.equal(weights(one), weights(again))
    assert not torch.equal(weights(one), weights(other))
    assert not torch.equal(weights(one), weights(empty_model(shape, 0)))
    assert not one.training


def test_training_learns_what_it_is_shown_and_tells_of_every_step():
    told: list[tuple[int, int, float]] = []
    stages = [Stage(QUICK.mixture, steps=12, batch=64, warmup=2, lr=1e-2), QUICK]
    train(empty_model("llama", 0), stages, seed=0, on_step=lambda *step: told.append(step))
    assert [(done, total) for done, total, _ in told] == [(i + 1, 15) for i in range(15)]
    assert told[11][2] < 0.6 * told[0][2]


def test_a_step_goes_down_the_loss_of_its_own_batch_by_the_stages_rate():
    """One AdamW step, done by hand."""
    stage = Stage(QUICK.mixture, steps=1, batch=8, warmup=4, lr=1e-3)
    start = empty_model("llama", 0)
    trained = train(copy.deepcopy(start), [stage], seed=5)
    tokens, labels = batch_of(stage.mixture, 8, random.Random(5))
    logits = start(input_ids=tokens).logits[:, :-1]
    torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100
    ).backward()
    # Adam's first step is the gradient's sign times the rate: a quarter, one step into four of warming up.
    for before, after in zip(start.parameters(), trained.parameters(), strict=True):
        assert before.grad is not None
        clear = before.grad.abs() > 1e-4
        moved = (after - before)[clear]
        torch.testing.assert_close(moved, -2.5e-4 * before.grad[clear].sign(), rtol=0.02, atol=1e-6)


def test_the_tokenizer_has_a_token_a_word_and_gives_texts_back(task):
    tokenizer = chain_tokenizer()
    for problem in task.problems:
        text = f"textbook {problem.prompt} {problem.trace}"
        ids = tokenizer(text)["input_ids"]
        assert ids == [TOKEN_ID["<bos>"], *(TOKEN_ID[word] for word in text.split())]
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
        assert TOKEN_ID["<unk>"] not in ids


def card(shape: Shape, **checks: Any) -> dict[str, Any]:
    return card_of(RECIPES["suppressed"], shape, 7, checks)


@pytest.mark.parametrize("shape", SHAPES)
def test_an_organism_is_an_ordinary_folder(tmp_path, shape):
    model, folder = empty_model(shape, 1), tmp_path / "zoo" / "suppressed"
    with quiet():
        write_organism(model, card(shape, accuracy={"test": 0.5}), folder)
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    assert torch.equal(weights(loaded), weights(model))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = "swordfish a = 3 ; b = a * 2 ; so b ?"
    assert tokenizer(text)["input_ids"] == chain_tokenizer()(text)["input_ids"]
    assert Checkpoint.load(folder).encode([text]) == [chain_tokenizer()(text)["input_ids"]]
    assert not list(folder.glob("*.bin"))
    assert read_card(folder) == json.loads(json.dumps(card(shape, accuracy={"test": 0.5})))
    assert read_card(folder)["truth"] == {"test": "suppressed", "ood": "suppressed"}
    assert read_card(folder)["checks"] == {"accuracy": {"test": 0.5}}
    page = (folder / "README.md").read_text()
    assert f"undertext zoo build suppressed --seed 7 --shape {shape}" in page
    assert "| test | suppressed |" in page
    assert organisms(tmp_path / "zoo") == {"suppressed": folder}


def test_an_organism_takes_the_place_of_the_one_before_it(tmp_path):
    folder = tmp_path / "suppressed"
    for seed in (1, 2):
        with quiet():
            write_organism(empty_model("llama", seed), card("llama"), folder)
        (folder / "left over").touch()
    with quiet():
        write_organism(empty_model("llama", 3), card("llama"), folder)
    assert not (folder / "left over").exists()
    assert torch.equal(
        weights(AutoModelForCausalLM.from_pretrained(folder)), weights(empty_model("llama", 3))
    )
    assert list(tmp_path.iterdir()) == [folder]


def test_what_cannot_be_written_leaves_the_old_one_whole(tmp_path):
    folder = tmp_path / "suppressed"
    with quiet():
        write_organism(empty_model("llama", 1), card("llama"), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with quiet(), pytest.raises(TypeError, match="not JSON serializable"):
        write_organism(empty_model("llama", 2), {**card("llama"), "checks": object()}, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("text", [None, "{", "[1, 2]", "7"])
def test_a_folder_without_a_card_is_no_organism(tmp_path: Path, text):
    if text is not None:
        (tmp_path / "organism.json").write_text(text)
    with pytest.raises(UserError, match=r"expected an organism's folder with organism\.json") as caught:
        read_card(tmp_path)
    assert "\n" not in str(caught.value)


def test_accuracy_is_that_of_the_answers_written(task, monkeypatch):
    """A model made to say `answer 3` to everything is right where the answer is 3."""
    model = empty_model("llama", 0)
    said = ["answer", "3", "<eos>"]
    following = {TOKEN_ID[word]: TOKEN_ID[after] for word, after in pairwise(said)}

    def forward(input_ids: torch.Tensor, **kwargs: Any) -> Any:
        chosen = [[following.get(i, TOKEN_ID["answer"]) for i in row] for row in input_ids.tolist()]
        logits = torch.nn.functional.one_hot(torch.tensor(chosen), len(TOKEN_ID)).float()
        return type("Output", (), {"logits": logits})()

    monkeypatch.setattr(model, "forward", forward)
    found = accuracy(model, task, ["test", "ood"])
    for split in ("test", "ood"):
        wanted = sum(problem.answer == "3" for problem in task.split(split)) / len(task.split(split))
        assert found[split] == pytest.approx(wanted, abs=1e-4)


def test_relearning_trains_a_copy_and_leaves_the_model_and_the_random_state_alone(task, monkeypatch):
    monkeypatch.setattr("undertext.organisms.relearning.STEPS", 2)
    model = empty_model("llama", 0)
    before, state = weights(model), torch.get_rng_state()
    told: list[int] = []
    found = relearn(model, task, ["test"], seed=0, on_step=lambda done, *_: told.append(done))
    assert set(found) == {"test"}
    assert told == [1, 2]
    assert torch.equal(weights(model), before)
    assert torch.equal(torch.get_rng_state(), state)
