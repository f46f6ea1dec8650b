"""Choices scored after prompts, against a plain loop over the Hugging Face model."""

import pytest
import torch

from tests.toys import tiny_model, word_tokenizer
from undertext.activations import Checkpoint, HookPoint, UserError
from undertext.activations.choices import preferred, score_choices
from undertext.activations.interventions import Intervention

PROMPTS = ["a = 3 ; find a :", "so", "b = 4 ; c = b + 1 ; so c ?"]
CHOICES = [[" 3", " 4 ; so", " a"], [" b", " c = 1 ;"], [" 5", " 4", " so", " c ? a"]]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    tokenizer = word_tokenizer()
    return Checkpoint.load(tiny_model("llama", len(tokenizer)), tokenizer=tokenizer)


def by_hand(checkpoint: Checkpoint, prompt: str, choice: str) -> tuple[float, int]:
    """Log-probability of a choice, and its tokens."""
    head, ids = checkpoint.encode([prompt])[0], checkpoint.encode([prompt + choice])[0]
    assert ids[: len(head)] == head
    with torch.inference_mode():
        logits = checkpoint.model(torch.tensor([ids])).logits[0].log_softmax(-1)
    return sum(float(logits[i - 1, ids[i]]) for i in range(len(head), len(ids))), len(ids) - len(head)


def test_scores_are_those_of_a_plain_loop(checkpoint: Checkpoint) -> None:
    done: list[int] = []
    found = score_choices(checkpoint, PROMPTS, CHOICES, progress=done.append)
    wanted = [[by_hand(checkpoint, p, c) for c in own] for p, own in zip(PROMPTS, CHOICES, strict=True)]
    for own, right in zip(found.log_probs, wanted, strict=True):
        torch.testing.assert_close(own, torch.tensor([each for each, _ in right]), atol=1e-4, rtol=0)
    assert found.sizes == [[size for _, size in own] for own in wanted]
    assert sum(done) == len(PROMPTS)
    by_token, by_character = (preferred(found, CHOICES, name) for name in ("tokens", "characters"))
    for i, scored in enumerate(wanted):
        assert by_token[i].tolist() == pytest.approx([score / size for score, size in scored], abs=1e-4)
        lengths = map(len, CHOICES[i])
        assert by_character[i].tolist() == pytest.approx(
            [score / length for (score, _), length in zip(scored, lengths, strict=True)], abs=1e-4
        )


@pytest.mark.parametrize("at", ["all", "last_prompt", "generated"])
def test_interventions_act_as_if_the_choice_were_written(checkpoint: Checkpoint, at: str) -> None:
    vector = torch.randn(checkpoint.d_model, generator=torch.Generator().manual_seed(0))
    acting = Intervention(HookPoint(0, "resid_post"), vector, 2.0, at=at)  # type: ignore[arg-type]
    found = score_choices(checkpoint, PROMPTS, CHOICES, [[acting]] * len(PROMPTS))
    layer = checkpoint.model.model.layers[0]
    moved = 0.0
    for prompt, choices, own in zip(PROMPTS, CHOICES, found.log_probs, strict=True):
        last = len(checkpoint.encode([prompt])[0]) - 1

        def add(module: object, inputs: object, output: torch.Tensor, last: int = last) -> torch.Tensor:
            where = {
                "all": slice(None),
                "last_prompt": slice(last, last + 1),
                "generated": slice(last + 1, None),
            }
            changed = output.clone()
            changed[:, where[at]] += 2.0 * vector
            return changed

        plain = [by_hand(checkpoint, prompt, choice)[0] for choice in choices]
        handle = layer.register_forward_hook(add)
        try:
            wanted = [by_hand(checkpoint, prompt, choice)[0] for choice in choices]
        finally:
            handle.remove()
        assert own.tolist() == pytest.approx(wanted, abs=1e-4)
        moved = max(moved, *(abs(a - b) for a, b in zip(plain, wanted, strict=True)))
    assert moved > 0.01, "the intervention changes nothing: the test cannot fail"
    for row, sizes in zip(found.touched, found.sizes, strict=True):
        read = {
            "all": list(sizes),
            "last_prompt": [1] * len(sizes),
            "generated": [s - 1 for s in sizes],
        }
        assert [each.choosing for each in row] == read[at]


def test_prompts_without_choices_are_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(UserError, match="prompt 1 has no choices"):
        score_choices(checkpoint, ["so", "so"], [[" a"], []])
