"""The examples in docs/ground.md run as they stand, one after the other, and give what their comments say."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.toys import FAMILIES, tiny_folder
from undertext.activations import SITES, GateAt
from undertext.activations.operators import OPERATORS

PAGE = Path("docs/ground.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tiny_folder(tmp_path / "CHECKPOINT")
    monkeypatch.chdir(tmp_path)
    seen: dict[str, Any] = {}
    for example in EXAMPLES:
        exec(example, seen)
    tokens = sum(map(len, seen["checkpoint"].encode(seen["prompts"])))
    assert seen["captured"][seen["stream"]].shape == (tokens, 32)
    assert seen["captured"].heads(seen["heads"]).shape == (tokens, 4, 8)
    assert len(seen["first"].rows) == 5
    assert len(seen["names"].rows) == 2
    assert len(seen["drawn"].texts) == 8
    assert seen["steered"].touched == seen["steered"].steered == [1] * 5
    assert all(isinstance(each, int) for each in seen["steered"].produced)
    lengths = [len(ids) for ids in seen["texts"]]
    assert seen["reading"].logits.shape[:2] == (2, max(lengths))
    touched = [each.all for each in seen["reading"].touched]
    assert touched == [length - head for length, head in zip(lengths, (6, 2), strict=True)]
    assert seen["steered"].texts[2] == seen["plain"].texts[0]
    assert len(set(seen["steered"].texts)) > 1
    assert len(seen["scores"].of(0)) == 3


def test_the_page_names_all_there_is():
    for name in (*OPERATORS, *get_args(GateAt), *SITES):
        assert f"`{name}`" in PAGE or f'`"{name}"`' in PAGE, name
    families = (
        PAGE.split("are tested against")[0].rsplit("\n\n", 1)[1].lower().replace(" ", "").replace("-", "")
    )
    missing = [family for family in FAMILIES if family not in families]
    assert not missing
