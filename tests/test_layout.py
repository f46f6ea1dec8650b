"""The shape of the repository, as far as git knows it."""

import ast
import subprocess
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

import pytest

from tests.imports import GROUND_AND_WINGS, ROOT, import_graph, imported_names, module_files

FOLDERS = {*GROUND_AND_WINGS, "undertext", "configs", "notebooks", "tests", "benchmarks", "docs"}
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


def lines(path: Path) -> int:
    return len((ROOT / path).read_text().splitlines())


def test_the_folders_at_the_root_are_those_of_the_design(tracked):
    found = {path.parts[0] for path in tracked if len(path.parts) > 1}
    assert {name for name in found if not name.startswith(".")} <= FOLDERS


@pytest.mark.parametrize("name", GROUND_AND_WINGS)
def test_ground_and_wings_are_linked_into_the_package(name):
    assert (ROOT / "undertext" / name).readlink() == Path("..") / name


def test_code_files_stay_small(tracked):
    sizes = {path: lines(path) for path in tracked if path.suffix in CODE}
    assert {path: n for path, n in sizes.items() if n >= 400} == {}
    packages = [n for path, n in sizes.items() if path.suffix == ".py" and path.parts[0] != "tests" and n > 1]
    assert median(packages) < 130


def test_no_file_imports_one_that_imports_it():
    try:
        TopologicalSorter(import_graph()).prepare()
    except CycleError as error:
        pytest.fail("imported in a circle: " + " <- ".join(error.args[1]))


def test_helpers_are_not_imported_from_tests():
    wrong = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in module_files().values()
        for name in imported_names(file)
        if any(part.startswith("test_") for part in name.split(".")[:-1]) and name.startswith("tests.")
    ]
    assert wrong == []


def test_no_test_sleeps():
    """Waiting for a time is too short on a busy machine and too long on others: wait for an event."""
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in (ROOT / "tests").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.sleep", "sleep")
    ]
    assert wrong == []


def test_binary_files_fit_in_git(tracked):
    sizes = {path: (ROOT / path).stat().st_size for path in tracked if is_binary(ROOT / path)}
    largest = sorted(sizes, key=lambda path: sizes[path])[-5:]
    assert sum(sizes.values()) <= 12 * MIB, f"largest: {largest}"
