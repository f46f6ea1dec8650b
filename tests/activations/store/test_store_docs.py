"""The examples in docs/store.md run as they stand, and say what the store says."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.activations.store.made_rows import fill
from tests.toys import tiny_folder
from undertext.activations import HookPoint

EXAMPLES = re.findall(r"```python\n(.*?)```", Path("docs/store.md").read_text(), re.DOTALL)


def test_the_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = fill(tmp_path / "STORE", 12)
    monkeypatch.chdir(tmp_path)
    tiny_folder(tmp_path / "BASE")
    tiny_folder(tmp_path / "TUNED", seed=1)
    plain, ours, writing = EXAMPLES
    assert not re.search(r"^(from|import) (activations|undertext)", plain, re.MULTILINE)
    seen: dict[str, Any] = {}
    exec(plain, seen)
    assert seen["activations"].equal(store[HookPoint(1, "resid_post")])
    assert seen["problems"] == store.rows["problem"].tolist()
    exec(ours, seen)
    assert seen["batch"].activations.shape[2] == store.d_model
    exec(writing, seen)
    assert len(seen["pair"]) == 2 < len(seen["store"])
