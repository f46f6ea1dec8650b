"""What rows read alike is read once, and nothing shows of it but the saving; samples and top-p."""

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import TopPLogitsWarper

from tests.activations.reference import PROMPTS, write
from undertext.activations import HookPoint, Intervention, RecordSpec, UserError, generate
from undertext.activations.hooks import hooked
from undertext.activations.sampling import Sampler

POINT = HookPoint(1, "resid_post")
STEPS = 6


def vector(seed: int) -> torch.Tensor:
    return torch.randn(32, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def tokens_read(checkpoint, monkeypatch):
    """How many tokens, padding included, each forward pass reads."""
    with hooked(checkpoint, {POINT: lambda activation: None}):
        pass  # what is tried once for a checkpoint is tried now
    seen: list[int] = []
    handle = checkpoint.model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    yield seen
    handle.remove()


def test_settings_at_the_last_token_share_the_prompt_before_it(checkpoint, tokens_read):
    prompt = PROMPTS[0]
    length = len(checkpoint.encode([prompt])[0])
    interventions = [Intervention(POINT, vector(i), 3.0) for i in range(6)]
    found = generate(checkpoint, [prompt] * 6, max_new_tokens=STEPS, interventions=interventions)
    assert tokens_read[:2] == [length - 1, 6]
    ids = checkpoint.encode([prompt])[0]
    for row, each in enumerate(interventions):
        assert (found.tokens[row], found.touched[row]) == write(checkpoint, ids, STEPS, each)


def test_settings_that_act_on_the_prompt_do_not(checkpoint, tokens_read):
    prompt = PROMPTS[0]
    ids = checkpoint.encode([prompt])[0]
    everywhere = Intervention(POINT, vector(1), 3.0, "prompt")
    early = Intervention(POINT, vector(2), 3.0, (1,))
    rows = [everywhere, early, everywhere, None, everywhere, [everywhere, early]]
    found = generate(checkpoint, [prompt] * 6, max_new_tokens=STEPS, interventions=rows)
    # Four kinds of rows, and none parts from its kind at the last token.
    assert tokens_read[0] == 4 * len(ids)
    for row, each in enumerate(rows):
        those = each if isinstance(each, list) else [each] if each else []
        assert (found.tokens[row], found.touched[row]) == write(checkpoint, ids, STEPS, *those)


def test_samples_share_their_prompt_and_hang_on_seed_prompt_and_number_alone(checkpoint, tokens_read):
    options: Any = {"max_new_tokens": STEPS, "temperature": 2.0, "seed": 5}
    four = generate(checkpoint, PROMPTS, samples=4, **options)
    width = max(map(len, checkpoint.encode(PROMPTS)))
    assert tokens_read[0] == len(PROMPTS) * width
    assert len(four.texts) == 4 * len(PROMPTS)
    assert len({tuple(row) for row in four.tokens}) > len(PROMPTS)
    two = generate(checkpoint, PROMPTS, samples=2, batch_size=3, **options)
    assert two.tokens == [four.tokens[4 * prompt + sample] for prompt in range(7) for sample in range(2)]


def test_a_seed_for_each_prompt_goes_with_the_prompt(checkpoint):
    options: Any = {"max_new_tokens": STEPS, "temperature": 2.0, "samples": 2}
    found = generate(checkpoint, PROMPTS[:3], seed=[7, 8, 9], **options)
    turned = generate(checkpoint, PROMPTS[2::-1], seed=[9, 8, 7], **options)
    assert found.tokens == [*turned.tokens[4:], *turned.tokens[2:4], *turned.tokens[:2]]
    same = generate(checkpoint, PROMPTS[:1] * 3, seed=[7, 7, 9], **options)
    assert same.tokens[:2] == same.tokens[2:4] == found.tokens[:2] != same.tokens[4:]


def test_one_seed_gives_equal_prompts_different_draws(checkpoint):
    found = generate(checkpoint, PROMPTS[:1] * 8, max_new_tokens=STEPS, temperature=2.0)
    assert len({tuple(row) for row in found.tokens}) > 1


def test_interventions_act_in_every_sample(checkpoint):
    ids = checkpoint.encode(PROMPTS)
    acting = [Intervention(POINT, vector(row), 3.0, "all") for row in range(len(PROMPTS))]
    found = generate(checkpoint, PROMPTS, max_new_tokens=STEPS, samples=2, interventions=acting)
    expected = [write(checkpoint, row, STEPS, each) for row, each in zip(ids, acting, strict=True)]
    assert list(zip(found.tokens, found.touched, strict=True)) == [each for each in expected for _ in "12"]


@given(
    st.lists(st.integers(-16, 16).map(lambda n: n / 4), min_size=3, max_size=8, unique=True),
    st.floats(0.05, 1.0),
    st.floats(0.3, 2.0),
)
def test_top_p_draws_what_transformers_leaves(logits, top_p, temperature):
    scores = torch.tensor([logits])
    warped = TopPLogitsWarper(top_p=top_p)(torch.zeros(1, 1), scores / temperature)
    left = torch.softmax(warped, dim=-1)[0]
    rows = 400
    sampler = Sampler(temperature, top_p, [(1, row) for row in range(rows)], 1)
    drawn = sampler.choose(scores.expand(rows, -1), torch.zeros(rows).long(), torch.arange(rows)).tolist()
    # A token on the very edge of the nucleus may fall on either side of a rounding.
    gone = {i for i, share in enumerate(left.tolist()) if share == 0}
    ordered, order = torch.softmax(scores.double() / temperature, dim=-1)[0].sort(
        descending=True, stable=True
    )
    edge = {
        int(i)
        for i, before in zip(order, ordered.cumsum(0) - ordered, strict=True)
        if abs(float(before) - top_p) < 1e-6
    }
    assert not (set(drawn) & (gone - edge))
    if not edge:
        for token, count in Counter(drawn).items():
            assert abs(count / rows - float(left[token])) < 0.15


def test_a_small_top_p_is_greedy(checkpoint):
    greedy = generate(checkpoint, PROMPTS, max_new_tokens=STEPS)
    found = generate(checkpoint, PROMPTS, max_new_tokens=STEPS, temperature=1.0, top_p=1e-9, samples=2)
    assert found.tokens == [row for row in greedy.tokens for _ in "12"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"samples": 0}, "samples must be at least 1, a whole number, got 0"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1, got 0"),
        ({"top_p": 1.5}, "top_p must be above 0 and at most 1, got 1.5"),
        ({"seed": [1, 2]}, "one for each of 7 prompts, got 2"),
    ],
)
def test_options_that_are_refused(llama, options, says):
    with pytest.raises(UserError, match=says):
        generate(llama, PROMPTS, max_new_tokens=2, **options)


@pytest.mark.parametrize("at", ["last_prompt", "prompt", "generated", "all"])
@pytest.mark.parametrize("batch_size", [3, 256])
def test_what_is_recorded_equals_reading_the_whole_text_again(checkpoint, at, batch_size):
    points = [HookPoint(0, "resid_pre"), HookPoint(2, "resid_mid"), POINT]
    # The first rows share their prompts; those with an intervention on the prompt must not share its trace.
    prompts = [PROMPTS[0], PROMPTS[0], PROMPTS[0], *PROMPTS]
    acting = [None, Intervention(POINT, vector(1), 3.0), None, *[None] * 6]
    acting.append(Intervention(HookPoint(0, "resid_post"), vector(2), 2.0, "all"))
    found = generate(
        checkpoint,
        prompts,
        max_new_tokens=STEPS,
        interventions=acting,
        record=RecordSpec(points, at),
        batch_size=batch_size,
    )
    captured = found.captured
    assert captured is not None
    for row, (ids, tokens, each) in enumerate(
        zip(checkpoint.encode(prompts), found.tokens, acting, strict=True)
    ):
        produced = tokens if len(tokens) == STEPS else [*tokens, checkpoint.tokenizer.eos_token_id]
        n, whole = len(ids), [*ids, *produced[:-1]]
        wanted = {
            "last_prompt": [n - 1],
            "prompt": list(range(n)),
            "generated": list(range(n, len(whole))),
            "all": list(range(len(whole))),
        }[at]
        here = captured.rows == row
        assert captured.positions[here].tolist() == wanted
        seen = reread(checkpoint, whole, n, points, each)
        for point in points:
            torch.testing.assert_close(captured[point][here], seen[point][wanted], atol=2e-5, rtol=1e-4)


def reread(checkpoint, whole, prompt, points, intervention):
    """What a single pass over a text has at each point, the intervention acting where it did."""
    seen: dict[HookPoint, torch.Tensor] = {}

    def add(activation):
        out = activation.clone()
        where = {"last_prompt": slice(prompt - 1, prompt), "all": slice(None)}[intervention.at]
        out[:, where] += intervention.dose * intervention.vector
        return out

    def keep(point):
        return lambda activation: seen.__setitem__(point, activation[0].clone())

    acting = {intervention.point: add} if intervention else {}
    keepers = {point: keep(point) for point in points}
    with torch.no_grad(), hooked(checkpoint, acting), hooked(checkpoint, keepers):
        checkpoint.model(input_ids=torch.tensor([whole]), use_cache=False)
    return seen
