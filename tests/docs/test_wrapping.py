"""The check that lines of the documentation are short enough to read in an editor."""

import subprocess
import sys

import pytest

from tests.imports import ROOT

WRAP = ROOT / ".ci" / "wrap_docs.py"
WORDS = " ".join(f"word{i}" for i in range(30))
CODE = "`undertext compare --base zoo:base --tuned zoo:elicited`"


def wrap(*args):
    done = subprocess.run([sys.executable, WRAP, *args], capture_output=True, text=True)
    return done.returncode, done.stderr


@pytest.fixture
def page(tmp_path):
    return tmp_path / "page.md"


def test_long_paragraphs_and_items_are_wrapped_and_nothing_else_is_changed(page):
    kept = [
        f"# {WORDS}", "", f"| {WORDS} |", "|---|", "", "```text", WORDS, "- a", "```", "", f"    {WORDS}", "",
        f"![{WORDS}](a.svg)", "", "::: package", "    options:", f"      members: [{WORDS}]", "",
        "a short", "paragraph", "", "- short", "  item",
    ]  # fmt: skip
    page.write_text("\n".join([*kept, f"- {WORDS} {CODE}", "  goes on", "", WORDS]) + "\n")
    assert wrap("--check", page)[0] == 1
    assert wrap(page) == (0, "")
    lines = page.read_text().splitlines()
    assert lines[: len(kept)] == kept
    new = lines[len(kept) :]
    assert max(map(len, new)) <= 120
    assert new[0].startswith("- word0")
    gap = new.index("")
    assert all(line.startswith("  word") or line.startswith("  `") for line in new[1:gap])
    assert any(CODE in line for line in new)
    assert " ".join(line.strip() for line in new[:gap]) == f"- {WORDS} {CODE} goes on"
    assert " ".join(new[gap + 1 :]) == WORDS
    assert wrap("--check", page) == (0, "")


def test_a_long_line_is_named(page):
    page.write_text(f"fine\n\n{WORDS}\n")
    status, said = wrap("--check", page)
    assert status == 1
    assert f"{page}: word0" in said
    assert "1 paragraphs are to be wrapped" in said
    assert page.read_text() == f"fine\n\n{WORDS}\n"


def test_what_cannot_be_broken_is_left_as_it_is(page):
    page.write_text(f"see [this](https://example.org/{'x' * 130}) there\n")
    wrap(page)
    first = page.read_text()
    assert wrap("--check", page) == (0, "")
    wrap(page)
    assert page.read_text() == first
