"""Modules loaded late: what they make stays, and the garbage collector passes over it."""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from undertext.core.late import named


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module that notes whether the collector was on as it was loaded."""
    (tmp_path / "made_for_late.py").write_text(
        "import gc\nwas_on = gc.isenabled()\ndef collects():\n    return was_on\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "made_for_late"
    sys.modules.pop("made_for_late", None)
    gc.unfreeze()


def test_a_module_is_loaded_without_the_collector_which_then_passes_over_what_there_is(module: str) -> None:
    here = gc.get_freeze_count()
    assert named(f"{module}.collects")() is False
    assert gc.isenabled()
    assert gc.get_freeze_count() > here


def test_a_module_that_is_loaded_changes_nothing_of_the_collector(module: str) -> None:
    named(f"{module}.collects")
    gc.unfreeze()
    named(f"{module}.collects")
    assert gc.get_freeze_count() == 0


def test_a_collector_that_is_off_stays_off(module: str) -> None:
    gc.disable()
    try:
        named(f"{module}.collects")
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_module_that_is_not_there_leaves_the_collector_on(module: str) -> None:
    here = gc.get_freeze_count()
    with pytest.raises(ImportError):
        named("made_for_late_and_never_written.run")
    assert gc.isenabled()
    assert gc.get_freeze_count() == here
