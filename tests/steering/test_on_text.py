"""Reading given text while steering, against generation and against passes over one text."""

import pytest
import torch

from tests.toys import tiny_model, word_tokenizer
from undertext.activations import Checkpoint, HookPoint, generate
from undertext.activations.interventions import Intervention, Threshold
from undertext.steering.on_text import on_text, read_steered
from undertext.steering.settings import Gate, Setting
from undertext.steering.steering_vector import SteeringVector

POINT = HookPoint(1, "resid_post")
PROMPTS = ["a = 3 ; find a :", "b = 4 ; c = b ; find c :", "find a so so :"]


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def checkpoint(request: pytest.FixtureRequest) -> Checkpoint:
    tokenizer = word_tokenizer()
    return Checkpoint.load(tiny_model(request.param, len(tokenizer), seed=3), tokenizer=tokenizer)


def vector(seed: int = 0) -> torch.Tensor:
    return torch.randn(32, generator=torch.Generator().manual_seed(seed))


WAYS = {
    "last": Intervention(POINT, vector(), 3.0),
    "first": Intervention(POINT, vector(), 3.0, "generated", first=2),
    "decay": Intervention(POINT, vector(), 5.0, "all", decay=0.5),
    "rotate": Intervention(POINT, vector(), 0.7, "all", "rotate"),
    "threshold": Intervention(POINT, vector(), 9.0, "all", threshold=Threshold(vector(2), 0.1)),
}
"""One or two of each kind: `read_batch` is tested with every operator and gate."""


@pytest.mark.parametrize("way", WAYS)
def test_what_is_likeliest_is_what_generation_writes(checkpoint, way):
    """Text written under a setting, greedily, has no likelier token when it is read under the setting."""
    acting = WAYS[way]
    out = generate(checkpoint, PROMPTS, max_new_tokens=6, interventions=[acting] * len(PROMPTS), margins=True)
    heads = checkpoint.encode(PROMPTS)
    texts = [head + tokens for head, tokens in zip(heads, out.tokens, strict=True)]
    assert sum(map(len, out.tokens)) > 4
    read = read_steered(checkpoint, texts, [[acting]] * len(texts), heads=[len(head) for head in heads])
    for row, (text, head) in enumerate(zip(texts, heads, strict=True)):
        unsteered = checkpoint.model(torch.tensor([text])).logits[0, len(head) - 1 : -1].log_softmax(-1)
        own = torch.tensor(text[len(head) :])
        here = read.texts == row
        torch.testing.assert_close(
            read.unsteered[here], -unsteered.gather(1, own[:, None])[:, 0], rtol=1e-4, atol=1e-5
        )
        # p(likeliest) - p(second) of the choice says that the text's token was likeliest by so much.
        assert out.margins is not None
        margins = torch.tensor(out.margins[row])
        assert bool((read.steered[here].neg().exp() >= margins - 1e-4).all())
    # Generation never reads its last token back; it reads the token that comes before the end token.
    if acting.tokens is None and acting.pattern is None and acting.threshold is None:
        last = [acting.on_generated and len(each) == 6 and acting.first is None for each in out.tokens]
        assert read.touched == sum(out.touched) + sum(last)


def test_a_dose_of_nothing_does_nothing(checkpoint):
    read = read_steered(checkpoint, PROMPTS, [[Intervention(POINT, vector(), 0.0, "all")]] * 3)
    assert float(read.divergence.max()) < 1e-6
    torch.testing.assert_close(read.steered, read.unsteered)
    assert read.touched == sum(map(len, checkpoint.encode(PROMPTS)))


def test_divergence_is_that_of_the_steered_from_the_unsteered(checkpoint):
    acting = WAYS["decay"]
    read = read_steered(checkpoint, PROMPTS[:1], [[acting]])
    (ids,) = checkpoint.encode(PROMPTS[:1])
    start = len(ids) // 2
    doses = [5.0] * start + [5.0 * 0.5**t for t in range(len(ids) - start)]

    def add(module, args, output):
        first = output[0] if isinstance(output, tuple) else output
        changed = first + torch.tensor(doses)[None, :, None] * vector()
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    blocks = (
        checkpoint.model.model.layers
        if hasattr(checkpoint.model, "model")
        else checkpoint.model.transformer.h
    )
    plain = checkpoint.model(torch.tensor([ids])).logits[0].log_softmax(-1)
    handle = blocks[1].register_forward_hook(add)
    steered = checkpoint.model(torch.tensor([ids])).logits[0].log_softmax(-1)
    handle.remove()
    wanted = torch.nn.functional.kl_div(plain, steered, log_target=True, reduction="none").sum(-1)
    torch.testing.assert_close(read.divergence, wanted[start - 1 : -1], rtol=1e-3, atol=1e-5)
    assert float(read.divergence.mean()) > 0.01


def test_figures_come_in_the_order_of_the_texts(checkpoint):
    directions = torch.stack([vector(layer) for layer in range(3)])
    made = SteeringVector("drawn", directions, torch.ones(3), made="drawn", trained=False, sources=())
    setting = Setting("drawn", (1,), 6.0, Gate((-2,)))
    texts = [*PROMPTS, "c = 1 ; d = c ; e = d ; find e :", PROMPTS[0]]
    read = on_text(checkpoint, texts, setting, [made])
    for row, text in enumerate(texts):
        alone = on_text(checkpoint, [text], setting, [made])
        here = read.texts == row
        torch.testing.assert_close(read.divergence[here], alone.divergence, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(read.steered[here], alone.steered, rtol=1e-4, atol=1e-5)
    assert read.touched == len(texts)
    assert read.texts.tolist() == sorted(read.texts.tolist())


def test_logits_are_made_probabilities_a_text_at_a_time(checkpoint, monkeypatch):
    softened: list[tuple[int, ...]] = []
    own = torch.Tensor.log_softmax

    def watched(self, *args, **given):
        softened.append(tuple(self.shape))
        return own(self, *args, **given)

    monkeypatch.setattr(torch.Tensor, "log_softmax", watched)
    texts = [[3, 4, 5, 6, 7, 8], [3, 4, 5, 6, 7]]
    read_steered(checkpoint, texts, [[WAYS["last"]]] * 2, heads=[2, 4])
    width = checkpoint.d_vocab  # the tokens after the head, with the vector and without
    assert sorted(softened) == [(1, width), (1, width), (4, width), (4, width)]


def test_of_a_large_vocabulary_fewer_texts_are_read_together(checkpoint, monkeypatch):
    acting = [[WAYS["last"]]] * len(PROMPTS)
    whole = read_steered(checkpoint, PROMPTS, acting)
    widths = []
    hook = checkpoint.model.register_forward_pre_hook(
        lambda module, args, given: widths.append(given["input_ids"].numel()), with_kwargs=True
    )
    longest = max(map(len, checkpoint.encode(PROMPTS)))
    most = {"cpu": longest * checkpoint.d_vocab}
    monkeypatch.setattr("undertext.activations.batching._LOGITS", most)
    few = read_steered(checkpoint, PROMPTS, acting)
    hook.remove()
    assert max(widths) == longest
    torch.testing.assert_close(few.divergence, whole.divergence, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(few.steered, whole.steered, rtol=1e-5, atol=1e-6)
    assert few.texts.tolist() == whole.texts.tolist()
