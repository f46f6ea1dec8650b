"""Probes in files: what comes back reads as what was written, and nothing else is taken for one."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.probe_problems import CHOOSING, CLASSIFIERS, tensors
from undertext.activations import HookPoint
from undertext.activations.errors import UserError
from undertext.probes import LogisticProbe, RidgeProbe, RidgeProbeCV, load_probe, save_probe

POINTS = [HookPoint(1, "resid_post"), HookPoint(2, "z")]
MAKERS: dict[str, Any] = {
    **CLASSIFIERS,
    **CHOOSING,
    "weighted": lambda: LogisticProbe(class_weight={0: 2.0, 2: 0.5}),
    "ridge": lambda: RidgeProbe(alpha=3.0),
    "ridge, chosen": lambda: RidgeProbeCV(alphas=(0.1, 10.0), cv=3),
}


@pytest.fixture
def rows() -> tuple[torch.Tensor, torch.Tensor]:
    X, y = tensors(60, 5, 3, seed=0)
    return torch.stack([X, X.flip(-1) + 1]), y


@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_read_is_what_was_written(kind, rows, tmp_path):
    X, y = rows
    probe = MAKERS[kind]().fit(X, y)
    save_probe(probe, POINTS, tmp_path / "new" / "p.safetensors")
    again, points = load_probe(tmp_path / "new" / "p.safetensors")
    assert points == tuple(POINTS)
    assert type(again) is type(probe)
    assert repr(again).replace("[", "(").replace("]", ")") == repr(probe)  # JSON has no tuples
    assert set(vars(again)) == set(vars(probe))
    for name, value in vars(probe).items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(getattr(again, name).nan_to_num(nan=-7), value.nan_to_num(nan=-7)), name
    assert torch.equal(again.predict(X), probe.predict(X))  # type: ignore[attr-defined]
    assert torch.equal(again.fit(X, y).coef_, probe.fit(X, y).coef_)  # type: ignore[attr-defined]


def test_anyone_can_read_the_file(tmp_path):
    probe = LogisticProbe().fit(
        torch.tensor([[0.0, 1.0], [4.0, 1.5], [0.5, 0.0], [3.0, 2.0]]), torch.tensor([7, 9, 7, 9])
    )
    save_probe(probe, POINTS[:1], tmp_path / "p.safetensors")
    with safe_open(tmp_path / "p.safetensors", framework="np") as opened:
        assert sorted(opened.keys()) == ["classes", "coef", "intercept"]
        card = json.loads(opened.metadata()["undertext.probe"])
        logits = opened.get_tensor("coef") @ [4.0, 1.5] + opened.get_tensor("intercept")
        assert opened.get_tensor("classes").tolist() == [7, 9]
    assert card["points"] == ["blocks.1.hook_resid_post"]
    assert (card["kind"], card["params"]["C"]) == ("LogisticProbe", pytest.approx(1.0))
    assert logits.tolist() == pytest.approx(probe.decision_function(torch.tensor([[4.0, 1.5]]))[0].tolist())


def test_slices_and_targets_keep_their_axes(tmp_path):
    """A class that one target never shows has the intercept -inf, which is no damage."""
    X, _ = tensors(40, 4, 2, seed=1)
    y = torch.stack([torch.arange(40) % 3, torch.arange(40) % 2], 1)
    layers = X.expand(2, 3, 40, 4)
    probe = LogisticProbe().fit(layers, y)
    assert bool(probe.intercept_.isinf().any())
    save_probe(probe, POINTS, tmp_path / "p.safetensors")
    again = load_probe(tmp_path / "p.safetensors").probe
    assert again.coef_.shape == (2, 3, 2, 3, 4)
    assert torch.equal(again.predict(layers), probe.predict(layers))  # type: ignore[attr-defined]


def test_what_cannot_be_saved_is_refused(rows, tmp_path):
    X, y = rows
    path = tmp_path / "p.safetensors"
    probe = LogisticProbe().fit(X, y)
    with pytest.raises(UserError, match=r"saved as \.safetensors, got 'p\.pt'"):
        save_probe(probe, POINTS, tmp_path / "p.pt")
    with pytest.raises(UserError, match="is not fitted yet"):
        save_probe(LogisticProbe(), POINTS, path)
    for points in ([], POINTS[:1], POINTS * 2):
        with pytest.raises(UserError, match=rf"expected 2 hook points.*slices \[2\], got {len(points)}"):
            save_probe(probe, points, path)
    with pytest.raises(UserError, match=r"expected 1 hook points.*slices \[\], got 2"):
        save_probe(LogisticProbe().fit(X[0], y), POINTS, path)

    class Own(LogisticProbe):
        pass

    with pytest.raises(UserError, match=r"expected a probe of undertext .*LogisticProbe.*, got Own"):
        save_probe(Own().fit(X, y), POINTS, path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        save_probe(probe, POINTS, tmp_path / "file" / "p.safetensors")
    assert not path.exists()


def change(path: Path, tensors: dict[str, torch.Tensor | None], **card: Any) -> None:
    """Writes the file again with other tensors, or without those that are None, and another card."""
    with safe_open(path, framework="pt") as opened:
        old = json.loads(opened.metadata()["undertext.probe"])
    held = {name: value for name, value in {**load_file(path), **tensors}.items() if value is not None}
    save_file(held, path, {"undertext.probe": json.dumps({**old, **card})})


@pytest.mark.parametrize(
    ("tensors", "card", "why"),
    [
        ({"classes": None}, {}, "should hold the fitted tensors of a LogisticProbe"),
        ({"direction": torch.ones(2)}, {}, "should hold the fitted tensors of a LogisticProbe"),
        ({"coef": torch.ones(2, 3, 4)}, {}, "do not go together"),
        ({"classes": torch.arange(2)}, {}, "do not go together"),
        ({"coef": torch.full((2, 3, 5), float("nan"), dtype=torch.float64)}, {}, "NaN or infinity"),
        ({}, {"kind": "Exec"}, "holds a 'Exec': known probes are LDAProbe"),
        ({}, {"params": {"colour": 1}}, "cannot be read.*colour"),
        ({}, {"params": {"class_weight": {"a": 1.0}}}, "cannot be read.*'a'"),
        ({}, {"params": {"self": 1}}, "cannot be read.*self"),
        ({"coef": torch.ones(2, 3, 5, dtype=torch.int64)}, {}, "do not go together"),
        ({"intercept": torch.ones(2, 3, dtype=torch.float16)}, {}, "do not go together"),
        ({}, {"axes": [2, 2, 3]}, "do not go together"),
        ({}, {"more": 1}, "cannot be read.*more"),
        ({}, {"axes": [5]}, "do not go together"),
        ({}, {"counts": {}}, "do not go together"),
        ({}, {"points": ["blocks.1.hook_resid_post"]}, "expected 2 hook points"),
        ({}, {"points": ["a", "b"]}, "cannot read hook point 'a'"),
    ],
)  # fmt: skip
def test_files_that_hold_something_else_are_refused(tensors, card, why, rows, tmp_path):
    path = tmp_path / "p.safetensors"
    save_probe(LogisticProbe().fit(*rows), POINTS, path)
    change(path, {})
    assert load_probe(path).points == tuple(POINTS)
    change(path, tensors, **card)
    with pytest.raises(UserError, match=why):
        load_probe(path)


def test_files_that_are_no_probe_are_refused(rows, tmp_path):
    path = tmp_path / "p.safetensors"
    with pytest.raises(UserError, match="is missing"):
        load_probe(path)
    save_probe(LogisticProbe().fit(*rows), POINTS, path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(UserError, match="truncated or corrupt"):
        load_probe(path)
    save_file({"coef": torch.ones(1)}, path)
    with pytest.raises(UserError, match="is no probe: its header has no"):
        load_probe(path)
