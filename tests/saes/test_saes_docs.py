"""The examples in docs/saes.md run as they stand, one after the other, on small stores and fewer steps."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.toys import tiny_folder
from undertext.activations import HookPoint, capture_pair_to_store

EXAMPLES = re.findall(r"```python\n(.*?)```", Path("docs/saes.md").read_text(), re.DOTALL)
# What is long in the first example: the steps, and batches of more rows than the stores have.
SHORT = ("d_sae=4096, k=32, steps=20_000", "d_sae=64, k=8, steps=30, batch_size=64, held_out=40")


def test_the_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("BASE", "TUNED")):
        tiny_folder(tmp_path / name, seed=seed, n_layers=4)
    prompts = {i: f"a = {i % 10} + {i % 7} ; find a so answer {i % 3} b c d" for i in range(30)}
    capture_pair_to_store("BASE", "TUNED", prompts, [HookPoint(3, "resid_post")], "all", "runs")
    seen: dict[str, Any] = {}
    assert EXAMPLES[0].count(SHORT[0]) == 3
    for example in EXAMPLES:
        exec(example.replace(*SHORT), seen)
    assert seen["fates"].rows == len(seen["pair"])
    assert seen["effects"][0].controls.shape == (2, 5, 2)
    assert seen["association"].auroc.shape == (3, 64)
    assert seen["trial"].injection.d.shape == (64,)
    assert seen["page"].contexts
