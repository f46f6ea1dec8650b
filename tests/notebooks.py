"""Notebooks run from top to bottom, and kept with what they show.

A reader on the web sees what a notebook file holds. After a change of a notebook, or of what one shows:

    python -m tests.notebooks --write [NAME ...]

writes each notebook's `.ipynb` from its text form, with its outputs.
"""

import base64
import hashlib
import io
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import jupytext
import nbclient
import nbformat
from PIL import Image

from tests.imports import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
HUNG = 900
"""Seconds after which a notebook is taken to wait for ever: many times what any takes."""
COLOURS = 64
"""Of an image. The figures have flat colours: with more they look the same."""
RAN = "ran"
"""Where the metadata of an `.ipynb` say what was run: the digest of its cells."""


def run(notebook: Any, folder: Path) -> float:
    """Execute all cells in a new kernel whose folder is `folder`; the seconds taken.

    Outputs are put into the cells. nbclient's CellExecutionError for an error, CellTimeoutError for a
    notebook that does not end.
    """
    start = perf_counter()
    nbclient.NotebookClient(
        notebook,
        timeout_func=lambda cell: max(
            1, HUNG - int(perf_counter() - start)
        ),  # of the notebook, not of each cell
        record_timing=False,
        resources={"metadata": {"path": folder}},
    ).execute()
    return perf_counter() - start


def shown(notebook: Any) -> list[list[Any]]:
    """For each cell of code, what a reader should see, made small: no progress and no warnings.

    What is printed stands in one piece: a kernel sends it in as many as it has time for.
    """
    return [_joined(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"]


def kinds(outputs: list[list[Any]]) -> list[list[Any]]:
    """What kind each output is of: which media types, or which stream."""
    return [[sorted(output.get("data", {})) or output["output_type"] for output in cell] for cell in outputs]


def digest(notebook: Any) -> str:
    """Of the sources of all cells."""
    sources = [cell.source.strip() for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()[:16]


def _joined(outputs: list[Any]) -> list[Any]:
    found: list[Any] = []
    for output in outputs:
        if _passing(output):
            continue
        if found and output["output_type"] == found[-1]["output_type"] == "stream":
            found[-1] = nbformat.from_dict({**found[-1], "text": found[-1]["text"] + output["text"]})
        else:
            found.append(_small(output))
    return found


def _passing(output: Any) -> bool:
    """Whether an output is of the moment: a bar of progress, or what went to standard error."""
    html = "".join(output.get("data", {}).get("text/html", ""))
    return html.startswith("<progress ") or output.get("name") == "stderr"


def _small(output: Any) -> Any:
    """The output with images of few colours, and with no second form in words of what is shown in HTML."""
    data = output.get("data", {})
    if "text/html" in data:
        data.pop("text/plain", None)
    if "image/png" in data:
        image = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB")
        small = io.BytesIO()
        image.quantize(COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
        data["image/png"] = base64.b64encode(small.getvalue()).decode()
        output.metadata["image/png"] = {"width": image.width // 2, "height": image.height // 2}
    return output


def write(path: Path) -> float:
    """Run a notebook's text form and write its `.ipynb`; the seconds taken."""
    notebook: Any = jupytext.read(path.with_suffix(".py"))
    if path.exists():  # cells keep their ids, so that a change shows as one
        for new, old in zip(notebook.cells, nbformat.read(path, as_version=4).cells, strict=False):
            new["id"] = old["id"]
    with tempfile.TemporaryDirectory() as folder:
        metadata = dict(notebook.metadata)
        seconds = run(notebook, Path(folder))
    outputs = iter(shown(notebook))
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = next(outputs)
    metadata["jupytext"] = {"formats": "ipynb,py:percent"}
    notebook.metadata = nbformat.from_dict({**metadata, RAN: digest(notebook)})
    nbformat.write(notebook, path)
    return seconds


def main(args: list[str]) -> int:
    """Write the notebooks named, or all; print the seconds and the size of each."""
    names = {path.stem: path for path in NOTEBOOKS}
    if args[:1] != ["--write"] or not set(args[1:]) <= set(names):
        print(f"usage: python -m tests.notebooks --write [NAME ...], of {', '.join(names)}", file=sys.stderr)
        return 1
    for name in args[1:] or names:
        seconds = write(names[name])
        print(f"{name}: {seconds:.0f} s, {names[name].stat().st_size / 1024:.0f} KiB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
