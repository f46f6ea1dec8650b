"""Sweeps that are kept: killed anywhere and called again, they go on; another sweep's folder is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.toys import tiny_model, word_tokenizer
from undertext.activations import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.store.disk import lock_folder
from undertext.core.sweep_rows import SweepRows
from undertext.steering import (
    Gate,
    Readout,
    Setting,
    SteeringVector,
    Sweep,
    grid,
    halving,
    random_directions,
    sweep,
    sweep_runner,
)

PROMPTS = ["a = 3 ; find a :", "so", "b = 4 ; so c ?", "d", "e"]
VECTOR = SteeringVector("v", random_directions(3, 32, seed=1), torch.full((3,), 4.0), "random")
GATES = [Gate(), Gate("all", tokens=frozenset({3, 4}), threshold="t")]
SETTINGS = grid(["v"], [0, (1, 2)], [1.0, 3.0], GATES)
READOUT = Readout(random_directions(3, 32, seed=2), torch.zeros(3))


def checkpoint(seed: int = 0) -> Checkpoint:
    tokenizer = word_tokenizer()
    return Checkpoint.load(tiny_model("llama", len(tokenizer), seed=seed), tokenizer=tokenizer)


def said(i: int, text: str, cut: bool) -> tuple[bool, bool]:
    return False, len(text) % 2 == i % 2


def run(folder: Path | None, who: Checkpoint | None = None, **options: Any) -> Sweep:
    given: dict[str, Any] = {
        "prompts": PROMPTS,
        "settings": SETTINGS,
        "vectors": [VECTOR],
        "grade": said,
        "thresholds": {"t": READOUT},
        "max_new_tokens": 3,
        "batch_size": 7,
        "keep": None if folder is None else SweepRows(folder),
    }
    return sweep(who or checkpoint(), **{**given, **options})


def equal(one: Sweep, other: Sweep) -> bool:
    tensors = ("ran", "strict", "lenient", "touched", "written", "steered", "produced", "passes")
    return (one.settings, one.texts) == (other.settings, other.texts) and all(
        torch.equal(getattr(one, name), getattr(other, name)) for name in tensors
    )


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each call generates; after `calls_left` calls the next one is killed."""
    counts: list[int] = []
    whole = vars(sweep_runner)["generate"]

    def spy(who: Any, prompts: Any, **options: Any) -> Any:
        out = whole(who, prompts, **options)
        counts.append(len(prompts))
        return out

    monkeypatch.setattr(sweep_runner, "generate", spy)
    return counts


def test_a_kept_sweep_is_the_sweep_and_is_not_run_again(tmp_path, generated):
    plain = run(None)
    kept = run(tmp_path / "new" / "kept")
    assert equal(kept, plain)
    before, done = len(generated), list[int]()
    assert equal(run(tmp_path / "new" / "kept", progress=done.append), plain)
    assert len(generated) == before
    assert sum(done) == 40


@pytest.mark.parametrize("batches", range(6))
def test_killed_after_any_batch_it_goes_on_from_there(tmp_path, generated, monkeypatch, batches):
    plain = run(None)
    generated.clear()
    spied = vars(sweep_runner)["generate"]

    def killed(*args: Any, **options: Any) -> Any:
        if len(generated) == batches:
            raise KeyboardInterrupt
        return spied(*args, **options)

    monkeypatch.setattr(sweep_runner, "generate", killed)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    monkeypatch.setattr(sweep_runner, "generate", spied)
    done: list[int] = []
    assert equal(run(tmp_path, progress=done.append), plain)
    assert sum(generated) == len(SETTINGS) * len(PROMPTS) == sum(done)


def test_killed_while_it_writes_it_goes_on_from_there(tmp_path, generated, monkeypatch):
    plain = run(None)
    generated.clear()
    run(tmp_path)
    parts = sorted(tmp_path.glob("rows-*.jsonl"))
    assert len(parts) == 6
    # What a kill leaves: the last part not there, or under a temporary name.
    parts[-1].rename(tmp_path / f"{parts[-1].name}.tmp")
    parts[2].unlink()
    generated.clear()
    assert equal(run(tmp_path), plain)
    assert sum(generated) == 7 + 5
    generated.clear()
    assert equal(run(tmp_path), plain)
    assert not generated
    head = tmp_path / "other"
    head.mkdir()
    (head / "sweep.json.tmp").write_text("{")
    assert equal(run(head), plain)


def test_rows_can_be_read_without_this_package(tmp_path):
    found = run(tmp_path)
    settings = json.loads((tmp_path / "sweep.json").read_text())["settings"]
    open_ = ["first", "tokens", "pattern", "threshold"]
    assert settings[1] == {
        "vector": "v",
        "layers": [0],
        "dose": 3.0,
        "gate": {"at": "last_prompt", "decay": 1.0, **dict.fromkeys(open_)},
        "operator": "add",
    }
    rows = [
        json.loads(line) for part in tmp_path.glob("rows-*.jsonl") for line in part.read_text().splitlines()
    ]
    assert len(rows) == 40
    for row in rows:
        i, j = row["setting"], row["prompt"]
        assert row["text"] == found.texts[i][j]
        for name in ("touched", "written", "steered", "produced"):
            assert row[name] == getattr(found, name)[i, j]


OTHER = SteeringVector("v", random_directions(3, 32, seed=9), torch.full((3,), 4.0), "random")
LONGER = SteeringVector("v", VECTOR.directions, torch.full((3,), 5.0), "random")
CENTRED = SteeringVector("v", VECTOR.directions, VECTOR.norms, "random", centre=torch.ones(3, 32))
ELSEGATES = SteeringVector("v", VECTOR.directions, VECTOR.norms, "random", site="mlp_out")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"who": checkpoint(1)}, "checkpoint"),
        ({"prompts": [*PROMPTS[:4], "f"]}, "prompts"),
        ({"prompts": PROMPTS[:4]}, "prompts"),
        ({"vectors": [OTHER]}, "vectors"),
        ({"vectors": [LONGER]}, "vectors"),
        ({"vectors": [CENTRED]}, "vectors"),
        ({"vectors": [ELSEGATES]}, "vectors"),
        ({"thresholds": {"t": Readout(READOUT.directions, torch.ones(3))}}, "thresholds"),
        ({"settings": SETTINGS[1:]}, "settings"),
        ({"settings": [*SETTINGS[:-1], Setting("v", (0,), 9.0)]}, "settings"),
        ({"max_new_tokens": 2}, "generation"),
        ({"stop": [";"]}, "generation"),
    ],
)
def test_a_folder_of_another_sweep_is_refused(tmp_path, change, what):
    run(tmp_path)
    content = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match=f"keeps another sweep, which differs in: {what}\\. Choose"):
        run(tmp_path, **change)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == content


def test_other_batches_and_another_grade_are_the_same_sweep(tmp_path, generated):
    first = run(tmp_path)
    generated.clear()
    again = run(tmp_path, batch_size=100, grade=lambda i, text, cut: (True, True))
    assert not generated
    assert again.strict.all()
    assert again.texts == first.texts


def test_a_halving_and_a_grid_share_their_rows(tmp_path, generated):
    given: dict[str, Any] = {"thresholds": {"t": READOUT}, "max_new_tokens": 3}
    found = halving(checkpoint(), PROMPTS, SETTINGS, [VECTOR], said, keep=SweepRows(tmp_path), **given)
    again = halving(checkpoint(), PROMPTS, SETTINGS, [VECTOR], said, keep=SweepRows(tmp_path), **given)
    assert sum(generated) == found.rows < 40
    assert equal(found.sweep, again.sweep)
    assert equal(run(tmp_path), run(None))
    assert sum(generated) == 40 + 40


def test_damage_is_named(tmp_path):
    run(tmp_path)
    part = tmp_path / "rows-000001.jsonl"
    part.write_text(part.read_text()[:-20])
    with pytest.raises(UserError, match=r"rows-000001\.jsonl is damaged .*: delete it"):
        run(tmp_path)
    part.unlink()
    run(tmp_path)
    (tmp_path / "sweep.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read as JSON"):
        run(tmp_path)
    (tmp_path / "sweep.json").write_text('{"format": "undertext sweep", "version": 1}')
    with pytest.raises(UserError, match="is not of a sweep, version 3"):
        run(tmp_path)


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match="holds no sweep"):
        run(tmp_path)
    with pytest.raises(UserError, match="cannot write to"):
        run(tmp_path / "notes.txt" / "sweep")
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]


def test_two_cannot_write_into_one_folder(tmp_path):
    tmp_path.joinpath("kept").mkdir()
    with lock_folder(tmp_path / "kept"), pytest.raises(UserError, match="another writer"):
        run(tmp_path / "kept")
    run(tmp_path / "kept")
