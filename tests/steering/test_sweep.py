"""Sweeps on tiny random models: a planted switch, and one setting at a time as the reference."""

from typing import Any

import pytest
import torch

from activations import Checkpoint, HookPoint, Intervention, capture, generate
from activations.errors import UserError
from steering import Setting, Sweep, Vectors, Where, grid, mean_norm, random_directions, sweep, unit
from tests.toys import SHAPES, Shape, tiny_model, word_tokenizer

PROMPTS = ["a = 3 ; find a :", "so", "b = 4 ; c = b + 1 ; so c ?", "d"]
SWITCH = "answer"
"""What the planted vector makes the model say."""


@pytest.fixture(params=SHAPES)
def checkpoint(request: pytest.FixtureRequest) -> Checkpoint:
    shape: Shape = request.param
    tokenizer = word_tokenizer()
    return Checkpoint.load(tiny_model(shape, len(tokenizer)), tokenizer=tokenizer)


@pytest.fixture
def vectors(checkpoint: Checkpoint) -> Vectors:
    """`switch` turns the last block's output towards one token's unembedding; `random` is any direction."""
    head = checkpoint.model.get_output_embeddings().weight.detach()
    others = head - head.mean(0)
    row = others[checkpoint.tokenizer.convert_tokens_to_ids(SWITCH)]
    inner: Any = checkpoint.model.base_model
    scale = (inner.ln_f if hasattr(inner, "ln_f") else inner.norm).weight.detach()
    switch = unit((row / scale).repeat(checkpoint.n_layers, 1))
    points = [HookPoint(layer, "resid_post") for layer in range(checkpoint.n_layers)]
    norms = mean_norm(capture(checkpoint, PROMPTS, points).activations)
    return Vectors(
        {"switch": switch, "random": random_directions(checkpoint.n_layers, checkpoint.d_model, seed=1)},
        norms,
    )


def said(i: int, text: str) -> tuple[bool, bool]:
    """Right strictly when nothing but the switch's word is said, leniently when it is said at all."""
    return set(text.split()) == {SWITCH}, SWITCH in text.split()


def run(checkpoint: Checkpoint, settings: list[Setting], vectors: Vectors, **options: Any) -> Sweep:
    return sweep(checkpoint, PROMPTS, settings, vectors, said, max_new_tokens=4, **options)


def test_a_planted_switch_is_found_where_it_was_planted(checkpoint, vectors):
    last = checkpoint.n_layers - 1
    settings = grid(["random", "switch"], [last], [0.001, 50.0], ["all", "last_prompt"])
    found = run(checkpoint, settings, vectors)
    right = dict(zip(settings, found.strict.all(1).tolist(), strict=True))
    assert right[Setting("switch", last, 50.0, "all")]
    assert sum(right.values()) == 1
    first = dict(zip(settings, found.texts, strict=True))[Setting("switch", last, 50.0, "last_prompt")]
    assert all(text.split()[0] == SWITCH for text in first)


def test_every_setting_is_what_it_gives_alone(checkpoint, vectors):
    settings = grid(["switch", "random"], [0, 2], [3.0], ["last_prompt", "prompt", "generated", "all"])
    found = run(checkpoint, settings, vectors, batch_size=7)
    assert found.settings == settings
    for i, setting in enumerate(settings):
        vector = vectors.by_name[setting.vector][setting.layer]
        dose = setting.dose * vectors.norms[setting.layer].item()
        alone = [
            generate(
                checkpoint,
                [prompt],
                max_new_tokens=4,
                interventions=[
                    Intervention(HookPoint(setting.layer, "resid_post"), vector, dose, setting.at)
                ],
            ).texts[0]
            for prompt in PROMPTS
        ]
        assert found.texts[i] == alone
        assert found.strict[i].tolist() == [said(k, text)[0] for k, text in enumerate(alone)]
        assert found.lenient[i].tolist() == [said(k, text)[1] for k, text in enumerate(alone)]
    assert len({tuple(texts) for texts in found.texts}) > len(settings) // 2, "the settings hardly differ"


def test_stop_texts_and_progress_are_passed_on(checkpoint, vectors):
    settings = grid(["random"], [1], [1.0, 2.0], ["last_prompt"])
    plain = run(checkpoint, settings, vectors)
    word = plain.texts[1][2].split()[1]
    done: list[int] = []
    stopped = run(checkpoint, settings, vectors, stop=[f" {word}"], progress=done.append)
    assert stopped.texts[1][2] == plain.texts[1][2].split(f" {word}")[0]
    assert sum(done) == len(settings) * len(PROMPTS)


def test_a_grade_is_asked_for_the_prompt_it_is_of(checkpoint, vectors):
    asked: list[tuple[int, str]] = []

    def grade(i: int, text: str) -> tuple[bool, bool]:
        asked.append((i, text))
        return False, i == 2

    settings = grid(["random"], [0, 1], [1.0], ["all"])
    found = sweep(checkpoint, PROMPTS, settings, vectors, grade, max_new_tokens=2)
    assert found.lenient.tolist() == [[False, False, True, False]] * 2
    assert not found.strict.any()
    assert sorted(asked) == sorted((i, text) for row in found.texts for i, text in enumerate(row))


def test_grid_order():
    order: list[tuple[str, int, Where, float]] = [
        ("a", 3, "all", 2.0),
        ("a", 3, "all", 0.5),
        ("a", 3, "prompt", 2.0),
        ("a", 3, "prompt", 0.5),
        ("a", 1, "all", 2.0),
        ("a", 1, "all", 0.5),
        ("a", 1, "prompt", 2.0),
        ("a", 1, "prompt", 0.5),
        ("b", 3, "all", 2.0),
        ("b", 3, "all", 0.5),
        ("b", 3, "prompt", 2.0),
        ("b", 3, "prompt", 0.5),
        ("b", 1, "all", 2.0),
        ("b", 1, "all", 0.5),
        ("b", 1, "prompt", 2.0),
        ("b", 1, "prompt", 0.5),
    ]
    found = grid(["a", "b"], [3, 1], [2.0, 0.5], ["all", "prompt"])
    assert found == [Setting(vector, layer, dose, at) for vector, layer, at, dose in order]


def test_an_unknown_vector_lists_those_there_are(checkpoint, vectors):
    with pytest.raises(UserError, match="no vector 'swich'; there are: switch, random"):
        run(checkpoint, [Setting("swich", 0, 1.0, "all")], vectors)


@pytest.mark.parametrize("layer", [-1, 3])
def test_an_unknown_layer_says_which_there_are(checkpoint, vectors, layer):
    with pytest.raises(UserError, match=f"expected a layer from 0 to 2, got {layer}"):
        run(checkpoint, [Setting("switch", layer, 1.0, "all")], vectors)


def test_no_hook_is_left_behind(checkpoint, vectors):
    run(checkpoint, grid(["switch"], [0, 1, 2], [1.0], ["all"]), vectors)
    for module in checkpoint.model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_no_settings_give_an_empty_sweep(checkpoint, vectors):
    found = run(checkpoint, [], vectors)
    assert found.strict.shape == found.lenient.shape == torch.Size([0, len(PROMPTS)])
    assert found.texts == []
