"""Quantised checkpoints: read as they are stored, with what they need installed, and said to be so."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM
from transformers.integrations.bitnet import AutoBitLinear

from tests.activations.reference import PROMPTS
from tests.toys import tiny_folder
from undertext.activations import Checkpoint, HookPoint, Intervention, UserError, capture, generate
from undertext.activations.random_init import random_init


def stored(folder: Path, **quantisation: Any) -> Path:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "quantization_config": quantisation}))
    return folder


@pytest.fixture(autouse=True)
def uncompiled() -> Iterator[None]:
    """transformers compiles how weights are rounded, which takes longer than all that is tested here."""
    with torch.compiler.set_stance("force_eager"):
        yield


@pytest.fixture(scope="module")
def ternary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BitNet b1.58 needs no package beside transformers: its layers round to -1, 0 and 1 in each pass."""
    folder = tiny_folder(tmp_path_factory.mktemp("ternary"), "llama")
    options = {"linear_class": "autobitlinear", "quantization_mode": "online"}
    return stored(folder, quant_method="bitnet", modules_to_not_convert=["lm_head"], **options)


def test_activations_and_outputs_are_those_of_the_quantised_model(ternary, llama):
    checkpoint = Checkpoint.load(ternary)
    assert any(isinstance(module, AutoBitLinear) for module in checkpoint.model.modules())
    theirs: Any = AutoModelForCausalLM.from_pretrained(ternary).eval()
    points = [HookPoint(layer, "resid_post") for layer in range(2)]
    found = capture(checkpoint, PROMPTS, points, "last")
    plain = capture(llama, PROMPTS, points, "last")
    written = generate(checkpoint, PROMPTS, max_new_tokens=8)
    for row, ids in enumerate(checkpoint.encode(PROMPTS)):
        tokens = torch.tensor([ids])
        with torch.inference_mode():
            states = theirs(tokens, output_hidden_states=True).hidden_states
            out = theirs.generate(tokens, max_new_tokens=8, do_sample=False, pad_token_id=0)
        for layer, point in enumerate(points):
            torch.testing.assert_close(found[point][row], states[layer + 1][0, -1], atol=1e-5, rtol=1e-5)
            assert not torch.allclose(found[point][row], plain[point][row], atol=1e-2)
        own = out[0, len(ids) :].tolist()
        assert written.tokens[row] == (own[: own.index(2)] if 2 in own else own)


def test_what_is_quantised_is_said_to_be(ternary, llama):
    checkpoint = Checkpoint.load(ternary)
    assert checkpoint.notes == (
        f"{ternary} is quantised (bitnet): all figures are those of the quantised weights",
    )
    assert checkpoint.fingerprint != llama.fingerprint
    assert llama.notes == ()


def test_steering_acts_in_it(ternary):
    checkpoint = Checkpoint.load(ternary)
    steered = Intervention(HookPoint(1, "resid_post"), torch.ones(checkpoint.d_model), 9.0, "all")
    found = generate(checkpoint, PROMPTS, max_new_tokens=4, interventions=[steered] * len(PROMPTS))
    assert found.tokens != generate(checkpoint, PROMPTS, max_new_tokens=4).tokens
    assert all(found.touched)


def test_the_control_without_knowledge_can_be_made_of_it(ternary):
    made = random_init(Checkpoint.load(ternary), seed=0)
    assert made.notes == ()
    assert generate(made, PROMPTS[:1], max_new_tokens=2).tokens


def test_a_format_whose_package_is_not_here_is_refused_in_one_line(tmp_path):
    folder = stored(tiny_folder(tmp_path, "llama"), quant_method="gptq", bits=4, group_size=32)
    with pytest.raises(UserError, match=r"cannot load a model from .*(optimum|gptqmodel)") as raised:
        Checkpoint.load(folder)
    assert "\n" not in str(raised.value)
