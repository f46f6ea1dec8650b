"""Steering vectors in files: what comes back is what was written, and nothing else is taken for one."""

import json
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from hypothesis import given
from safetensors import safe_open
from safetensors.torch import save_file

from tests.checker import signatures_unchecked
from tests.steering.made_vectors import fields_of_vectors
from undertext.activations.errors import UserError
from undertext.steering import SteeringVector, load_vector, save_vector

VECTOR = SteeringVector(
    "thinks",
    torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 2.0]]),
    torch.tensor([1.0, 10.0, 4.0]),
    "difference of means",
    sources=("base",),
    absent=frozenset({0}),
)


def same(one: SteeringVector, other: SteeringVector) -> bool:
    for field in fields(SteeringVector):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if not (torch.equal(a, b) if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) else a == b):
            return False
    return True


@given(fields_of_vectors())
def test_what_is_read_is_what_was_written(given_fields):
    vector = SteeringVector(**given_fields)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "new" / "v.safetensors"
        save_vector(vector, path)
        assert same(load_vector(path), vector)
        assert sorted(each.name for each in path.parent.iterdir()) == ["v.md", "v.safetensors"]


def test_anyone_can_read_the_file(tmp_path):
    save_vector(VECTOR, tmp_path / "v.safetensors")
    with safe_open(tmp_path / "v.safetensors", framework="np") as opened:
        assert opened.get_tensor("directions").tolist() == [[0, 0], [3, 4], [0, 2]]
        assert opened.get_tensor("norms").tolist() == [1, 10, 4]
        assert json.loads(opened.metadata()["undertext.steering_vector"]) == {
            "name": "thinks",
            "made": "difference of means",
            "trained": False,
            "sources": ["base"],
            "site": "resid_post",
            "absent": [0],
        }
    card = (tmp_path / "v.md").read_text()
    assert "# thinks" in card
    assert "Trained: no\n" in card
    assert "| 1 | 5 | 10 | 0.5 |\n| 2 | 2 | 4 | 0.5 |\n" in card
    assert "| 0 |" not in card


def test_a_vector_replaces_another_as_a_whole(tmp_path):
    path = tmp_path / "v.safetensors"
    save_vector(VECTOR, path)
    other = SteeringVector("other", torch.ones(1, 4), torch.ones(1), "ones")
    save_vector(other, path)
    assert same(load_vector(path), other)


def test_a_file_that_was_cut_is_refused(tmp_path):
    path = tmp_path / "v.safetensors"
    save_vector(VECTOR, path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(UserError, match="truncated or corrupt"):
        load_vector(path)
    with pytest.raises(UserError, match="is missing"):
        load_vector(tmp_path / "none.safetensors")


def write(path: Path, tensors: dict[str, torch.Tensor], **card: Any) -> None:
    known: dict[str, Any] = {
        "name": "v",
        "made": "m",
        "trained": None,
        "sources": [],
        "site": "resid_post",
        "absent": [],
    }
    save_file(tensors, path, {"undertext.steering_vector": json.dumps({**known, **card})})


def test_files_that_hold_something_else_are_refused(tmp_path):
    path = tmp_path / "v.safetensors"
    good = {"directions": torch.ones(2, 3), "norms": torch.ones(2)}
    write(path, good)
    assert load_vector(path).name == "v"
    save_file(good, path)
    with pytest.raises(UserError, match="is no steering vector: its header has no"):
        load_vector(path)
    for tensors, why in (
        ({"directions": torch.ones(2, 3)}, "it holds directions"),
        ({**good, "extra": torch.ones(1)}, "it holds directions, extra, norms"),
        ({**good, "norms": torch.ones(3)}, r"expected norms \[2\], got \[3\]"),
        ({**good, "directions": torch.ones(2)}, r"expected directions \[layer, d_model\], got \[2\]"),
        ({**good, "directions": torch.full((2, 3), float("nan"))}, "NaN or infinity in its directions"),
    ):
        write(path, tensors)
        with signatures_unchecked(), pytest.raises(UserError, match=why):
            load_vector(path)
    for card, why in (
        ({"site": "nowhere"}, "site"),
        ({"colour": "red"}, "colour"),
        ({"absent": [1]}, "must hold zeros"),
        ({"absent": [7]}, "has the layers 0 to 1"),
    ):
        write(path, good, **card)
        with pytest.raises(UserError, match=why):
            load_vector(path)


def test_names_and_places_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"saved as \.safetensors, got 'v\.pt'"):
        save_vector(VECTOR, tmp_path / "v.pt")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        save_vector(VECTOR, tmp_path / "file" / "v.safetensors")


def test_the_dose_at_a_vectors_own_length():
    assert VECTOR.doses.tolist() == [0.0, 0.5, 0.5]
    still = SteeringVector("v", torch.ones(1, 1), torch.zeros(1), "")
    assert still.doses.tolist() == [0.0]


def test_vectors_that_cannot_be_are_refused():
    good: dict[str, Any] = {"directions": torch.ones(2, 3), "norms": torch.ones(2)}
    for change, why in (
        ({"norms": torch.tensor([1.0, -1.0])}, "norms must not be negative"),
        ({"norms": torch.tensor([1.0, float("inf")])}, "NaN or infinity in its norms"),
        ({"centre": torch.ones(2, 4)}, r"expected a centre \[2, 3\], got \[2, 4\]"),
        ({"site": "resid"}, "unknown site 'resid'"),
    ):
        with signatures_unchecked(), pytest.raises(UserError, match=why):
            SteeringVector("v", made="", **{**good, **change})
