"""What a model would write at places of given texts, against Hugging Face's logits of each text alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.activations.reference import PROMPTS
from tests.toys import SHAPES
from undertext.activations import HookPoint, UserError
from undertext.activations.forced import Read, forced

SOME_TEXTS = given(
    texts=st.lists(st.lists(st.integers(0, 35), min_size=2, max_size=16), min_size=1, max_size=5),
    drawn=st.randoms(use_true_random=False),
    batch_tokens=st.sampled_from([1, 20, 1000]),
    shape=st.sampled_from(SHAPES),
)


@settings(max_examples=15)
@SOME_TEXTS
def test_it_is_what_each_text_gives_alone(checkpoints, texts, drawn, batch_tokens, shape):
    checkpoint = checkpoints[shape]
    places = [drawn.sample(range(1, len(ids)), drawn.randrange(len(ids))) for ids in texts]
    others = [[drawn.sample(range(36), drawn.randrange(4)) for _ in own] for own in places]
    found = forced(checkpoint, texts, places, others=others, batch_tokens=batch_tokens)
    rows = zip(texts, places, found.chosen, found.log_probs, found.ranks, strict=True)
    for i, (ids, own, chosen, scores, ranks) in enumerate(rows):
        with torch.inference_mode():
            logits = checkpoint.model(torch.tensor([ids])).logits[0].float()
        assert chosen == [int(logits[place - 1].argmax()) for place in own]
        expected = [float(logits[place - 1].log_softmax(-1)[ids[place]]) for place in own]
        torch.testing.assert_close(scores, expected, atol=1e-4, rtol=1e-4)
        order = logits.argsort(dim=-1, descending=True).tolist()
        assert ranks == [order[place - 1].index(ids[place]) + 1 for place in own]
        assert [len(each) for each in found.others[i]] == [len(each) for each in others[i]]
        for place, asked, beside in zip(own, others[i], found.others[i], strict=True):
            wanted = [float(logits[place - 1].log_softmax(-1)[token]) for token in asked]
            torch.testing.assert_close(beside, wanted, atol=1e-4, rtol=1e-4)


@settings(max_examples=10)
@SOME_TEXTS
def test_a_figure_is_of_the_place_itself_and_changes_nothing_else(
    checkpoints, texts, drawn, batch_tokens, shape
):
    checkpoint = checkpoints[shape]
    places = [drawn.sample(range(1, len(ids)), drawn.randrange(len(ids))) for ids in texts]
    weights = torch.linspace(-1, 1, checkpoint.d_model)
    point = HookPoint(0, "resid_post")
    read = Read(point, lambda X, of: X @ weights + torch.tensor(of))
    same, first = Read(point, lambda X, of: X[:, 0]), Read(HookPoint(0, "resid_pre"), lambda X, of: X[:, 0])
    found = forced(checkpoint, texts, places, reads=[read, same, first], batch_tokens=batch_tokens)
    without = forced(checkpoint, texts, places, batch_tokens=batch_tokens)
    assert (found.chosen, found.ranks) == (without.chosen, without.ranks)
    assert without.read == []
    for i, (ids, own) in enumerate(zip(texts, places, strict=True)):
        torch.testing.assert_close(found.log_probs[i], without.log_probs[i], atol=1e-5, rtol=1e-5)
        with torch.inference_mode():
            before, after, *_ = checkpoint.model(torch.tensor([ids]), output_hidden_states=True).hidden_states
        expected = [
            [float(after[0, place].float() @ weights) + i for place in own],
            [float(after[0, place, 0]) for place in own],
            [float(before[0, place, 0]) for place in own],
        ]
        torch.testing.assert_close([each[i] for each in found.read], expected, atol=1e-4, rtol=1e-4)


def test_an_activation_that_is_no_number_is_refused(llama):
    read = Read(HookPoint(0, "resid_post"), lambda X, of: X[:, 0])
    forced(llama, PROMPTS[:1], [[1]], reads=[read])  # its sites are tried once, and here while it is whole
    block = llama.model.model.layers[0]
    spoilt = block.register_forward_hook(lambda module, args, output: output * float("inf"))
    last = llama.model.model.layers[-1].register_forward_hook(
        lambda module, args, output: torch.ones_like(output)
    )
    try:
        with pytest.raises(UserError, match=r"NaN or infinity at blocks\.0\.hook_resid_post, text 0"):
            forced(llama, PROMPTS[:1], [[1]], reads=[read])
    finally:
        spoilt.remove()
        last.remove()


def test_texts_are_read_as_their_tokens(llama):
    places = [[1, 2]] * len(PROMPTS)
    prompts = [f"{prompt} so" for prompt in PROMPTS]
    assert forced(llama, prompts, places).chosen == forced(llama, llama.encode(prompts), places).chosen


def test_nothing_asked_for_is_nothing(llama):
    assert forced(llama, PROMPTS, [[]] * len(PROMPTS)).chosen == [[]] * len(PROMPTS)


@pytest.mark.parametrize("place", [0, -1, 99])
def test_a_place_that_is_not_there_is_refused(llama, place):
    with pytest.raises(UserError, match=f"text 1 has no token {place} to predict: valid are 1 to"):
        forced(llama, PROMPTS[:2], [[1], [place]])


@pytest.fixture
def softened(monkeypatch):
    """How many numbers were made log-probabilities at a time."""
    own, sizes = torch.Tensor.log_softmax, []

    def watched(self, *args, **given):
        sizes.append(self.numel())
        return own(self, *args, **given)

    monkeypatch.setattr(torch.Tensor, "log_softmax", watched)
    return sizes


def test_logits_are_made_probabilities_in_parts(checkpoint, softened, monkeypatch):
    texts = [[3, 4, 5, 6, 7, 8], [9, 8, 7]]
    places = [[1, 3, 5], [2]]
    whole = forced(checkpoint, texts, places)
    assert softened == [4 * checkpoint.d_vocab]
    softened.clear()
    monkeypatch.setattr("undertext.activations.sampling._PART", 3 * checkpoint.d_vocab)
    parts = forced(checkpoint, texts, places)
    assert softened == [3 * checkpoint.d_vocab, checkpoint.d_vocab]
    assert (parts.chosen, parts.ranks) == (whole.chosen, whole.ranks)
    for own, same in zip(parts.log_probs, whole.log_probs, strict=True):
        assert own == pytest.approx(same, rel=1e-6)
    softened.clear()
    monkeypatch.setattr("undertext.activations.sampling._PART", 1)  # a vocabulary larger than a part
    assert forced(checkpoint, texts, places).ranks == whole.ranks
    assert softened == [checkpoint.d_vocab] * 4
