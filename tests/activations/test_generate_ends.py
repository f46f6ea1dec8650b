"""Stop strings, and sampling."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.activations.reference import PROMPTS, telling_token
from tests.toys import byte_tokenizer, tiny_model
from undertext.activations import Checkpoint, UserError, generate
from undertext.activations.sampling import Sampler, Stopping

STEPS = 16


def test_a_text_is_cut_before_the_first_stop_string(checkpoint):
    whole = generate(checkpoint, PROMPTS, max_new_tokens=STEPS)
    longest = max(whole.texts, key=len).split()
    stop = [checkpoint.decode([telling_token(whole.tokens)]), " ".join(longest[4:6])]
    cut = generate(checkpoint, PROMPTS, max_new_tokens=STEPS, stop=stop)
    for row, (before, after) in enumerate(zip(whole.texts, cut.texts, strict=True)):
        found = [before.find(each) for each in stop if each in before]
        assert after == (before[: min(found)] if found else before)
        tokens = cut.tokens[row]
        assert after.startswith(checkpoint.decode(tokens))
        assert whole.tokens[row][: len(tokens)] == tokens
        assert not found or len(checkpoint.decode(whole.tokens[row][: len(tokens) + 1])) > len(after)
    assert len({len(row) for row in cut.tokens}) > 1


def test_a_stopped_row_reads_no_further(checkpoint, monkeypatch):
    whole = generate(checkpoint, PROMPTS, max_new_tokens=STEPS).tokens
    stop = telling_token(whole)
    asked = []
    ended = Stopping.ended

    def spy(stopping: Stopping, produced: list[int]) -> bool:
        asked.append(len(produced))
        return ended(stopping, produced)

    monkeypatch.setattr(Stopping, "ended", spy)
    texts = generate(checkpoint, PROMPTS, max_new_tokens=STEPS, stop=[f" {checkpoint.decode([stop])}"]).texts
    assert len(asked) < sum(map(len, whole))
    assert all(f" {checkpoint.decode([stop])}" not in text for text in texts)


@pytest.fixture(scope="module")
def byte_checkpoint():
    tokenizer = byte_tokenizer()
    return Checkpoint.load(tiny_model("llama", len(tokenizer)), tokenizer=tokenizer)


@settings(max_examples=60)
@given(text=st.text("ab 47.\né東", max_size=12), stop=st.text("ab 47.\né東", min_size=1, max_size=3))
def test_a_row_ends_as_soon_as_its_text_holds_the_stop_string(byte_checkpoint, text, stop):
    stopping = Stopping(byte_checkpoint, [stop])
    ids = byte_checkpoint.tokenizer.encode(text + stop)
    ends = [length for length in range(1, len(ids) + 1) if stopping.ended(ids[:length])]
    holds = [length for length in range(1, len(ids) + 1) if stop in byte_checkpoint.decode(ids[:length])]
    assert ends[:1] == holds[:1]
    tokens, cut = stopping.cut(ids)
    assert cut == (text + stop)[: (text + stop).find(stop)]
    assert cut.startswith(byte_checkpoint.decode(tokens))
    assert ids[: len(tokens)] == tokens


def test_a_stop_string_may_end_in_the_space_between_words(llama):
    stopping = Stopping(llama, ["; "])
    ids = llama.encode(["a ; b = 3"])[0][1:]
    assert [stopping.ended(ids[:length]) for length in (1, 2, 3)] == [False, False, True]
    assert stopping.cut(ids[:3]) == (ids[:1], "a ")


def test_a_token_that_straddles_the_stop_is_left_out(byte_checkpoint):
    tokenizer = byte_checkpoint.tokenizer
    (token,) = tokenizer.encode(" the")
    tokens, text = Stopping(byte_checkpoint, ["he"]).cut([*tokenizer.encode("Q:"), token])
    assert text == "Q: t"
    assert tokenizer.decode(tokens) == "Q:"


@pytest.mark.parametrize("stop", [[""], ["a", ""]])
def test_an_empty_stop_string_is_refused(llama, stop):
    with pytest.raises(UserError, match="stop must be a list of strings"):
        generate(llama, PROMPTS, max_new_tokens=2, stop=stop)


def test_a_single_stop_string_outside_a_list_is_refused(llama):
    with pytest.raises(UserError, match="stop must be a list"):
        generate(llama, PROMPTS, max_new_tokens=2, stop=";")


def sample(checkpoint, prompts=PROMPTS, **options):
    return generate(checkpoint, prompts, max_new_tokens=STEPS, temperature=1.5, **options).tokens


def test_what_a_row_draws_does_not_depend_on_its_batch(checkpoint):
    together = sample(checkpoint, seed=3)
    assert sample(checkpoint, seed=3, batch_size=1) == together
    assert sample(checkpoint, seed=3, batch_size=3) == together
    assert sample(checkpoint, PROMPTS[:4], seed=3) == together[:4]
    longer = [*PROMPTS[:3], "a = 3 ; b = a + 2 ; c = b * 3 ; find c :", *PROMPTS[4:]]
    assert [row for i, row in enumerate(sample(checkpoint, longer, seed=3)) if i != 3] == [
        row for i, row in enumerate(together) if i != 3
    ]


def test_seeds_and_rows_draw_differently(checkpoint):
    same_prompt = [PROMPTS[0]] * 6
    first = sample(checkpoint, same_prompt, seed=0)
    assert first == sample(checkpoint, same_prompt, seed=0)
    assert first != sample(checkpoint, same_prompt, seed=1)
    assert len({tuple(row) for row in first}) > 3


def test_writing_longer_draws_the_same_beginning(checkpoint):
    short = generate(checkpoint, PROMPTS, max_new_tokens=5, temperature=1.0).tokens
    long = generate(checkpoint, PROMPTS, max_new_tokens=20, temperature=1.0).tokens
    assert [row[:5] for row in long] == short


def test_a_low_temperature_is_greedy(checkpoint):
    greedy = generate(checkpoint, PROMPTS, max_new_tokens=STEPS)
    assert generate(checkpoint, PROMPTS, max_new_tokens=STEPS, temperature=1e-4).tokens == greedy.tokens


def test_draws_follow_the_softmax():
    logits = torch.tensor([0.0, 1.0, -1.0, float("-inf"), 2.0])
    rows, temperature = 20_000, 0.7
    sampler = Sampler(temperature, 1.0, [(0, row) for row in range(rows)], 1)
    drawn = sampler.choose(logits.expand(rows, -1), torch.zeros(rows).long(), torch.arange(rows))
    share = drawn.bincount(minlength=5) / rows
    expected = torch.softmax(logits / temperature, dim=0)
    assert (share - expected).abs().max() < 0.01
    assert share[3] == 0


@pytest.mark.parametrize("options", [{"temperature": -1.0}, {"temperature": 1.0, "seed": -1}])
def test_negative_temperature_and_seed_are_refused(llama, options):
    with pytest.raises(UserError, match="must not be negative"):
        generate(llama, PROMPTS, max_new_tokens=2, **options)


@pytest.mark.parametrize("top_p", [1.0, 0.7])
@pytest.mark.parametrize("part", [1, 150])
def test_tokens_are_chosen_from_few_rows_of_logits_at_a_time(llama, top_p, part, monkeypatch):
    options = {"max_new_tokens": 5, "samples": 5, "temperature": 1.3, "top_p": top_p, "margins": True}
    whole = generate(llama, PROMPTS, **options)
    greedy = generate(llama, PROMPTS, max_new_tokens=5)
    softened: list[int] = []
    own = torch.softmax

    def watched(logits, *args, **given):
        softened.append(logits.numel())
        return own(logits, *args, **given)

    monkeypatch.setattr(torch, "softmax", watched)
    monkeypatch.setattr("undertext.activations.sampling._PART", part)
    parts = generate(llama, PROMPTS, **options)
    assert (parts.texts, parts.tokens, parts.margins) == (whole.texts, whole.tokens, whole.margins)
    assert max(softened) == max(1, part // llama.d_vocab) * llama.d_vocab
    assert generate(llama, PROMPTS, max_new_tokens=5).tokens == greedy.tokens
