"""The check that a notebook's two forms say the same."""

import subprocess
import sys
from pathlib import Path

import jupytext
import pytest

CHECK = Path(__file__).parents[1] / ".ci" / "check_notebooks.py"
TEXT = "# %% [markdown]\n# # Title\n\n# %%\nx = 1\nx\n"


@pytest.fixture
def pair(tmp_path):
    (tmp_path / "01_pair.py").write_text(TEXT)
    jupytext.write(jupytext.reads(TEXT, fmt="py:percent"), tmp_path / "01_pair.ipynb")
    return tmp_path


def check(folder):
    done = subprocess.run([sys.executable, CHECK, folder], capture_output=True, text=True)
    return done.returncode, done.stderr


def test_an_equal_pair_passes(pair):
    assert check(pair) == (0, "")


@pytest.mark.parametrize(
    ("old", "new"), [("x = 1", "x = 2"), ("Title", "Other"), ("# %%\n", "# %% [markdown]\n")]
)
def test_a_difference_is_named(pair, old, new):
    (pair / "01_pair.py").write_text(TEXT.replace(old, new))
    status, said = check(pair)
    assert status == 1
    assert "01_pair.ipynb differs from" in said


@pytest.mark.parametrize("form", [".py", ".ipynb"])
def test_a_missing_form_is_named(pair, form):
    (pair / "01_pair").with_suffix(form).unlink()
    status, said = check(pair)
    assert status == 1
    assert f"01_pair{form} is missing" in said
