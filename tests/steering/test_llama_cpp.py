"""Control vectors in a real llama.cpp: it adds what we add, where we add it."""

from typing import Any

import numpy as np
import pytest
import torch

from tests.steering.llama_cpp_model import logits_of, opened, write_llama
from tests.toys import tiny_model, word_tokenizer
from undertext.activations import Checkpoint
from undertext.steering import (
    Gate,
    Setting,
    SteeringVector,
    export_gguf,
    import_gguf,
    random_directions,
    sweep,
)

pytestmark = pytest.mark.slow  # llama.cpp is compiled first: `make test-all` does

N_LAYERS, D_MODEL, DOSE, TOKENS = 4, 32, 2.0, 12
PROMPTS = ["a = 3 ; find a :", "so", "b = 4 ; c ="]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    tokenizer = word_tokenizer()
    model = tiny_model("llama", len(tokenizer), d_model=D_MODEL, n_layers=N_LAYERS)
    return Checkpoint.load(model, tokenizer=tokenizer)


@pytest.fixture(scope="module")
def weights(checkpoint, tmp_path_factory):
    return write_llama(checkpoint.model, tmp_path_factory.mktemp("llama") / "model.gguf")


@pytest.fixture(scope="module")
def vector() -> SteeringVector:
    directions = random_directions(N_LAYERS, D_MODEL, seed=0)
    return SteeringVector("v", directions, torch.linspace(1, 3, N_LAYERS), "made up")


def ours(checkpoint: Checkpoint, vector: SteeringVector, layers: tuple[int, ...], dose: float) -> list[str]:
    """What it writes with the vector at every token."""
    (texts,) = sweep(
        checkpoint, PROMPTS, [Setting(vector.name, layers, dose, Gate("all"))], [vector],
        lambda i, text, cut: (False, False), max_new_tokens=TOKENS,
    ).texts  # fmt: skip
    return list(texts)


def test_without_a_vector_it_is_the_same_model(checkpoint, weights):
    with opened(weights) as other:
        for ids in checkpoint.encode(PROMPTS):
            np.testing.assert_allclose(other.logits(ids), logits_of(checkpoint.model, ids), atol=2e-4)


@pytest.mark.parametrize("layers", [(1,), (N_LAYERS - 1,), (1, 2), (1, 2, 3)])
def test_an_exported_vector_changes_its_output_as_it_changes_ours(
    checkpoint, weights, vector, tmp_path, layers
):
    written = export_gguf(vector, tmp_path / "v.gguf", model_type="llama", dose=DOSE, layers=layers)
    assert written == layers
    blocks: Any = checkpoint.model.get_submodule("model.layers")
    handles = [
        blocks[layer].register_forward_hook(
            lambda module, args, output, layer=layer: (
                output
                + DOSE * vector.norms[layer] * vector.directions[layer] / vector.directions[layer].norm()
            )
        )
        for layer in layers
    ]
    every = checkpoint.encode(PROMPTS)
    hooked = [logits_of(checkpoint.model, ids) for ids in every]
    for handle in handles:
        handle.remove()
    with opened(weights) as other:
        other.steer_by(tmp_path / "v.gguf")
        steered = [other.logits(ids) for ids in every]
        end = int(checkpoint.tokenizer.eos_token_id)
        texts = [checkpoint.decode(other.continued(ids, TOKENS, end)) for ids in every]
    for ids, found, wanted in zip(every, steered, hooked, strict=True):
        np.testing.assert_allclose(found, wanted, atol=5e-4)
        plain = logits_of(checkpoint.model, ids)
        assert np.abs(found - plain).max() > 100 * np.abs(found - wanted).max()
    assert texts == ours(checkpoint, vector, layers, DOSE)
    # Read again it is the same vector, of a dose of 1.
    again = import_gguf(tmp_path / "v.gguf", n_layers=N_LAYERS, d_model=D_MODEL)
    assert texts == ours(checkpoint, again, layers, 1.0)


def test_the_vector_matters_to_what_is_written(checkpoint, vector):
    assert ours(checkpoint, vector, (1, 2, 3), DOSE) != ours(checkpoint, vector, (1, 2, 3), 0.0)
