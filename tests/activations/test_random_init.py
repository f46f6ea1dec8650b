"""A checkpoint that knows nothing: the same but for its weights, which are those a new model has."""

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from tests.toys import tiny_folder
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.random_init import random_init


def test_only_the_weights_differ(checkpoint):
    fresh = random_init(checkpoint, seed=5)
    assert type(fresh.model) is type(checkpoint.model)
    assert fresh.model is not checkpoint.model
    assert fresh.tokenizer is checkpoint.tokenizer
    assert (fresh.dtype, fresh.device) == (checkpoint.dtype, checkpoint.device)
    shapes = [[(name, p.shape) for name, p in each.model.named_parameters()] for each in (fresh, checkpoint)]
    assert shapes[0] == shapes[1]
    for (name, ours), theirs in zip(
        fresh.model.named_parameters(), checkpoint.model.parameters(), strict=True
    ):
        assert not torch.equal(ours, theirs), name
    assert not fresh.model.training


def test_weights_are_those_of_a_new_model_and_hang_on_the_seed(checkpoint):
    fresh = random_init(checkpoint, seed=5)
    torch.manual_seed(5)
    new = AutoModelForCausalLM.from_config(checkpoint.model.config)
    for (name, ours), theirs in zip(fresh.model.named_parameters(), new.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
    assert random_init(checkpoint, seed=5).fingerprint == fresh.fingerprint
    assert random_init(checkpoint, seed=6).fingerprint != fresh.fingerprint


def test_nothing_else_is_touched(checkpoint):
    before, configured = checkpoint.fingerprint, checkpoint.model.config.to_dict()
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    random_init(checkpoint, seed=9)
    assert torch.equal(torch.rand(3), wanted), "the global random state moved"
    assert checkpoint.model.config.to_dict() == configured
    del checkpoint.__dict__["fingerprint"]
    assert checkpoint.fingerprint == before


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_in_16_bits_is_drawn_in_them_and_has_the_rotary_table_of_one_that_is_read(tmp_path, dtype):
    read = Checkpoint.load(tiny_folder(tmp_path / "llama"), dtype=dtype)
    drawn_in = []

    class Watched(LlamaForCausalLM):
        def __init__(self, config):
            drawn_in.append(torch.get_default_dtype())
            super().__init__(config)

    read.model.__class__ = Watched
    fresh = random_init(read, seed=5)
    assert drawn_in == [dtype]
    assert torch.get_default_dtype() == torch.float32
    assert {p.dtype for p in fresh.model.parameters()} == {dtype}
    with torch.random.fork_rng():
        torch.manual_seed(5)
        new = AutoModelForCausalLM.from_config(read.weights.modules.config, dtype=dtype)
    for (name, ours), theirs in zip(fresh.model.named_parameters(), new.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
    tables = [dict(each.model.named_buffers()) for each in (fresh, read)]
    assert tables[0].keys() == tables[1].keys() != set()
    for name, table in tables[0].items():
        torch.testing.assert_close(table, tables[1][name])


def test_a_model_that_cannot_be_drawn_leaves_the_default_precision(tmp_path, monkeypatch):
    def fail(self, config):
        raise RuntimeError("within")

    before = torch.get_default_dtype()
    read = Checkpoint.load(tiny_folder(tmp_path / "llama"), dtype=torch.bfloat16)
    monkeypatch.setattr(type(read.model), "__init__", fail)
    with pytest.raises(RuntimeError, match="within"):
        random_init(read, seed=5)
    assert torch.get_default_dtype() == before
