"""The shape of the repository, as far as git knows it."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {"activations", "probes", "saes", "steering", "undertext", "configs", "notebooks", "tests"}
FOLDERS |= {"benchmarks", "docs"}
CODE = {".py", ".js", ".css", ".html", ".jinja", ".j2", ".toml", ".yaml"}
MIB = 2**20


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Every tracked file that is still in the work tree, relative to the root."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [Path(name) for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    assert files, "git tracks nothing here: add the files first"
    return files


def is_binary(path: Path) -> bool:
    """Git's own rule: a NUL byte among the first 8000."""
    with path.open("rb") as file:
        return b"\0" in file.read(8000)


def test_the_folders_at_the_root_are_those_of_the_design(tracked):
    found = {path.parts[0] for path in tracked if len(path.parts) > 1}
    assert {name for name in found if not name.startswith(".")} <= FOLDERS


def test_code_files_stay_small(tracked):
    lines = {path: len((ROOT / path).read_text().splitlines()) for path in tracked if path.suffix in CODE}
    assert {path: n for path, n in lines.items() if n >= 400} == {}


def test_binary_files_fit_in_git(tracked):
    sizes = {path: (ROOT / path).stat().st_size for path in tracked if is_binary(ROOT / path)}
    largest = sorted(sizes, key=lambda path: sizes[path])[-5:]
    assert sum(sizes.values()) <= 12 * MIB, f"largest: {largest}"
