"""Grids: every combination once, each valid, each under a name of its own; all else refused in one line."""

import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from undertext.activations.errors import UserError
from undertext.core.config import RunConfig
from undertext.core.grid import LONGEST_NAME, Grid, _names, read_grid
from undertext.jobs.compare.command import CompareCommand
from undertext.jobs.probe.command import ProbeCommand
from undertext.jobs.sae_train.command import TrainCommand


@pytest.fixture
def grid_of(tmp_path: Path):
    def read(text: str, kind: type = CompareCommand) -> Grid[Any]:
        (tmp_path / "mine.yaml").write_text(text)
        return read_grid(kind, tmp_path / "mine.yaml")

    return read


@pytest.fixture
def error_of(grid_of):
    def read(text: str, kind: type = CompareCommand) -> str:
        with pytest.raises(UserError) as caught:
            grid_of(text, kind)
        message = str(caught.value)
        assert "\n" not in message
        assert "mine.yaml: " in message
        return message

    return read


def test_every_combination_in_the_order_of_the_lists(grid_of):
    grid = grid_of(
        "base: zoo:base\nsamples: 3\ngrid:\n  seed: [4, 2]\n  layers: [[1, 2], null]\n  search: [halving]\n"
    )
    assert grid.settings == ("seed", "layers", "search")
    got = [(run.config.seed, run.config.layers, run.config.search) for run in grid.runs]
    assert got == list(product([4, 2], [(1, 2), None], ["halving"]))
    assert {(run.config.base, run.config.samples) for run in grid.runs} == {("zoo:base", 3)}
    names = ["seed=4,layers=1+2", "seed=4,layers=null", "seed=2,layers=1+2", "seed=2,layers=null"]
    assert [run.name for run in grid.runs] == names


def test_a_file_without_a_grid_is_one_run_as_it_always_was(grid_of):
    grid = grid_of("seed: 4\nlayers: [1, 2]\n")
    assert (grid.settings, len(grid.runs)) == ((), 1)
    assert (grid.runs[0].config.seed, grid.runs[0].config.layers) == (4, (1, 2))


def test_inputs_and_settings_that_are_lists_or_mappings_vary_as_well(grid_of):
    grid = grid_of(
        "grid:\n  tuned: [zoo:elicited, a/b/checkpoint-100, [c, d]]\n  positions: [[{first: 4}]]\n"
    )
    assert [run.config.tuned for run in grid.runs] == [("zoo:elicited",), ("a/b/checkpoint-100",), ("c", "d")]
    assert [run.name for run in grid.runs] == ["tuned=elicited", "tuned=b-checkpoint-100", "tuned=c+d"]
    grid = grid_of("grid:\n  checkpoints: [{base: zoo:base}, {base: zoo:taught}]\n", ProbeCommand)
    assert [run.name for run in grid.runs] == ["checkpoints=base-base", "checkpoints=base-taught"]


def test_with_one_value_each_a_run_is_named_by_all(grid_of):
    (run,) = grid_of("grid:\n  seed: [3]\n  search: [grid]\n").runs
    assert run.name == "seed=3,search=grid"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("grid: 3", ["grid: expected settings with a list of values each, got 3"]),
        ("grid: {}", ["grid: expected settings with a list"]),
        ("grid: [seed]", ["grid: expected settings with a list"]),
        ("grid:\n  seed: 3", ["grid.seed: expected a list of values, got 3"]),
        ("grid:\n  seed: []", ["grid.seed: expected a list of values, got none"]),
        ("grid:\n  seeed: [1]", ["no setting 'seeed' that can vary", "seed", "samples"]),
        ("grid:\n  out: [a, b]", ["no setting 'out' that can vary"]),
        ("grid:\n  overwrite: [true]", ["no setting 'overwrite' that can vary"]),
        ("grid:\n  1: [1]", ["no setting 1 that can vary"]),
        ("seed: 1\ngrid:\n  seed: [1, 2]", ["seed stands in the grid and beside it"]),
        ("grid:\n  seed: [1, 2, 1]", ["a value is listed twice", "seed=1"]),
        ("grid:\n  doses: [[1], [1.0]]", ["a value is listed twice"]),
        ("grid:\n  tuned: [a, [a]]", ["a value is listed twice"]),
        ("grid:\n  seed: [1, x, -2]\n", ['with seed="x": seed: ', "'x'", "with seed=-2: seed: ", "-2"]),
        (
            "samples: 0\ngrid:\n  seed: [1, 2]\n",
            ["mine.yaml: samples: Input should be greater than or equal"],
        ),
        ("grid:\n  layers: [1, 2]\n", ["with layers=1: layers: ", "got 1"]),
        (
            "grid:\n  samples: [0]\n  seed: [1, 2, 3, 4, 5]\n  dtype: [float32, float99]\n",
            ['with samples=0, seed=1, dtype="float32": samples: ', "and 7 more"],
        ),
    ],
)
def test_what_is_wrong_is_said_with_the_combination(error_of, text, parts):
    message = error_of(text)
    assert all(part in message for part in parts), message


def test_rules_between_settings_hold_in_every_combination(error_of):
    text = "d_sae: 64\ngrid:\n  kind: [sae, crosscoder]\n  architecture: [batchtopk, topk]\n"
    message = error_of(text, TrainCommand)
    assert 'mine.yaml: with kind="crosscoder", architecture="topk": ' in message
    assert "a crosscoder is batchtopk" in message
    assert "sae" not in message.split("with ")[1].split(":")[0]


@pytest.mark.parametrize("line", ["seed: [1, 2]", "base: [a, b]", "search: [grid]", "overwrite: [true]"])
def test_a_list_for_one_value_is_told_of_the_grid(error_of, line):
    message = error_of(line)
    assert message.startswith(line.split(":")[0], message.index(".yaml: ") + len(".yaml: "))
    assert "(to run each value, list them for this key under `grid:`)" in message


def test_a_list_of_wrong_elements_is_not(error_of):
    assert "grid" not in error_of("doses: [[1.0]]")
    assert "grid:" not in error_of("seed: x")


def test_a_grid_that_is_too_large_is_refused_before_it_is_made(error_of):
    names = ("seed", "samples", "max_layers", "vector_problems", "threads", "sae_features")
    lists = "".join(f"  {name}: [{', '.join(map(str, range(1, 99)))}]\n" for name in names)
    assert "a grid of 1,000 runs or fewer, got 885842380864" in error_of(f"grid:\n{lists}")


class Made(RunConfig):
    """Two settings of any text."""

    one: str = Field(default="")
    """One."""
    other: tuple[str, ...] = Field(default=())
    """Other."""


TEXTS = st.text(st.sampled_from("aAb1/.=,+ -:é\n\x00"), max_size=60)


@given(
    ones=st.lists(TEXTS, min_size=1, max_size=6, unique=True),
    others=st.lists(st.lists(TEXTS, max_size=3).map(tuple), min_size=1, max_size=4, unique=True),
)
def test_names_are_short_unlike_one_another_and_safe_in_any_file_system(ones, others):
    configs = [Made(one=one, other=other) for one, other in product(ones, others)]
    names = _names(["one", "other"], configs, "mine.yaml")
    assert len({name.casefold() for name in names}) == len(configs)
    for name in names:
        assert len(name) <= LONGEST_NAME
        assert re.fullmatch(r"(one|other)=[A-Za-z0-9_.,=+-]+", name)
    assert names == _names(["one", "other"], configs, "mine.yaml")


def test_names_tell_small_from_large_numbers_and_signs(grid_of):
    values = [1e-20, 1e20, 0.25, 3]
    grid = grid_of(f"grid:\n  temperature: {values}\n")
    assert [run.name for run in grid.runs] == [
        "temperature=1e-20",
        "temperature=1e20",
        "temperature=0.25",
        "temperature=3.0",
    ]


def test_values_that_are_spelt_alike_have_a_digest(grid_of):
    names = [run.name for run in grid_of(yaml.safe_dump({"grid": {"base": ["a/b", "a-b", "c"]}})).runs]
    assert names[2] == "base=c"
    assert all(re.fullmatch(r"base=a-b-[0-9a-f]{8}", name) for name in names[:2])
    assert names[0] != names[1]


def test_what_flags_give_holds_for_every_run_and_is_checked_with_each(grid_of):
    grid = grid_of("kind: sae\ngrid:\n  architecture: [batchtopk, topk]\n", TrainCommand)
    fields = {
        name: getattr(grid.runs[0].config, name)
        for name in TrainCommand.model_fields
        if name not in grid.settings
    }
    over = grid.over({**fields, "d_sae": 77})
    assert [(run.config.d_sae, run.config.architecture) for run in over.runs] == [
        (77, "batchtopk"),
        (77, "topk"),
    ]
    assert [run.name for run in over.runs] == [run.name for run in grid.runs]
    with pytest.raises(UserError, match=r"with architecture=topk: .*a crosscoder is batchtopk"):
        grid.over({**fields, "kind": "crosscoder"})
