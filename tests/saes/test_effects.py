"""What features do to answers, against a loop with a hook of torch's own, and where it was planted."""

import pytest
import torch

from tests.toys import tiny_model, word_tokenizer
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.saes import feature_effects, match_controls

POINT = HookPoint(1, "resid_post")
PROMPTS = ["a b c", "find a = 3 + 4", "g", "so k ? answer"]
NEW = 5


@pytest.fixture(scope="module")
def checkpoint():
    words = word_tokenizer()
    return Checkpoint.load(tiny_model("llama", len(words)), tokenizer=words)


@pytest.fixture(scope="module")
def directions():
    rows = torch.randn(30, 32, generator=torch.Generator().manual_seed(0))
    return rows * torch.linspace(0.5, 3, 30)[:, None]


def plainly(checkpoint, prompt, change):
    """Greedy answer, everything read anew for each token, with a hook at the block."""
    ids = checkpoint.encode([prompt])[0]
    prompt_length = len(ids)

    def hook(module, args, output):
        return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

    handle = checkpoint.model.model.layers[POINT.layer].register_forward_hook(hook)
    with torch.no_grad():
        for _ in range(NEW):
            logits = checkpoint.model(torch.tensor([ids])).logits[0, -1]
            token = int(logits.argmax())
            if token == checkpoint.tokenizer.eos_token_id:
                break
            ids.append(token)
    handle.remove()
    return checkpoint.decode(ids[prompt_length:]).strip()


def ablated(d, dose):
    u = d / d.norm()
    return lambda h: h - dose * (h @ u)[..., None] * u


def clamped(d, dose):
    u = d / d.norm()
    return lambda h: h + (dose - h @ u)[..., None] * u


def added(d, dose):
    return lambda h: h + dose * d


CASES = [("ablate", ablated, [1.0, 4.0]), ("clamp", clamped, [9.0, -6.0]), ("add", added, [3.0, -5.0])]


@pytest.mark.parametrize(("operator", "change", "doses"), CASES, ids=[case[0] for case in CASES])
def test_answers_are_those_of_a_plain_loop(checkpoint, directions, operator, change, doses):
    matched = match_controls(directions, torch.full((30,), 0.1), [4, 20], controls=2, seed=0)
    seen: dict[int, list[str]] = {}

    def right(problem, text, cut):
        seen.setdefault(problem, []).append(text.strip())
        return text.strip() == seen[problem][0]

    found = feature_effects(
        checkpoint, PROMPTS, right, matched, POINT, operator=operator, dose=doses, max_new_tokens=NEW
    )
    expected = {i: [plainly(checkpoint, prompt, lambda h: h)] for i, prompt in enumerate(PROMPTS)}
    for vectors, dose in zip(matched.vectors, doses, strict=True):
        for vector in vectors:
            for i, prompt in enumerate(PROMPTS):
                expected[i].append(plainly(checkpoint, prompt, change(vector, dose)))
    assert seen == expected
    assert any(len(set(texts)) > 1 for texts in expected.values())
    same = torch.tensor([[text == texts[0] for text in texts] for texts in expected.values()]).T
    assert found.plain.all()
    assert torch.equal(found.changed, same[1:].view(2, 3, 4)[:, 0])
    assert torch.equal(found.controls, same[1:].view(2, 3, 4)[:, 1:])


def test_a_feature_that_writes_the_answer_does_what_its_controls_do_not(checkpoint, directions):
    """In the last block, along the unembedding row of the answer."""
    answer = checkpoint.tokenizer.convert_tokens_to_ids("7")
    unembedding = checkpoint.model.get_output_embeddings().weight.detach()
    planted = directions.clone()
    planted[11] = unembedding[answer]
    matched = match_controls(planted, torch.full((30,), 0.1), [11, 2], controls=5, seed=1)
    found = feature_effects(
        checkpoint,
        PROMPTS,
        lambda problem, text, cut: text.split()[:1] == ["7"],
        matched,
        HookPoint(2, "resid_post"),
        operator="add",
        dose=20.0,
        at="all",
        max_new_tokens=1,
    )
    assert found.plain.tolist() == [False] * 4
    plain = found.plain.double().mean()
    assert (found.changed.double().mean(dim=1) - plain).tolist() == [1.0, 0.0]
    assert found.controls.shape[:2] == (2, 5)
    assert found.controls[0].double().mean() - plain < 0.3


def test_controls_have_the_norm_and_nearly_the_frequency(directions):
    frequency = torch.logspace(-4, -0.1, 30)[torch.randperm(30, generator=torch.Generator().manual_seed(2))]
    frequency[7] = 0
    rows = directions.clone()
    rows[8] = 0
    features = [int(frequency.argmax()), 3, 15]
    matched = match_controls(rows, frequency, features, controls=3, seed=5)
    torch.testing.assert_close(
        matched.vectors.norm(dim=2), rows[features].norm(dim=1)[:, None].expand(3, 4).contiguous()
    )
    for feature, controls, shares, vectors in zip(
        features, matched.controls.tolist(), matched.frequency, matched.vectors, strict=True
    ):
        assert len(set(controls)) == 3
        assert not set(controls) & {7, 8, *features}
        pool = [j for j in range(30) if j not in {7, 8, *features}]
        nearest = sorted(pool, key=lambda j: abs(frequency[j].log() - frequency[feature].log()))[:12]
        assert set(controls) <= set(nearest)
        assert shares.tolist() == frequency[[feature, *controls]].tolist()
        torch.testing.assert_close(vectors[0], rows[feature])
        cosines = torch.nn.functional.cosine_similarity(vectors, rows[[feature, *controls]])
        torch.testing.assert_close(cosines, torch.ones(4))
    again = match_controls(rows, frequency, features, controls=3, seed=5)
    assert torch.equal(again.controls, matched.controls)
    others = [match_controls(rows, frequency, features, controls=3, seed=s).controls for s in range(8)]
    assert not all(torch.equal(other, matched.controls) for other in others)


def test_what_cannot_be_matched_is_refused(checkpoint, directions):
    frequency = torch.full((30,), 0.1)
    frequency[3] = 0
    with pytest.raises(UserError, match="feature 3 never fires"):
        match_controls(directions, frequency, [3], controls=1, seed=0)
    with pytest.raises(UserError, match="from 0 to 29, got 30"):
        match_controls(directions, frequency, [30], controls=1, seed=0)
    with pytest.raises(UserError, match="29 others that fire as controls; got 1 and 28"):
        match_controls(directions, frequency, [1], controls=29, seed=0)
    matched = match_controls(directions, frequency, [1], controls=1, seed=0)
    with pytest.raises(UserError, match="one for each of 1 features; got 1 and 2"):
        feature_effects(
            checkpoint, ["a"], lambda i, text, cut: True, matched, POINT, dose=[1.0, 2.0], max_new_tokens=1
        )
