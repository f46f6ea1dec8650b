"""What `import undertext` does, each time in a fresh interpreter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import undertext

HOME = Path(undertext.__file__).parents[1]


def run(code: str, folder: Path = HOME) -> subprocess.CompletedProcess[str]:
    """Runs `code` in `folder`, which comes first on sys.path; undertext comes after it, as when installed."""
    env = os.environ | {"PYTHONPATH": str(HOME)}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True)


def test_heavy_libraries_wait_until_used():
    loaded = run("import sys, undertext; print(*sys.modules)").stdout.split()
    assert "undertext" in loaded
    heavy = {"torch", "transformers", "transformer_lens", "sae_lens", "numpy", "matplotlib", "pydantic"}
    assert heavy.isdisjoint(loaded)


@pytest.mark.parametrize("name", undertext.__all__)
def test_every_public_name_loads(name):
    assert getattr(undertext, name).__name__ == name


def test_a_misspelt_name_lists_the_valid_ones():
    with pytest.raises(AttributeError, match=r"'comparre'; it has .*compare"):
        undertext.comparre  # noqa: B018 (the access is what is tested)


@pytest.mark.parametrize("shadow", ["probes/__init__.py", "probes.py"])
def test_a_shadowed_package_is_named_in_one_error(tmp_path, shadow):
    file = tmp_path / shadow
    file.parent.mkdir(exist_ok=True)
    file.write_text("raise SystemExit('the check must not import it')")
    done = run("import undertext", tmp_path)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: undertext needs its own packages")
    assert str(file.parent if file.name == "__init__.py" else file) in last


def test_every_shadowed_package_is_named(tmp_path):
    for name in ["saes", "steering"]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    last = run("import undertext", tmp_path).stderr.strip().splitlines()[-1]
    assert str(tmp_path / "saes") in last
    assert str(tmp_path / "steering") in last
    assert "probes" not in last


def test_a_data_folder_of_the_same_name_shadows_nothing(tmp_path):
    (tmp_path / "probes").mkdir()
    (tmp_path / "probes" / "weights.bin").touch()
    done = run("import undertext", tmp_path)
    assert done.returncode == 0, done.stderr
