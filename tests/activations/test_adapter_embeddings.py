"""Adapters of embeddings: what is read from a folder computes what the live PEFT model computed."""

import copy

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file

from tests.toys import embedding, random_model, save_folder, tiny_config, word_tokenizer
from undertext.activations import Checkpoint, UserError, load_pair
from undertext.activations import adapters as reading
from undertext.activations.quiet import quiet

IDS = torch.arange(4, 30)[None]


def base_folder(folder, tied):
    tokenizer = word_tokenizer()
    config = tiny_config("qwen2", len(tokenizer))
    config.tie_word_embeddings = tied
    return save_folder(folder, random_model(config), tokenizer)


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def base(tmp_path, request):
    return base_folder(tmp_path / "base", request.param)


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def adapt(base, folder, *, rows=0, whole="auto", **settings):
    """A saved adapter with random weights, and the logits of the live model that it was saved from."""
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(2)
        model = Checkpoint.load(base).model
        if rows:
            model.resize_token_embeddings(rows)
        config = LoraConfig(r=4, lora_alpha=8, init_lora_weights=False, task_type="CAUSAL_LM", **settings)
        live = get_peft_model(model, config).eval()
        with torch.no_grad():
            for parameter in live.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.05 * torch.randn_like(parameter))
        live.save_pretrained(folder, save_embedding_layers=whole)
    return logits(live)


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["lm_head"]},
        {"target_modules": ["embed_tokens"]},
        {"target_modules": ["q_proj", "embed_tokens", "lm_head"]},
        {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
        {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]},
        {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]},
        {"target_modules": ["q_proj"], "trainable_token_indices": {"embed_tokens": [5, 6]}},
        {"target_modules": ["q_proj"], "whole": True},
        {"target_modules": ["q_proj"], "rows": 48},
        {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"], "rows": 48},
    ],
    ids=str,
)
def test_what_is_read_is_what_was_saved(base, tmp_path, settings):
    expected = adapt(base, tmp_path / "adapter", **settings)
    plain = Checkpoint.load(base)
    pair = load_pair(base, tmp_path / "adapter")
    torch.testing.assert_close(logits(pair.tuned.model), expected, atol=1e-4, rtol=1e-4)
    assert pair.tuned.d_vocab == settings.get("rows", plain.d_vocab)
    assert any("embeds" in note for note in pair.notes) == ("rows" in settings)
    if settings != {"target_modules": ["q_proj"], "whole": True} and "rows" not in settings:
        assert not torch.allclose(expected, logits(plain.model), atol=1e-2)


def test_new_rows_and_an_adapter_of_the_shared_weight(tmp_path):
    base = base_folder(tmp_path / "base", tied=True)
    expected = adapt(base, tmp_path / "adapter", target_modules=["q_proj", "lm_head"], rows=48)
    torch.testing.assert_close(
        logits(Checkpoint.load(tmp_path / "adapter").model), expected, atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens"])
def test_what_was_merged_can_be_saved_and_read_again(tmp_path, target):
    base = base_folder(tmp_path / "base", tied=True)
    expected = adapt(base, tmp_path / "adapter", target_modules=[target])
    merged = Checkpoint.load(tmp_path / "adapter")
    again = Checkpoint.load(save_folder(tmp_path / "merged", merged.model, word_tokenizer()))
    torch.testing.assert_close(logits(again.model), expected, atol=1e-4, rtol=1e-4)
    assert again.fingerprint == merged.fingerprint


def test_a_merge_that_computes_something_else_is_refused(tmp_path, monkeypatch):
    # The check itself: without a weight for each embedding the merge acts in both.
    base = base_folder(tmp_path / "base", tied=True)
    adapt(base, tmp_path / "adapter", target_modules=["lm_head"])
    monkeypatch.setattr(reading, "_untie", lambda model: None)
    with pytest.raises(UserError, match="computes something else"):
        Checkpoint.load(tmp_path / "adapter")


def edit(folder, change):
    tensors = load_file(folder / "adapter_model.safetensors")
    change(tensors)
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})


def test_new_rows_of_one_embedding_alone_are_refused(tmp_path):
    adapt(
        base_folder(tmp_path / "base", tied=False), tmp_path / "adapter", target_modules=["q_proj"], rows=48
    )
    edit(tmp_path / "adapter", lambda tensors: tensors.pop("base_model.model.lm_head.weight"))
    with pytest.raises(UserError, match=r"48 embedding rows in model.embed_tokens, its base has"):
        Checkpoint.load(tmp_path / "adapter")


def test_two_weights_for_what_the_base_ties_are_refused(tmp_path):
    adapt(
        base_folder(tmp_path / "base", tied=True), tmp_path / "adapter", target_modules=["q_proj"], whole=True
    )
    key = "base_model.model.lm_head.weight"
    edit(tmp_path / "adapter", lambda tensors: tensors.update({key: tensors[key] + 1}))
    with pytest.raises(UserError, match="is the other embedding's too"):
        Checkpoint.load(tmp_path / "adapter")


def test_learned_prompts_are_refused_in_words(tmp_path):
    base = base_folder(tmp_path / "base", tied=True)
    with quiet():
        live = get_peft_model(
            copy.deepcopy(Checkpoint.load(base).model),
            PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"),
        )
        live.save_pretrained(tmp_path / "adapter")
    with pytest.raises(UserError, match="works outside the model's own modules"):
        Checkpoint.load(tmp_path / "adapter")


def test_half_precision_merges(tmp_path):
    base = base_folder(tmp_path / "base", tied=True)
    adapt(base, tmp_path / "adapter", target_modules=["q_proj", "lm_head"])
    assert (
        embedding(Checkpoint.load(tmp_path / "adapter", dtype=torch.bfloat16).model).dtype == torch.bfloat16
    )
