"""Interchange against one prompt at a time with a plain hook, the whole text read again at each step."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

import pytest
import torch
from torch import Tensor

from tests.activations.reference import attach
from tests.toys import SHAPES, Shape, tiny_model, word_tokenizer
from undertext.activations import Checkpoint, HookPoint, Threshold, UserError
from undertext.probes import (
    Changed,
    Subspaces,
    centre_patches,
    patch_subspace,
    points_of,
    random_subspaces,
    source_patches,
)

STEPS = 8
PROMPTS = ["a = 3 ; b = a + 2 ; find b :", "c = 1 ; so c ?", "d = 4 ; e = d * 5 ; find e :", "so a ?"]
SOURCES = ["b = 2 ; find b :", "a = 6 ; b = a * 2 ; so b ?", "a = 1 ; so a ?", "c = 5 ; find c :"]
AT = [(-1, 2), (3,), (-2, 1, -1), (0,)]
FROM = [(-1, 4), (-1,), (2, -2, 0), (-3,)]
EARLY, LATE, LAST = HookPoint(0, "resid_post"), HookPoint(1, "mlp_out"), HookPoint(2, "resid_post")


@pytest.fixture(scope="module", params=SHAPES)
def checkpoint(request: pytest.FixtureRequest) -> Checkpoint:
    shape: Shape = request.param
    tokenizer = word_tokenizer()
    return Checkpoint.load(tiny_model(shape, len(tokenizer)), tokenizer=tokenizer)


def encoded(checkpoint: Checkpoint, texts: Sequence[str]) -> list[list[int]]:
    return checkpoint.encode(texts)


def logits(checkpoint: Checkpoint, ids: Sequence[int]) -> Tensor:
    """After every token of one text [position, d_vocab]."""
    with torch.inference_mode():
        return checkpoint.model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0]


def seen(checkpoint: Checkpoint, ids: Sequence[int], point: HookPoint) -> Tensor:
    """What passes at a point [position, d_model]."""
    kept: list[Tensor] = []

    def keep(activation: Tensor) -> Tensor:
        kept.append(activation[0].clone())
        return activation

    handle = attach(checkpoint, point, keep)
    logits(checkpoint, ids)
    handle.remove()
    return kept[0]


def within(basis: Tensor | None, part: Tensor) -> Tensor:
    """The part of a vector in the span of some rows, by least squares."""
    if basis is None:
        return part
    solved = torch.linalg.lstsq(basis.T.double(), part.double()[:, None]).solution
    return (basis.T.double() @ solved)[:, 0].to(part.dtype)


Change = Callable[[list[int], Tensor], Tensor]
"""Takes the text so far and what passes at a point [position, d_model]; gives what takes its place."""


def written(checkpoint: Checkpoint, prompt: Sequence[int], changes: Mapping[HookPoint, Change]) -> list[int]:
    ids = list(prompt)
    with ExitStack() as stack:
        for point, change in changes.items():
            hook = lambda h, change=change: change(ids, h[0].clone())[None]  # noqa: E731
            stack.callback(attach(checkpoint, point, hook).remove)
        for _ in range(STEPS):
            token = int(logits(checkpoint, ids)[-1].argmax())
            if token == checkpoint.tokenizer.eos_token_id:
                break
            ids.append(token)
    return ids[len(prompt) :]


def bases(seed: int, *sizes: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, 32, generator=generator) for size in sizes]


def settings() -> list[Subspaces]:
    one, three, other = bases(0, 1, 3, 5)
    return [{}, {EARLY: None}, {LATE: three}, {EARLY: one, LATE: other}, {EARLY: three, LAST: None}]


def longest(i: int, text: str, cut: bool) -> tuple[bool, ...]:
    """An arbitrary thing to know of a text: whether it is long, and whether its prompt is the first."""
    return len(text.split()) >= STEPS, i == 0


def interchange(checkpoint, prompts, at, sources, there, asked, **options) -> Changed:
    patches = source_patches(checkpoint, at, sources, there, points_of(asked))
    return patch_subspace(checkpoint, prompts, patches, asked, longest, **options)


def test_every_setting_equals_a_plain_hook_on_one_prompt_at_a_time(checkpoint: Checkpoint) -> None:
    prompts, sources = encoded(checkpoint, PROMPTS), encoded(checkpoint, SOURCES)
    found = interchange(
        checkpoint, prompts, AT, sources, FROM, settings(), max_new_tokens=STEPS, batch_size=7
    )
    for s, subspaces in enumerate(settings()):
        for i, prompt in enumerate(prompts):
            changes: dict[HookPoint, Change] = {}
            for point, basis in subspaces.items():
                source = seen(checkpoint, sources[i], point)

                def put(ids, h, i=i, basis=basis, source=source):
                    for here, there in zip(AT[i], FROM[i], strict=True):
                        at = here % len(prompts[i])
                        h[at] = h[at] + within(basis, source[there] - h[at])
                    return h

                changes[point] = put
            text = checkpoint.decode(written(checkpoint, prompt, changes))
            assert found.texts[s][i] == text
            assert found.is_[s, i].tolist() == list(longest(i, text, False))
            assert found.touched[s][i] == (len(AT[i]) if subspaces else 0)
    assert found.texts[1] != found.texts[0]


@pytest.mark.parametrize("gated", ["always", "pattern", "threshold"])
def test_holding_a_centre_equals_a_plain_hook(checkpoint: Checkpoint, gated: str) -> None:
    prompts = encoded(checkpoint, PROMPTS)
    centres = {
        p: 3 * torch.randn(4, 32, generator=torch.Generator().manual_seed(p.layer)) for p in (EARLY, LAST)
    }
    (plane,) = bases(2, 6)
    threshold = Threshold(torch.linspace(-1, 1, 32), 0.2) if gated == "threshold" else None
    plain = [checkpoint.decode(written(checkpoint, prompt, {})).split() for prompt in prompts]
    words = [(text or ["never"])[0] for text in plain]
    patterns = [rf"(?<!\S){re.escape(word)}" for word in words] if gated == "pattern" else None
    asked: list[Subspaces] = [{}, {EARLY: plane}, {LAST: None, EARLY: plane}]
    patches = centre_patches(centres, patterns=patterns, threshold=threshold, count=len(prompts))
    found = patch_subspace(checkpoint, prompts, patches, asked, longest, max_new_tokens=STEPS)
    for s, subspaces in enumerate(asked):
        for i, prompt in enumerate(prompts):
            changes: dict[HookPoint, Change] = {}
            for point, basis in subspaces.items():

                def put(ids, h, i=i, basis=basis, centre=centres[point][i]):
                    for at in range(len(prompts[i]), len(ids)):
                        if patterns and checkpoint.decode(ids[: at + 1]).split()[-1] != words[i]:
                            continue
                        if threshold and not h[at] @ threshold.direction + threshold.bias > 0:
                            continue
                        h[at] = h[at] + within(basis, centre - h[at])
                    return h

                changes[point] = put
            assert found.texts[s][i] == checkpoint.decode(written(checkpoint, prompt, changes))
    assert found.texts[1] != found.texts[0]


def test_the_whole_activation_at_the_end_gives_the_sources_next_token(checkpoint: Checkpoint) -> None:
    prompts, sources = encoded(checkpoint, PROMPTS), encoded(checkpoint, SOURCES)
    wanted = [int(logits(checkpoint, ids)[-1].argmax()) for ids in sources]
    assert wanted != [int(logits(checkpoint, ids)[-1].argmax()) for ids in prompts]
    last = [(-1,)] * 4
    every = torch.eye(32)
    found = interchange(
        checkpoint, prompts, last, sources, last, [{LAST: None}, {LAST: every}], max_new_tokens=1
    )
    for texts in found.texts:
        assert texts == [checkpoint.decode([token]) for token in wanted]
    assert found.touched == [[1] * 4] * 2


def test_a_prompt_as_its_own_source_changes_nothing(checkpoint: Checkpoint) -> None:
    prompts = encoded(checkpoint, PROMPTS)
    found = interchange(
        checkpoint, prompts, AT, prompts, AT, [{}, {EARLY: None}, {LATE: bases(3, 4)[0]}],
        max_new_tokens=STEPS,
    )  # fmt: skip
    assert found.texts[0] == found.texts[1] == found.texts[2]


def test_what_does_not_fit_together_is_refused(checkpoint: Checkpoint) -> None:
    prompts = encoded(checkpoint, PROMPTS)
    at = [(-1,)] * 4

    def swap(here, sources, there):
        interchange(checkpoint, prompts, here, sources, there, [{EARLY: None}], max_new_tokens=1)

    with pytest.raises(UserError, match="for each prompt, got 3, 4 and 4"):
        swap(at[:3], prompts, at)
    with pytest.raises(UserError, match="expected patches for each of 4 prompts, got 3"):
        swap(at[:3], prompts[:3], at[:3])
    with pytest.raises(UserError, match=r"prompt 2: expected as many positions .*, got 2 and 1"):
        swap(at, prompts, [(-1,), (-1,), (-1, 0), (-1,)])
    with pytest.raises(UserError, match="there is no position 99"):
        swap([(99,)] * 4, prompts, at)
    centres = {EARLY: torch.ones(4, 32)}
    patches = centre_patches(centres, count=4)
    with pytest.raises(UserError, match=r"got none at blocks\.1\.hook_mlp_out"):
        patch_subspace(checkpoint, prompts, patches, [{LATE: None}], longest, max_new_tokens=1)
    with pytest.raises(UserError, match="expected patterns for each of 4 prompts, got 1"):
        centre_patches(centres, patterns=["a"], count=4)
    with pytest.raises(UserError, match=r"expected centres at blocks\.0\.hook_resid_post for each of 4"):
        centre_patches({EARLY: torch.ones(1, 32)}, count=4)


def test_without_settings_nothing_is_run(checkpoint: Checkpoint) -> None:
    prompts = encoded(checkpoint, PROMPTS)
    patches = centre_patches({}, count=len(prompts))
    assert patch_subspace(checkpoint, prompts, patches, [], longest, max_new_tokens=1).texts == []
    assert len(random_subspaces(2, 3, 32, seed=0)) == 2
