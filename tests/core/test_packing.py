"""What a part of a job made comes back as it was, and nothing else can be read into the process."""

import json
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from undertext.core.packing import pack, unpack
from undertext.core.resume import Part
from undertext.core.statistics import Estimate
from undertext.measures.answers import Answers
from undertext.measures.recovery.gate_config import GateConfig

texts = st.text(st.characters(codec="utf-8"), max_size=6)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
hashable = st.recursive(scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3))
values = st.recursive(
    hashable | st.builds(Path, st.sampled_from(["a", "a/b", "/c", "ü"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(hashable, inner, max_size=3)
        | st.sets(hashable, max_size=3)
        | st.builds(Estimate, st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.integers(0, 9))
    ),
    max_leaves=12,
)


def kinds(value: Any) -> Any:
    """The type of a value and of all in it, since 1, 1.0 and True are equal."""
    if isinstance(value, dict):
        return dict, [(kinds(key), kinds(part)) for key, part in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [kinds(part) for part in value]
    if isinstance(value, set | frozenset):
        return type(value), sorted(map(repr, map(kinds, value)))
    return type(value)


@given(values)
def test_plain_values_come_back_as_they_were(value):
    found = unpack(pack(value))
    assert found == value
    assert kinds(found) == kinds(value)


@given(st.sampled_from([nan, inf, -inf]))
def test_numbers_that_are_not_finite_come_back(value):
    assert repr(unpack(pack([value, {"low": value}]))) == repr([value, {"low": value}])


shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)
dtypes = ["float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool"]


@given(shapes, st.sampled_from(dtypes), st.integers(0, 9))
def test_tensors_come_back_with_shape_and_type(shape, dtype, seed):
    made = torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(seed)).to(getattr(torch, dtype))
    found = unpack(pack({"a": made, "b": [made, made.t() if made.ndim == 2 else made]}))
    assert found["a"].dtype == made.dtype
    assert torch.equal(found["a"], made)
    assert torch.equal(found["b"][1], made.t() if made.ndim == 2 else made)


@given(shapes, st.sampled_from([each for each in dtypes if each != "bfloat16"]), st.booleans())
def test_arrays_come_back_with_shape_and_type_and_can_be_written(shape, dtype, turned):
    made = np.asarray(np.random.default_rng(0).random(shape) * 3).astype(dtype)
    made = np.asfortranarray(made) if turned else made
    found = unpack(pack(made))
    assert isinstance(found, np.ndarray)
    assert (found.dtype, found.shape) == (made.dtype, made.shape)
    np.testing.assert_array_equal(found, made)
    found[...] = 0


def test_numpy_scalars_become_python_s():
    found = unpack(pack([np.float32(0.5), np.int64(3), np.bool_(True)]))
    assert found == [0.5, 3, True]
    assert [type(each) for each in found] == [float, int, bool]


def test_tables_come_back_with_their_schema():
    table = pa.table(
        {"a": pa.array([1, None]), "b": pa.array(["x", "y"]), "c": pa.array([[1.0], []]), "d": pa.nulls(2)}
    )
    found = unpack(pack({"table": table}))["table"]
    assert found.equals(table)
    assert found.schema == table.schema


def test_our_own_dataclasses_named_tuples_and_models_come_back():
    answers = Answers(["a"], np.array([True]), np.array([False]), np.array([2.0]), np.array([False]))
    found = unpack(pack({"answers": answers, "gate": GateConfig(first=4, decay=0.5)}))
    assert type(found["answers"]) is Answers
    assert (found["answers"].texts, found["answers"].tokens.tolist()) == (["a"], [2.0])
    assert found["gate"] == GateConfig(first=4, decay=0.5)


class Mine:
    """None of the package's."""


@pytest.mark.parametrize("value", [Mine(), lambda: 0, [object()], {"a": {1: Mine()}}, b"bytes"])
def test_what_cannot_be_kept_is_named(value):
    with pytest.raises(TypeError, match="cannot keep a value of type"):
        pack(value)


def test_a_part_with_a_function_in_it_cannot_be_kept():
    with pytest.raises(TypeError, match="function"):
        pack(Part("a", lambda done: None))


@pytest.mark.parametrize("cut", [0, 4, 8, 40, -1])
def test_bytes_that_were_cut_are_damaged(cut):
    with pytest.raises(ValueError, match="damaged"):
        unpack(pack({"a": torch.ones(4)})[:cut])


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "pathlib:Path",
        "builtins:eval",
        "undertext.core.packing:pack",
        "undertext.core.packing:import_module",
        "undertext.core.output:shutil.rmtree",
        "undertext.core.nothing:Nothing",
    ],
)
def test_nothing_but_the_package_s_own_plain_classes_is_called(name):
    text = json.dumps({"$": "object", "type": name, "of": []})
    with pytest.raises(ValueError, match="damaged"):
        unpack(save({}, metadata={"value": text}))
