"""Rows that take the places of those that have ended: nothing shows of it but the saving."""

import copy
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.activations.made_interventions import intervention
from tests.activations.reference import PROMPTS, telling_token, write_out
from tests.toys import SHAPES
from undertext.activations import Checkpoint, HookPoint, Intervention, RecordSpec, generate, writing

STEPS = 24
POINT = HookPoint(1, "resid_post")


@pytest.fixture(scope="session")
def ending(checkpoints) -> dict[str, Checkpoint]:
    """Checkpoints whose rows end at many different steps, at a token that comes early here and late there."""
    made: dict[str, Checkpoint] = {}
    for shape in SHAPES:
        written = generate(checkpoints[shape], PROMPTS, max_new_tokens=STEPS).tokens
        tokenizer = copy.deepcopy(checkpoints[shape].tokenizer)
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(telling_token(written))
        model = copy.deepcopy(checkpoints[shape].model)
        model.generation_config.eos_token_id = tokenizer.eos_token_id
        made[shape] = Checkpoint.load(model, tokenizer=tokenizer)
    return made


def passes_of(checkpoint: Checkpoint, work: Callable[[], Any]) -> tuple[Any, list[tuple[int, int]]]:
    """What `work` gives; the rows of every forward pass meanwhile, and how many tokens of each were read."""
    seen: list[tuple[int, int]] = []
    handle = checkpoint.model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    try:
        return work(), seen
    finally:
        handle.remove()


# Without shrinking: an example takes seconds, each row being read anew for every token.
@settings(max_examples=12, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    prompts=st.lists(st.lists(st.integers(4, 35), min_size=1, max_size=14), min_size=3, max_size=9),
    batch_size=st.integers(2, 4),
    acting=st.lists(st.sampled_from([None, "add", "ablate", "rotate"]), min_size=9, max_size=9),
    at=st.sampled_from(["last_prompt", "prompt", "generated", "all"]),
    shape=st.sampled_from(SHAPES),
    room=st.sampled_from([2, 64]),  # with little room rows are soon set aside, and wait for others as long
)
def test_each_row_is_what_it_is_alone(ending, prompts, batch_size, acting, at, shape, room):
    checkpoint = ending[shape]
    rows = [
        None if operator is None else intervention(operator, row, at=at)
        for row, operator in enumerate(acting[: len(prompts)])
    ]
    options: Any = {"max_new_tokens": STEPS, "interventions": rows, "batch_size": batch_size, "margins": True}
    with patch.multiple(writing, _ROOM=room, _SHORT=room):
        found = generate(checkpoint, prompts, **options)
    assert found.margins
    for row, (ids, each) in enumerate(zip(prompts, rows, strict=True)):
        expected = write_out(checkpoint, ids, STEPS, *([each] if each else []))
        assert found.tokens[row] == expected.tokens
        assert found.touched[row] == len(expected.changed)
        assert found.produced[row] == expected.produced
        assert len(found.margins[row]) == len(expected.tokens)


@pytest.mark.slow
def test_samples_are_the_same_wherever_their_rows_stand(ending, shape):
    options: Any = {"max_new_tokens": STEPS, "samples": 4, "temperature": 1.0, "top_p": 0.9, "seed": 3}
    whole = generate(ending[shape], PROMPTS, batch_size=1, **options)
    assert len({len(row) for row in whole.tokens}) > 5
    for batch_size in (3, 64):
        assert generate(ending[shape], PROMPTS, batch_size=batch_size, **options) == whole


def test_what_is_recorded_is_what_a_row_shows_alone(ending, shape):
    record = RecordSpec([POINT, HookPoint(0, "resid_pre")], "all")
    acting = [
        Intervention(POINT, torch.ones(32), row / 2) if row % 2 else None for row in range(len(PROMPTS))
    ]
    options: Any = {"max_new_tokens": STEPS, "interventions": acting, "record": record}
    alone = generate(ending[shape], PROMPTS, batch_size=1, **options).captured
    turns = generate(ending[shape], PROMPTS, batch_size=2, **options).captured
    assert alone
    assert turns
    assert torch.equal(alone.rows, turns.rows)
    assert torch.equal(alone.positions, turns.positions)
    for point in record.points:
        torch.testing.assert_close(alone[point], turns[point], atol=1e-4, rtol=1e-4)


def test_the_cost_is_what_is_written_and_not_the_longest_row(checkpoint):
    model = copy.deepcopy(checkpoint.model)
    model.generation_config.eos_token_id = [4, 5, 6, 7]  # about one token in nine, where all are as likely
    ending = Checkpoint.load(model, tokenizer=checkpoint.tokenizer)
    options: Any = {"max_new_tokens": STEPS, "samples": 20, "temperature": 9.0}
    found, passes = passes_of(ending, lambda: generate(ending, PROMPTS, batch_size=20, **options))
    written, longest = sum(found.produced), max(found.produced)
    read_on = sum(rows for rows, tokens in passes if tokens == 1)
    assert read_on < 1.4 * written
    # What it would be in batches that wait for their longest row.
    assert 20 * len(PROMPTS) * longest > 2 * written


@pytest.mark.slow
def test_a_long_queue_does_not_outgrow_the_context(ending, shape, monkeypatch):
    # Rows that stand finished while others go on must not read past the last position that there is.
    checkpoint = ending[shape]
    ids = checkpoint.encode(PROMPTS)
    steps = checkpoint.n_ctx - max(map(len, ids))
    monkeypatch.setattr(writing, "_ROOM", 4)
    monkeypatch.setattr(writing, "_SHORT", 4)
    prompts = [row for row in ids for _ in range(3)]
    options: Any = {"max_new_tokens": steps, "temperature": 1.5, "seed": list(range(len(prompts)))}
    turns = generate(checkpoint, prompts, batch_size=5, **options)
    assert turns == generate(checkpoint, prompts, batch_size=1, **options)


@pytest.mark.parametrize(
    "batch_size", [pytest.param(2, marks=pytest.mark.slow), 3, pytest.param(5, marks=pytest.mark.slow)]
)
def test_rows_may_be_set_aside_many_times(checkpoint, batch_size, monkeypatch):
    """Each time that a row is 1.4 times longer."""
    monkeypatch.setattr(writing, "_ROOM", 2)
    monkeypatch.setattr(writing, "_SHORT", 2)
    seen: list[int] = []
    take_back = writing.Writing._take_back

    def spy(self: writing.Writing, times: int) -> None:
        seen.append(times)
        take_back(self, times)

    monkeypatch.setattr(writing.Writing, "_take_back", spy)
    model = copy.deepcopy(checkpoint.model)
    model.generation_config.eos_token_id = [4, 5]
    often = Checkpoint.load(model, tokenizer=checkpoint.tokenizer)
    record = RecordSpec([POINT], "generated")
    options: Any = {"max_new_tokens": 40, "samples": 7, "temperature": 5.0, "margins": True, "record": record}
    alone = generate(often, [[5], [6, 7]], batch_size=1, **options)
    seen.clear()
    found = generate(often, [[5], [6, 7]], batch_size=batch_size, **options)
    assert set(seen) == {1, 2, 3, 4, 5, 6, 7}  # at 2, 3, 5, 8, 13, 19 and 28 tokens
    assert (found.tokens, found.produced) == (alone.tokens, alone.produced)
    assert found.captured
    assert alone.captured
    torch.testing.assert_close(found.captured[POINT], alone.captured[POINT], atol=1e-4, rtol=1e-4)


def test_settings_of_one_prompt_come_in_together(checkpoint):
    """A prompt is read once for all of its settings, not once for every few places that are free."""
    prompts = [prompt for prompt in PROMPTS for _ in range(6)]
    acting = [Intervention(POINT, torch.ones(32), dose / 2) for _ in PROMPTS for dose in range(6)]
    options: Any = {"max_new_tokens": 3, "interventions": acting, "batch_size": 15}
    _, passes = passes_of(checkpoint, lambda: generate(checkpoint, prompts, **options))
    before_last = [rows for rows, tokens in passes if tokens > 1]
    assert sum(before_last) <= len(PROMPTS)
