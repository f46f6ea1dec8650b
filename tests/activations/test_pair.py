import copy

import pytest
import torch
from tokenizers import pre_tokenizers

from tests.toys import WORDS, byte_tokenizer, save_folder, tiny_folder, tiny_model, word_tokenizer
from undertext.activations import Checkpoint, UserError, check_pair, load_pair


def test_two_tunes_of_one_model_are_a_pair(tmp_path):
    base, tuned = (tiny_folder(tmp_path / name, seed=seed) for seed, name in enumerate(("base", "tuned")))
    pair = load_pair(base, str(tuned))
    assert pair.base.name == str(base)
    assert pair.tuned.name == str(tuned)


def test_a_source_may_be_paired_with_itself(folders, shape):
    pair = load_pair(str(folders[shape]), str(folders[shape]))
    assert pair.base.fingerprint == pair.tuned.fingerprint
    assert pair.base.model is not pair.tuned.model


def test_options_go_to_both(folders):
    with pytest.raises(UserError, match="device 'cuda:99'"):
        load_pair(folders["llama"], folders["llama"], device="cuda:99")


def test_a_live_model_and_a_bridge_are_a_pair(llama):
    pair = load_pair(llama.model, llama.bridge(), tokenizer=llama.tokenizer)
    assert pair.tuned.n_layers == 3


def test_every_difference_is_listed_at_once(tmp_path):
    tokenizer = word_tokenizer((*WORDS, "extra"))
    base = Checkpoint.load(tiny_folder(tmp_path))
    tuned = Checkpoint.load(tiny_model("llama", len(tokenizer), n_layers=2, d_model=16), tokenizer=tokenizer)
    with pytest.raises(UserError) as caught:
        check_pair(base, tuned)
    message = str(caught.value)
    for part in (
        "layers (3 against 2)",
        "width (32 against 16)",
        f"tokenizer (1 words have different ids: 'extra' is None against {len(tokenizer) - 1})",
    ):
        assert part in message
    assert "\n" not in message


def test_one_vocabulary_in_another_order(llama):
    shuffled = word_tokenizer((*WORDS[1:], WORDS[0]))
    with pytest.raises(UserError, match=rf"tokenizer \({len(WORDS)} words have different ids: .* against "):
        check_pair(llama, Checkpoint.load(llama.model, tokenizer=shuffled))


def test_one_vocabulary_that_splits_text_otherwise():
    tokenizer = byte_tokenizer()
    other = copy.deepcopy(tokenizer)
    other.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=True)]
    )
    model = tiny_model("llama", len(tokenizer))
    base, tuned = (Checkpoint.load(model, tokenizer=each) for each in (tokenizer, other))
    with pytest.raises(
        UserError, match=r"differ in tokenizer \(one vocabulary, but .* is encoded differently"
    ):
        check_pair(base, tuned)


def test_a_start_token_that_only_one_adds(llama):
    bare = word_tokenizer()
    from tokenizers import processors

    bare.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    with pytest.raises(UserError, match="encoded differently from token 0 on"):
        check_pair(llama, Checkpoint.load(llama.model, tokenizer=bare))


def grown(folder, *, rows, spare=0, special=(), plain=()):
    """A checkpoint that embeds `rows` more tokens, `spare` of them for later, and knows a few more words."""
    tokenizer = word_tokenizer()
    model = tiny_model("llama", len(tokenizer) + spare)
    if rows:
        model.resize_token_embeddings(len(tokenizer) + rows, mean_resizing=False)
    if special:
        tokenizer.add_special_tokens({"additional_special_tokens": list(special)})
    if plain:
        tokenizer.add_tokens(list(plain))
    return save_folder(folder, model, tokenizer)


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        (
            {"rows": 0},
            {"rows": 1, "special": ["<more>"]},
            ["embeds 39 tokens, the tuned checkpoint 40", "'<more>' (39)"],
        ),
        ({"rows": 0}, {"rows": 25}, ["the base embeds 39 tokens, the tuned checkpoint 64"]),
        (
            {"rows": 2, "special": ["<x>"]},
            {"rows": 2, "special": ["<y>"]},
            ["base alone has the tokens '<x>' (39)", "'<y>'"],
        ),
        (
            {"rows": 0, "spare": 8},
            {"rows": 8, "special": ["<x>"]},
            ["the tuned checkpoint alone has the tokens '<x>'"],
        ),
        ({"rows": 0, "spare": 8}, {"rows": 0}, ["the base embeds 47 tokens, the tuned checkpoint 39"]),
        (
            {"rows": 9, "plain": ["wow"]},
            {"rows": 9, "special": ["\x1b[2J"]},
            ["'wow' (39)", r"'\x1b[2J' (39)"],
        ),
    ],
)
def test_vocabularies_that_tuning_left_larger_or_smaller(tmp_path, first, second, says):
    pair = load_pair(grown(tmp_path / "base", **first), grown(tmp_path / "tuned", **second))
    assert len(pair.notes) == len(says)
    for note, part in zip(pair.notes, says, strict=True):
        assert part in note
        assert note.isprintable()
    assert pair.base.encode(["a = 3 ;"]) == pair.tuned.encode(["a = 3 ;"])


def test_a_text_that_is_read_differently_is_refused(tmp_path):
    pair = load_pair(grown(tmp_path / "base", rows=1), grown(tmp_path / "tuned", rows=1, plain=["a =a"]))
    check_pair(*pair, texts=["a = 3"])
    with pytest.raises(UserError, match="but 'b a =a' is encoded differently from token 2 on"):
        check_pair(*pair, texts=["a = 3", "b a =a"])


def test_a_pair_without_differences_has_no_notes(llama):
    pair = check_pair(llama, llama)
    assert pair.notes == []


def test_another_end_is_noted(llama):
    tokenizer = word_tokenizer()
    tokenizer.eos_token = "<pad>"
    (note,) = check_pair(llama, Checkpoint.load(llama.model, tokenizer=tokenizer)).notes
    assert note == "a text ends with '<eos>' in the base, in the tuned with '<pad>'"


def test_another_precision_is_noted(llama):
    half = Checkpoint.load(copy.deepcopy(llama.model).to(torch.bfloat16), tokenizer=llama.tokenizer)
    (note,) = check_pair(llama, half).notes
    assert note.startswith("the base computes in float32, the tuned in bfloat16:")
