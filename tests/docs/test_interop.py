"""What undertext saves, used by the blocks of docs/interop.md where undertext cannot be imported."""

import re
import sys
from typing import Any

import pytest
import torch

from tests.imports import ROOT
from tests.toys import tiny_folder

PAGE = (ROOT / "docs" / "interop.md").read_text(encoding="utf-8")
OURS, *OTHERS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def names(tmp_path, monkeypatch) -> dict[str, Any]:
    """What our own block leaves, run in an empty folder that holds a checkpoint."""
    monkeypatch.chdir(tmp_path)
    tiny_folder(tmp_path / "CHECKPOINT")
    found: dict[str, Any] = {}
    exec(compile(OURS, "docs/interop.md", "exec"), found)
    return found


@pytest.mark.parametrize(("block", "form"), [*zip(OTHERS, ("torch", "lens"), strict=True)])
def test_it_reads_and_writes_as_ours_without_undertext(block, form, names, monkeypatch):
    for name in [each for each in sys.modules if each.split(".")[0] == "undertext"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "undertext", None)  # importing it now fails
    with pytest.raises(ImportError):
        exec("import undertext.probes", {})
    found: dict[str, Any] = {}
    exec(compile(block, "docs/interop.md", "exec"), found)
    torch.testing.assert_close(found[f"{form}_logits"], names["logits"], atol=1e-4, rtol=1e-4)
    assert torch.equal(found[f"{form}_labels"], names["probe"].predict(names["X"])[1])
    assert found[f"{form}_texts"] == names["texts"]


def test_the_vector_changes_what_is_written_and_the_probe_says_more_than_one_label(names):
    plain = names["generate"](names["checkpoint"], names["prompts"][:4], max_new_tokens=8).texts
    assert plain != names["texts"]
    assert len(names["probe"].predict(names["X"])[1].unique()) == 2
