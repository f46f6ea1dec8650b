"""Greedy, steered and sampled generation."""

import random
from typing import Any

import pytest
import torch

from tests.activations.made_interventions import DOSES, intervention, vector
from tests.activations.reference import PROMPTS
from tests.cuda.both import GPU, Both, alike, both, shapes
from tests.toys import SHAPES, Shape, tiny_folder
from undertext.activations import Checkpoint, HookPoint, Intervention, RecordSpec, Threshold, generate
from undertext.activations.operators import Operator

STEPS = 12
RECORD = RecordSpec([HookPoint(0, "mlp_out"), HookPoint(2, "resid_post")], "all")
GATES: dict[str, dict[str, Any]] = {
    "last_prompt": {},
    "prompt": {"at": "prompt"},
    "generated": {"at": "generated"},
    "all": {"at": "all"},
    "indices": {"at": (0, -1)},
    "first": {"at": "generated", "first": 3},
    "decay": {"at": "all", "decay": 0.7},
    "tokens": {"at": "all", "tokens": frozenset(range(4, 20))},
    "pattern": {"at": "all", "pattern": r".*[0-9]"},
    "threshold": {"at": "all", "threshold": Threshold(vector(7), 0.5)},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[Shape, Both]:
    return shapes(tmp_path_factory.mktemp("made"))


@pytest.fixture(params=SHAPES)
def two(made, request) -> Both:
    return made[request.param]


def run_both(two: Both, prompts: Any = PROMPTS, **options: Any) -> Any:
    """What both write, which must be alike; that of the GPU."""
    options = {"max_new_tokens": STEPS, "margins": True, **options}
    found, wanted = generate(two.gpu, prompts, **options), generate(two.cpu, prompts, **options)
    alike(found, wanted)
    return found


def test_greedy(two):
    run_both(two, samples=2, record=RECORD, batch_size=5)
    stop = two.cpu.decode([run_both(two).tokens[0][2]], start=False)
    run_both(two, stop=[stop], openings=[5 + row for row in range(len(PROMPTS))])


@pytest.mark.parametrize("operator", DOSES)
def test_every_operator_in_every_row(two, operator: Operator):
    acting = [[intervention(operator, row, at="all")] for row in range(len(PROMPTS))]
    found = run_both(two, interventions=acting, record=RECORD)
    assert min(found.touched) > 0


@pytest.mark.parametrize("gate", GATES)
def test_every_gate(two, gate):
    acting = [
        [intervention("add", row, **GATES[gate]), intervention("rotate", row + 1, **GATES[gate])]
        for row in range(len(PROMPTS) - 1)
    ]
    found = run_both(two, interventions=[*acting, None], record=RECORD)
    assert sum(found.touched) > 0
    assert found.touched[-1] == 0


@pytest.mark.parametrize("site", ["resid_pre", "resid_mid", "attn_out", "mlp_out", "z"])
def test_every_site(made, site):
    acting = [Intervention(HookPoint(row % 3, site), vector(row), 2.0, "all") for row in range(len(PROMPTS))]
    run_both(made["llama"], interventions=acting, record=RECORD)


def test_vectors_may_be_on_the_gpu(made):
    two = made["llama"]
    here = [
        Intervention(HookPoint(1, "resid_post"), vector(1), 2.0, "all", centre=vector(2), operator="affine")
    ]
    there = [
        Intervention(
            HookPoint(1, "resid_post"), vector(1).to(GPU), 2.0, "all", centre=vector(2).to(GPU),
            operator="affine", threshold=Threshold(vector(3).to(GPU), 1e6),
        )
    ]  # fmt: skip
    n = len(PROMPTS)
    alike(
        generate(two.gpu, PROMPTS, max_new_tokens=STEPS, interventions=[there] * n),
        generate(two.cpu, PROMPTS, max_new_tokens=STEPS, interventions=[here] * n),
    )


@pytest.fixture(scope="module")
def long(tmp_path_factory) -> Both:
    return both(tmp_path_factory.mktemp("long") / "made", n_ctx=512)


def test_rows_that_take_turns_and_are_set_aside(long):
    """Prompts of 3 to 40 tokens, more of them than fit the batch, some written to over twice the longest."""
    draw = random.Random(0)
    prompts = [[1, *(draw.randrange(4, 36) for _ in range(draw.randint(2, 40)))] for _ in range(24)]
    free = generate(long.cpu, prompts, max_new_tokens=220).tokens
    ends = [draw.choice(row) for row in free if row]
    stops = sorted({long.cpu.decode([token], start=False) for token in ends if token > 3})
    acting = [intervention("add", row, at="all") if row % 3 else None for row in range(len(prompts))]
    for options in ({}, {"stop": stops[:1]}, {"interventions": acting, "record": RECORD}):
        found = run_both(long, prompts, max_new_tokens=220, batch_size=8, margins=False, **options)
        assert max(found.produced) > 1


def test_a_seed_is_a_draw(two):
    options: dict[str, Any] = {"max_new_tokens": STEPS, "samples": 6, "temperature": 1.0, "top_p": 0.9}
    one = generate(two.gpu, PROMPTS, seed=3, **options)
    assert generate(two.gpu, PROMPTS, seed=3, **options).tokens == one.tokens
    assert generate(two.gpu, PROMPTS, seed=3, batch_size=5, **options).tokens == one.tokens
    assert generate(two.gpu, PROMPTS, seed=4, **options).tokens != one.tokens
    # The draws are made on the CPU, so another device changes a token only by rounding at a boundary.
    same = zip(one.tokens, generate(two.cpu, PROMPTS, seed=3, **options).tokens, strict=True)
    assert sum(a == b for a, b in same) >= 0.9 * len(one.tokens)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_short_formats_write_whole_rows(tmp_path, dtype):
    short = Checkpoint.load(tiny_folder(tmp_path / "made"), device=GPU, dtype=dtype)
    acting = [intervention("rotate", row, at="all") for row in range(len(PROMPTS))]
    for options in ({}, {"interventions": acting, "record": RECORD}, {"temperature": 1.0, "samples": 3}):
        one, other = (generate(short, PROMPTS, max_new_tokens=STEPS, **options) for _ in range(2))
        assert one.tokens == other.tokens
        assert all(1 <= count <= STEPS for count in one.produced)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_ways_to_attend(tmp_path, attention):
    folder = tiny_folder(tmp_path / "made")
    two = Both(Checkpoint.load(folder), Checkpoint.load(folder, device=GPU))
    for each in two:
        each.model.set_attn_implementation(attention)
    run_both(two, interventions=[intervention("add", row, at="all") for row in range(len(PROMPTS))])
