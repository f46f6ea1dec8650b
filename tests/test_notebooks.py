"""Every notebook runs from top to bottom and holds what it shows: found by a glob, so that none rots."""

import json
import re

import nbformat
import pytest
from nbclient.exceptions import CellTimeoutError

from tests.notebooks import NOTEBOOKS, RAN, digest, kinds, run, shown

KIB = 2**10
ALL, EACH = 1024, 256
"""KiB that the notebooks may take in git, together and each."""
OF_A_MACHINE = re.compile(r"/(?:tmp|home|root|Users|private)/")


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_holds_what_a_run_of_these_cells_showed(path):
    """So that a reader on the web sees it. `python -m tests.notebooks --write NAME` writes it."""
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert notebook.metadata.get(RAN) == digest(notebook), (
        f"run python -m tests.notebooks --write {path.stem}"
    )
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    whole = kinds([cell.outputs for cell in code])
    held = shown(notebook)
    assert whole == kinds(held), "progress, warnings or a form in words are kept"
    outputs = [output for cell in held for output in cell]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert [output for output in outputs if output["output_type"] == "error"] == []
    assert OF_A_MACHINE.findall(re.sub(r'"image/png": "[^"]*"', "", json.dumps(outputs))) == []


def test_they_are_small():
    sizes = {path.stem: path.stat().st_size / KIB for path in NOTEBOOKS}
    assert {name: size for name, size in sizes.items() if size > EACH} == {}
    assert sum(sizes.values()) <= ALL


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_what_is_kept(path, tmp_path):
    """The time that each takes is printed by `make notebooks`; a notebook that does not end fails."""
    notebook = nbformat.read(path, as_version=4)
    kept = kinds(shown(notebook))
    run(notebook, tmp_path)
    assert kinds(shown(notebook)) == kept


def test_what_is_printed_stands_in_one_piece():
    def printed(text, name="stdout"):
        return nbformat.v4.new_output("stream", name=name, text=text)

    picture = nbformat.v4.new_output("display_data", {"text/plain": "a figure"})
    outputs = [printed("a"), printed("1%", "stderr"), printed("b\n"), picture, printed("c")]
    cell = nbformat.v4.new_code_cell("", outputs=outputs)
    (found,) = shown(nbformat.v4.new_notebook(cells=[cell]))
    assert [output.get("text") for output in found] == ["ab\n", None, "c"]
    assert kinds([found]) == [["stream", ["text/plain"], "stream"]]


@pytest.mark.slow
def test_one_that_does_not_end_fails(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.notebooks.HUNG", 2)
    cells = [nbformat.v4.new_code_cell(source) for source in ("1 + 1", "while True: pass")]
    with pytest.raises(CellTimeoutError):
        run(nbformat.v4.new_notebook(cells=cells), tmp_path)
    assert cells[0].outputs[0].data["text/plain"] == "2"
