"""Tokenizers are loaded as they were saved, whatever the model beside them is."""

import json

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from tests.toys import byte_tokenizer, save_folder, tiny_folder, tiny_model, word_tokenizer
from undertext.activations import Checkpoint, UserError
from undertext.activations.vocabulary import check_tokenizer, load_tokenizer

TEXTS = ("a = 3 ; find b :", "Q: 3 + 4 = ?", "find")


@pytest.mark.parametrize("make", [word_tokenizer, byte_tokenizer])
@pytest.mark.parametrize("named", ["TokenizersBackend", "PreTrainedTokenizerFast", None])
def test_a_custom_tokenizer_survives_in_a_folder_of_any_shape(tmp_path, shape, make, named):
    tokenizer = make()
    save_folder(tmp_path, tiny_model(shape, len(tokenizer)), tokenizer)
    settings = tmp_path / "tokenizer_config.json"
    content = json.loads(settings.read_text()) | {"tokenizer_class": named}
    settings.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    loaded = Checkpoint.load(tmp_path)
    ids = [tokenizer.encode(text) for text in TEXTS]
    assert loaded.encode(TEXTS) == ids
    assert [loaded.decode(row) for row in ids] == [
        tokenizer.decode(
            row[row[:1] == [tokenizer.bos_token_id] :],
            skip_special_tokens=False,
            clean_up_tokenization_spaces=False,
        )
        for row in ids
    ]


def test_what_the_model_type_suggests_would_have_been_another_tokenizer(tmp_path):
    # The reason for not leaving the choice to AutoTokenizer; when this fails, transformers has mended it.
    folder = tiny_folder(tmp_path, "qwen2")
    guessed = AutoTokenizer.from_pretrained(folder)
    ids = word_tokenizer().encode("a = 3")
    assert guessed.decode(ids, skip_special_tokens=True) != "a = 3"
    assert load_tokenizer(folder).decode(ids, skip_special_tokens=True) == "a = 3"


class Mute(PreTrainedTokenizerFast):
    """Encodes every text to nothing, as a Qwen2Tokenizer does that was built from nothing."""

    def encode(self, *args, **kwargs):
        return []


def test_a_tokenizer_that_encodes_to_nothing_is_refused():
    tokenizer = Mute(tokenizer_object=byte_tokenizer().backend_tokenizer)
    with pytest.raises(UserError, match=r"here: its tokenizer \(Mute\) encodes .* to no tokens"):
        check_tokenizer(tokenizer, 1000, "here")


def test_a_word_that_a_vocabulary_without_unk_has_not_is_named():
    from tokenizers import Tokenizer, models, pre_tokenizers

    raw = Tokenizer(models.WordLevel({"a": 0, "b": 1, "<eos>": 2}))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<eos>")
    checkpoint = Checkpoint.load(tiny_model("llama", 3), tokenizer=tokenizer)
    assert checkpoint.encode(["a b"]) == [[0, 1]]
    with pytest.raises(UserError, match="cannot encode 'a c'"):
        checkpoint.encode(["a c"])
