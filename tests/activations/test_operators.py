"""Every operator and gate in one batch, against one prompt at a time and each operator's definition."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from tests.activations.made_interventions import intervention, vector
from tests.activations.reference import PROMPTS, operate, write
from tests.checker import signatures_unchecked
from tests.toys import SHAPES
from undertext.activations import (
    Checkpoint,
    HookPoint,
    Intervention,
    RecordSpec,
    Threshold,
    UserError,
    generate,
)
from undertext.activations.operators import (
    OPERATORS,
    Parameters,
    orthonormal,
)

STEPS = 8


def check(checkpoint: Checkpoint, interventions, prompts=PROMPTS, **options):
    """A batch equals each of its rows run alone."""
    found = generate(checkpoint, prompts, max_new_tokens=STEPS, interventions=interventions, **options)
    encoded = checkpoint.encode(prompts)
    for row, (ids, given_) in enumerate(zip(encoded, interventions, strict=True)):
        those = () if given_ is None else (given_,) if isinstance(given_, Intervention) else given_
        tokens, count = write(checkpoint, ids, STEPS, *those)
        assert found.tokens[row] == tokens, given_
        assert found.touched[row] == count, given_
    return found


@pytest.mark.parametrize("at", ["last_prompt", "prompt", "generated", "all", (0, -1, -2)])
def test_rows_of_every_operator_share_a_batch(checkpoint, at):
    prompts = [prompt for prompt in PROMPTS if prompt != "so"]  # which has no third token
    interventions = [intervention(name, row, at=at) for row, name in enumerate(OPERATORS)]
    found = check(checkpoint, interventions, prompts)
    assert found.tokens != generate(checkpoint, prompts, max_new_tokens=STEPS).tokens


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize(
    "gates",
    [
        {"at": "generated", "first": 2},
        {"at": "all", "first": 0},
        {"at": "all", "first": 3, "decay": 0.5},
        {"at": "all", "tokens": frozenset(range(0, 36, 2))},
        {"at": "all", "pattern": r"[a-h=] ?"},
        {"at": "prompt", "pattern": "so|:"},
    ],
    ids=str,
)
def test_gates_narrow_where_an_operator_acts(checkpoints, operator, gates):
    rows = range(len(PROMPTS))
    check(checkpoints["llama"], [intervention(operator, row, **gates) for row in rows])


@pytest.mark.parametrize(
    "shape",
    [pytest.param(each, marks=[pytest.mark.slow] * (each != "gpt2")) for each in SHAPES],
    indirect=True,
)
@pytest.mark.parametrize("operator", OPERATORS)
def test_a_threshold_is_read_on_the_activation_as_it_comes(checkpoint, operator):
    prompts = PROMPTS * 2
    acting = [
        intervention(operator, row, at="all", threshold=Threshold(vector(50 + row), (-1.0) ** row))
        for row in range(len(prompts))
    ]
    found = check(checkpoint, acting, prompts)
    everywhere = [
        len(ids) + len(tokens) for ids, tokens in zip(checkpoint.encode(prompts), found.tokens, strict=True)
    ]
    assert 0 < sum(found.touched) < sum(everywhere) - len(prompts)


def test_several_interventions_act_in_the_order_given(checkpoint):
    point = HookPoint(1, "resid_post")
    add, ablate = (intervention(name, 4, point=point, at="all") for name in ("add", "ablate"))
    elsewhere = intervention("clamp", 5, point=HookPoint(2, "mlp_out"), at="generated")
    rows = [[add, ablate], [ablate, add], (elsewhere, add), [], None, [add, add], elsewhere]
    found = check(checkpoint, rows)
    first, second = (check(checkpoint, [pair] * 7).tokens for pair in ([add, ablate], [ablate, add]))
    assert first != second, "the order makes no difference here, so the test shows nothing"
    assert found.touched[3] == found.touched[4] == 0


def test_tokens_touched_by_several_interventions_count_once(llama):
    both = [intervention("add", row, at="prompt") for row in (0, 1)]
    found = generate(llama, PROMPTS, max_new_tokens=2, interventions=[both] * len(PROMPTS))
    assert found.touched == [len(ids) for ids in llama.encode(PROMPTS)]


@settings(max_examples=25)
@given(data=st.data(), shape=st.sampled_from(SHAPES))
def test_any_mixture_equals_its_rows_alone(checkpoints, data, shape):
    checkpoint = checkpoints[shape]

    def one(row: int) -> Intervention:
        operator = data.draw(st.sampled_from(list(OPERATORS)))
        gates = data.draw(
            st.fixed_dictionaries(
                {"at": st.sampled_from(["last_prompt", "prompt", "generated", "all", (0,), (-1, 0)])},
                optional={
                    "first": st.integers(0, 4),
                    "decay": st.sampled_from([1.0, 0.5]),
                    "tokens": st.just(frozenset(range(18))),
                    "pattern": st.sampled_from(["[a-m]", r"\d", "so$"]),
                },
            )
        )
        return intervention(operator, row, **gates)

    prompts = data.draw(
        st.lists(st.lists(st.integers(3, 35), min_size=1, max_size=6), min_size=1, max_size=5)
    )
    rows = [data.draw(st.sampled_from([0, 1, 2])) for _ in prompts]
    interventions = [[one(row * 7 + i) for i in range(count)] for row, count in enumerate(rows)]
    batch_size = data.draw(st.integers(1, 5))
    found = generate(
        checkpoint, prompts, max_new_tokens=4, interventions=interventions, batch_size=batch_size
    )
    for row, (ids, those) in enumerate(zip(prompts, interventions, strict=True)):
        assert (found.tokens[row], found.touched[row]) == write(checkpoint, ids, 4, *those)


@pytest.mark.parametrize("operator", OPERATORS)
@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), dose=st.floats(-2, 2), scale=st.sampled_from([1e-3, 1.0, 1e3]))
def test_operators_against_their_definitions(operator, seed, dose, scale):
    each = intervention(operator, seed, point=HookPoint(0, "resid_post"), dose=dose)
    h = scale * vector(seed + 20_000, 2, 5, 32)
    unit = (
        torch.nn.functional.normalize(each.vector, dim=-1) if operator in ("clamp", "rotate") else each.vector
    )
    basis = orthonormal(each.vector)
    centre = torch.zeros(32) if each.centre is None else each.centre
    parameters = Parameters(
        unit.reshape(-1, 32)[:1].expand(2, -1), basis.expand(2, -1, -1), centre.expand(2, -1)
    )
    found = OPERATORS[operator](h, torch.full((2, 1, 1), dose), parameters)
    expected = torch.stack([operate(each, dose, row) for row in h.reshape(-1, 32)]).reshape(h.shape)
    assert_close(found, expected, atol=2e-5 * scale + 2e-5, rtol=1e-4)


def test_a_rotation_keeps_length_and_leaves_what_is_along_the_vector():
    u = torch.nn.functional.normalize(vector(1), dim=0)
    h = torch.stack([u * 3, -u * 2, vector(2), torch.zeros(32)])[None]
    parameters = Parameters(u[None], torch.zeros(1, 0, 32), torch.zeros(1, 32))
    turned = OPERATORS["rotate"](h, torch.full((1, 1, 1), 1.0), parameters)[0]
    assert_close(turned.norm(dim=-1), h[0].norm(dim=-1))
    assert_close(turned[[0, 1, 3]], h[0, [0, 1, 3]])
    assert_close(turned[2], u * h[0, 2].norm(), atol=1e-5, rtol=1e-5)


def test_dependent_directions_span_what_they_span():
    basis = orthonormal(torch.stack([vector(1), 2 * vector(1), vector(2), vector(1) - vector(2)]))
    assert basis.shape == (2, 32)
    assert_close(basis @ basis.T, torch.eye(2), atol=1e-6, rtol=0)


def test_interchange_in_the_whole_space_puts_the_other_activation_in(llama):
    other = vector(5)
    point = HookPoint(1, "resid_post")
    whole = Intervention(point, torch.eye(32), 1.0, "last_prompt", "affine", other)
    put = Intervention(point, other, 1.0, "last_prompt", "replace")
    record = RecordSpec([point], "last_prompt")
    found = [
        generate(llama, PROMPTS, max_new_tokens=6, interventions=[each] * 7, record=record)
        for each in (whole, put)
    ]
    assert found[0].tokens == found[1].tokens
    for each in found:
        assert each.captured is not None
        assert_close(each.captured[point], other.expand(7, -1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"at": "somewhere"}, "unknown gate 'somewhere': valid are last_prompt"),
        ({"operator": "multiply"}, "unknown operator 'multiply': valid are add, ablate"),
        ({"operator": "affine"}, "affine at blocks.0.hook_resid_post needs centre"),
        ({"centre": torch.ones(32)}, "add at blocks.0.hook_resid_post takes no centre"),
        ({"vector": torch.ones(2, 32)}, r"takes a vector \[d_model\], got \[2, 32\]"),
        ({"first": -1}, "first must not be negative"),
        ({"pattern": "("}, "pattern: expected a regular expression, got .*, which does not compile"),
    ],
)
def test_forms_that_are_refused(options, says):
    with signatures_unchecked(), pytest.raises(UserError, match=says):
        Intervention(
            **{"point": HookPoint(0, "resid_post"), "vector": torch.ones(32), "dose": 1.0, **options}
        )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"at": (3,)}, "row 1: the prompt has 2 tokens: there is no position 3"),
        ({"vector": torch.zeros(32), "operator": "rotate"}, "row 0: the vector .* is zero: rotate needs"),
        ({"threshold": Threshold(torch.ones(31))}, r"row 0: expected a threshold direction \[32\]"),
        ({"operator": "affine", "centre": torch.full((32,), float("inf"))}, "row 0: centre .* NaN or inf"),
    ],
)
def test_what_does_not_fit_a_model_or_prompt_is_refused(llama, options, says):
    each = Intervention(
        **{"point": HookPoint(0, "resid_post"), "vector": torch.ones(32), "dose": 1.0, **options}
    )
    with pytest.raises(UserError, match=says):
        generate(llama, PROMPTS, max_new_tokens=2, interventions=[each] * len(PROMPTS))
