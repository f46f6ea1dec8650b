"""Interventions per row, against one prompt at a time with a plain hook and no cache."""

import copy
from typing import get_args

import pytest
import torch

from tests.activations.made_interventions import hooks_on, vector
from tests.activations.reference import PROMPTS, telling_token, write
from undertext.activations import Checkpoint, GateAt, HookPoint, Intervention, Site, UserError, generate
from undertext.activations.groups import Part
from undertext.activations.steered_rows import SteeredRows

STEPS = 12
GATES = get_args(GateAt)
SITES: tuple[Site, ...] = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out")


def alone(checkpoint, interventions):
    """The tokens and the count of each prompt by itself."""
    rows = zip(checkpoint.encode(PROMPTS), interventions, strict=True)
    return [write(checkpoint, ids, STEPS, *([each] if each else [])) for ids, each in rows]


def check(checkpoint, interventions, **options):
    found = generate(checkpoint, PROMPTS, max_new_tokens=STEPS, interventions=interventions, **options)
    expected = alone(checkpoint, interventions)
    assert found.tokens == [tokens for tokens, _ in expected]
    assert found.touched == [count for _, count in expected]
    return found


@pytest.mark.parametrize("gate", GATES)
def test_each_row_equals_running_it_alone(checkpoint, gate):
    rows = range(len(PROMPTS))
    interventions = [Intervention(HookPoint(1, SITES[row % 5]), vector(row), 3.0, gate) for row in rows]
    found = check(checkpoint, interventions)
    plain = generate(checkpoint, PROMPTS, max_new_tokens=STEPS)
    assert found.tokens != plain.tokens


@pytest.mark.parametrize("batch_size", [2, 5, 256])
def test_rows_with_different_points_gates_and_doses_share_a_batch(checkpoint, batch_size):
    interventions = [
        None
        if row == 2
        else Intervention(HookPoint(row % 3, SITES[row % 5]), vector(row), 1.0 + row, GATES[row % 4])
        for row in range(len(PROMPTS))
    ]
    check(checkpoint, interventions, batch_size=batch_size)


def test_one_point_with_every_gate(checkpoint):
    point = HookPoint(0, "resid_post")
    rows = range(len(PROMPTS))
    check(checkpoint, [Intervention(point, vector(row), 4.0, GATES[row % 4]) for row in rows])


def test_rows_that_finish_early_are_not_counted_on(checkpoint):
    # A stop string ends some rows after a few tokens while the others go on.
    point = HookPoint(1, "resid_post")
    interventions = [Intervention(point, vector(row), 2.0, "all") for row in range(len(PROMPTS))]
    whole = generate(checkpoint, PROMPTS, max_new_tokens=STEPS, interventions=interventions)
    stop = [checkpoint.decode([telling_token(whole.tokens)])]
    ended = generate(checkpoint, PROMPTS, max_new_tokens=STEPS, interventions=interventions, stop=stop)
    lengths = [len(ids) for ids in checkpoint.encode(PROMPTS)]
    assert len({len(row) for row in ended.tokens}) > 1
    for row, (before, after) in enumerate(zip(whole.tokens, ended.tokens, strict=True)):
        assert before[: len(after)] == after
        assert ended.touched[row] == lengths[row] + min(len(after), STEPS - 1)


def test_rows_that_go_on_keep_their_own_vectors(checkpoint, monkeypatch):
    standing = []
    begin = SteeredRows.begin

    def spy(steered: SteeredRows, part: Part) -> None:
        standing.append(len(part.rows))
        begin(steered, part)

    monkeypatch.setattr(SteeredRows, "begin", spy)
    points = [HookPoint(row % 2, "resid_post") for row in range(len(PROMPTS))]
    interventions = [Intervention(point, vector(row), 3.0, "all") for row, point in enumerate(points)]
    whole = generate(checkpoint, PROMPTS, max_new_tokens=STEPS, interventions=interventions).tokens
    # End all rows that say early what the last row never says.
    model = copy.deepcopy(checkpoint.model)
    early = {token for row in whole[:-1] for token in row[:2]} - set(whole[-1])
    model.generation_config.eos_token_id = [2, *sorted(early)]
    ending = Checkpoint.load(model, tokenizer=checkpoint.tokenizer)
    found = generate(ending, PROMPTS, max_new_tokens=STEPS, interventions=interventions)
    assert found.tokens[-1] == whole[-1]
    assert min(standing) < len(PROMPTS)
    for before, after in zip(whole, found.tokens, strict=True):
        ends = [i for i, token in enumerate(before) if token in early]
        assert after == (before[: ends[0]] if ends else before)


def test_a_row_without_an_intervention_is_as_in_an_unsteered_batch(checkpoint):
    plain = generate(checkpoint, PROMPTS, max_new_tokens=STEPS)
    strong = Intervention(HookPoint(1, "resid_mid"), vector(0), 50.0, "all")
    mixed = generate(
        checkpoint,
        PROMPTS,
        max_new_tokens=STEPS,
        interventions=[strong, None, None, strong, None, None, strong],
    )
    for row in (1, 2, 4, 5):
        assert mixed.tokens[row] == plain.tokens[row]
        assert mixed.touched[row] == 0


def test_a_dose_of_zero_changes_no_token(checkpoint):
    nothing = [Intervention(HookPoint(1, "attn_out"), vector(0), 0.0, "all")] * len(PROMPTS)
    found = generate(checkpoint, PROMPTS, max_new_tokens=STEPS, interventions=nothing)
    assert found.tokens == generate(checkpoint, PROMPTS, max_new_tokens=STEPS).tokens
    assert min(found.touched) > 1


def test_a_single_token_is_never_read_back(checkpoint):
    one = [Intervention(HookPoint(1, "resid_pre"), vector(0), 9.0, "generated")] * len(PROMPTS)
    found = generate(checkpoint, PROMPTS, max_new_tokens=1, interventions=one)
    assert found.touched == [0] * len(PROMPTS)


def test_steering_leaves_no_hooks(checkpoint):
    before = hooks_on(checkpoint.model)
    one = [Intervention(HookPoint(1, "resid_pre"), vector(0), 9.0)] * len(PROMPTS)
    generate(checkpoint, PROMPTS, max_new_tokens=2, interventions=one)
    assert hooks_on(checkpoint.model) == before


def test_an_interrupt_leaves_no_hooks(checkpoint):
    def interrupt(finished):
        raise KeyboardInterrupt

    before = hooks_on(checkpoint.model)
    one = [Intervention(HookPoint(1, "resid_pre"), vector(0), 9.0)] * len(PROMPTS)
    with pytest.raises(KeyboardInterrupt):
        generate(checkpoint, PROMPTS, max_new_tokens=2, interventions=one, progress=interrupt)
    assert hooks_on(checkpoint.model) == before


def test_a_hook_that_does_not_fire_is_an_error(checkpoint, monkeypatch):
    monkeypatch.setattr(SteeredRows, "hooks", {})
    one = [Intervention(HookPoint(1, "resid_pre"), vector(0), 9.0)] * len(PROMPTS)
    with pytest.raises(RuntimeError, match="expected to act at 1 tokens, acted at 0"):
        generate(checkpoint, PROMPTS, max_new_tokens=2, interventions=one)


@pytest.mark.parametrize(
    ("interventions", "says"),
    [
        ([None], "an intervention, a list of them or None for each of 7 prompts, got 1"),
        ([None] * 6 + [Intervention(HookPoint(3, "resid_pre"), torch.ones(32), 1.0)], "has no blocks.3"),
        (
            [Intervention(HookPoint(0, "resid_pre"), torch.ones(31), 1.0)] * 7,
            r"row 0: expected a vector \[32\].*\[31\]",
        ),
        ([Intervention(HookPoint(0, "resid_pre"), torch.full((32,), 1e30), 1e30)] * 7, "NaN or infinity"),
    ],
)
def test_interventions_that_cannot_be_made(llama, interventions, says):
    with pytest.raises(UserError, match=says):
        generate(llama, PROMPTS, max_new_tokens=2, interventions=interventions)
