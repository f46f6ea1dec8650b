"""The best vector of a search as a file."""

from pathlib import Path
from typing import Literal

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.measures.recovery.search import SteeringSearch
from undertext.steering import export_gguf, save_vector
from undertext.steering.gguf_files import load_gguf

Format = Literal["gguf", "safetensors"]


def check_export(form: Format, out: Path | None) -> None:
    """Refuse at the start what would fail at the end."""
    if out is None:
        raise UserError("export needs a folder `out` to write the vector to")
    if form == "gguf":
        load_gguf()


def export(form: Format, searched: SteeringSearch, weaker: Checkpoint, out: Path) -> str:
    """Write the best vector, or random direction where there is none, to `out`/vector.FORM.

    As a control vector of llama.cpp it is the direction at the chosen layer and dose; as safetensors it is
    the whole vector, of which the note says where it did best. Returns a note on what was written, or why
    not.
    """
    setting = searched.best[searched.best_vector or searched.strongest]
    vector = next(v for v in searched.candidates.vectors if v.name == setting.vector)
    path = out / f"vector.{form}"
    if form == "safetensors":
        save_vector(vector, path)
        where = ", ".join(map(str, setting.layers))
        return (
            f"{path.name} holds {vector.name!r} at all its layers; chosen were layer {where}, dose "
            f"{setting.dose:g}, {setting.operator} at {setting.gate}"
        )
    if setting.operator != "add":
        return f"{path.name} was not written: llama.cpp adds a vector, and {setting.operator} did best here"
    try:
        export_gguf(
            vector,
            path,
            model_type=str(weaker.model.config.model_type),
            dose=setting.dose,
            layers=setting.layers,
        )
    except UserError as error:
        return f"{path.name} was not written: {error}"
    return f"{path.name} holds {vector.name!r} at its chosen layer and dose; llama.cpp adds it at every token"
