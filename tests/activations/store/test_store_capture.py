"""Capturing into a store: the same activations as `capture`, and going on after a kill."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.activations.store.made_rows import same
from tests.killing import Step, killed_at_step
from tests.toys import tiny_folder, tiny_model, word_tokenizer
from undertext.activations import Checkpoint, HookPoint, TextSpan, TokenSpan, UserError, capture
from undertext.activations.store import Store, capture_to_store, open_pair, tokens_fingerprint

POINTS = [HookPoint(0, "mlp_out"), HookPoint(2, "resid_post")]
WORDS = ["a", "b", "c", "=", "+", "1", "2", ";", "so"]
PROMPTS = {
    f"p{number}": " ".join(random.Random(number).choices(WORDS, k=1 + number % 9)) for number in range(24)
}
SPLITS = {key: "test" if number % 2 else "dev" for number, key in enumerate(PROMPTS)}


def go(checkpoint: Checkpoint, folder: Path, **changed: Any) -> Store:
    options: dict[str, Any] = {
        "positions": "all",
        "columns": {"split": SPLITS},
        "unit": 4,
        "shard_rows": 20,
        **changed,
    }
    return capture_to_store(checkpoint, PROMPTS, POINTS, folder=folder, **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_rows_are_those_of_capture(llama: Checkpoint, tmp_path: Path, dtype: torch.dtype):
    told: list[int] = []
    store = go(llama, tmp_path, dtype=dtype, progress=told.append)
    expected = capture(llama, list(PROMPTS.values()), POINTS, "all")
    assert told == [4, 8, 12, 16, 20, 24]
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 1e-2}[dtype]
    torch.testing.assert_close(store.read().float(), expected.activations, rtol=tolerance, atol=tolerance)
    assert store.rows["position"].tolist() == expected.positions.tolist()
    keys = list(PROMPTS)
    assert store.rows["problem"].tolist() == [keys[row] for row in expected.rows.tolist()]
    ids = dict(zip(keys, llama.encode(list(PROMPTS.values())), strict=True))
    assert store.rows["tokens"].tolist() == [tokens_fingerprint(ids[key]) for key in store.rows["problem"]]
    assert set(store.select(split="dev").rows["problem"]) == {key for key in keys if SPLITS[key] == "dev"}


def test_killed_while_capturing(llama: Checkpoint, tmp_path: Path):
    folder, options = tmp_path / "killed", {"unit": 1, "shard_rows": 1}
    moments = random.Random(0)
    for _ in range(8):  # of one prompt each, or of a few, so that there is work left for the last

        def work(stepped: Step) -> None:
            go(llama, folder, progress=stepped, **options)

        killed_at_step(work, 2, events=moments.randrange(2000))
    assert 0 < len(set(Store.open(folder).rows["problem"])) < len(PROMPTS)
    assert same(go(llama, folder, **options), go(llama, tmp_path / "whole", **options))


def test_a_pair_of_checkpoints(llama: Checkpoint, tmp_path: Path):
    tokenizer = word_tokenizer()
    tuned = Checkpoint.load(tiny_model("llama", len(tokenizer), seed=1), tokenizer=tokenizer)
    go(llama, tmp_path / "base")
    go(tuned, tmp_path / "tuned")
    pair = open_pair(tmp_path / "base", tmp_path / "tuned")
    expected = capture(tuned, [PROMPTS["p5"]], POINTS, "all")
    torch.testing.assert_close(pair.select(problem="p5").tuned.read(), expected.activations)
    with pytest.raises(UserError, match="is another than is to be written: meta is"):
        go(tuned, tmp_path / "base")


def test_listed_positions_and_keys_that_are_numbers(llama: Checkpoint, tmp_path: Path):
    prompts: dict[int, str | list[int]] = {7: "a b c", 9: [5, 6], 4: "so"}
    for _ in range(2):  # the second time there is nothing to do but for the key without positions
        store = capture_to_store(llama, prompts, POINTS, {7: [-1, 0], 9: [1], 4: []}, tmp_path)
    assert store.rows["problem"].tolist() == [7, 7, 9]
    assert store.rows["position"].tolist() == [3, 0, 1]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"positions": "last"}, r"has 'p\d+' at positions \[0, .*\], asked for are \[\d+\]"),
        ({"columns": {"split": dict.fromkeys(PROMPTS, "x")}}, "with split '(dev|test)', asked for is 'x'"),
        ({"columns": {}}, "differ in columns 'split'"),
        ({"columns": {"position": SPLITS}}, "columns position are filled by the capture itself"),
        ({"columns": {"split": {}}}, "split: nothing is given for 'p0'"),
        ({"positions": {}}, "positions: nothing is given for 'p0'"),
        ({"unit": 0}, "a unit has at least 1 prompt"),
    ],
)
def test_going_on_with_other_wishes(llama: Checkpoint, tmp_path: Path, changed, says):
    before = go(llama, tmp_path)
    with pytest.raises(UserError, match=says):
        go(llama, tmp_path, **changed)
    assert same(Store.open(tmp_path), before)


def test_other_text_under_a_stored_key(llama: Checkpoint, tmp_path: Path):
    capture_to_store(llama, {"x": "a b"}, POINTS, "last", tmp_path)
    with pytest.raises(UserError, match="has 'x' with tokens"):
        capture_to_store(llama, {"x": "a c"}, POINTS, "last", tmp_path)


def test_spans_of_text_are_stored_as_the_tokens_they_are(tmp_path):
    checkpoint = Checkpoint.load(tiny_folder(tmp_path / "model"))
    prompts = {"p": "a = 3 ; b = a + 2", "q": "so find a :"}
    spans: dict[str, Any] = {"p": [TextSpan.find(prompts["p"], "a + 2"), 0], "q": TokenSpan(1, 3)}
    point = HookPoint(1, "resid_post")
    for _ in range(2):  # the second time finds all of it there
        store = capture_to_store(checkpoint, prompts, [point], spans, tmp_path / "store")
    assert store.rows["position"].tolist() == [7, 8, 9, 0, 1, 2]
    whole = capture(checkpoint, list(prompts.values()), [point], "all")
    wanted = [7, 8, 9, 0, 11, 12]
    torch.testing.assert_close(store[point], whole[point][wanted], atol=1e-5, rtol=1e-5)
    with pytest.raises(UserError, match="has 'q' at positions"):
        capture_to_store(checkpoint, prompts, [point], {**spans, "q": [1]}, tmp_path / "store")
