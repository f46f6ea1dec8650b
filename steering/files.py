"""Steering vectors as safetensors files, each with a card that a person can read."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import safe_open
from safetensors.torch import save

from undertext.activations.errors import UserError
from undertext.activations.files import check_safetensors, one_line
from undertext.activations.hookpoint import Site
from undertext.activations.store.disk import replace_file
from undertext.steering.steering_vector import SteeringVector

CARD = "undertext.steering_vector"
"""The key in a file's header under which the card stands, as JSON."""


class Card(BaseModel):
    """What a file says of a vector beside its tensors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    made: str
    trained: bool | None
    sources: tuple[str, ...]
    site: Site
    absent: tuple[int, ...]

    @classmethod
    def of(cls, vector: SteeringVector) -> "Card":
        """The card of a vector."""
        return cls(
            name=vector.name,
            made=vector.made,
            trained=vector.trained,
            sources=vector.sources,
            site=vector.site,
            absent=tuple(sorted(vector.absent)),
        )

    @classmethod
    def read(cls, text: str | None, path: Path) -> "Card":
        """The card in this text; UserError naming the file when it is none."""
        if text is None:
            raise UserError(f"{path} is no steering vector: its header has no {CARD!r}")
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise UserError(f"the card in {path} cannot be read: {one_line(error)}") from error

    def vector(self, **tensors: Any) -> SteeringVector:
        """The vector of which this is the card."""
        return SteeringVector(**{**dict(self), "absent": frozenset(self.absent)}, **tensors)


def save_vector(vector: SteeringVector, path: str | Path) -> None:
    """Write a vector to `path` (.safetensors), and what is to be known of it in Markdown beside it (.md).

    Each file is whole or not there. The card also stands in the safetensors header, and from there alone
    it is read. UserError when the name does not end in .safetensors or the disk refuses.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise UserError(f"a steering vector is saved as .safetensors, got {path.name!r}")
    tensors = {"directions": vector.directions, "norms": vector.norms}
    if vector.centre is not None:
        tensors["centre"] = vector.centre
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = save(whole, {CARD: Card.of(vector).model_dump_json()})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, [content])
        replace_file(path.with_suffix(".md"), [_readable(vector).encode()])
    except OSError as error:
        raise UserError(f"cannot write {path}: {one_line(error)}") from error


def load_vector(path: str | Path) -> SteeringVector:
    """The vector that `save_vector` wrote; UserError when the file is damaged or holds something else."""
    path = Path(path)
    names = set(check_safetensors(path))
    with safe_open(path, framework="pt") as opened:
        card = Card.read((opened.metadata() or {}).get(CARD), path)
        if not {"directions", "norms"} <= names <= {"directions", "norms", "centre"}:
            raise UserError(f"{path} should hold directions and norms, it holds {', '.join(sorted(names))}")
        tensors = {name: opened.get_tensor(name) for name in names}
    if tensors["directions"].ndim != 2:
        raise UserError(
            f"{path}: expected directions [layer, d_model], got {list(tensors['directions'].shape)}"
        )
    return card.vector(**tensors)


def _readable(vector: SteeringVector) -> str:
    """The card in Markdown."""
    trained = {True: "yes, with the weights frozen", False: "no", None: "not known"}[vector.trained]
    doses = vector.doses.tolist()
    rows = "\n".join(
        f"| {layer} | {float(vector.directions[layer].norm()):.4g} | {float(vector.norms[layer]):.4g} "
        f"| {doses[layer]:.4g} |"
        for layer in vector.layers
    )
    return (
        f"# {vector.name}\n\n"
        "A steering vector: a direction in a model's activations at each layer.\n\n"
        f"- Made: {vector.made}\n"
        f"- Trained: {trained}\n"
        f"- From the activations of: {', '.join(vector.sources) or 'no checkpoint'}\n"
        f"- Site: `{vector.site}`, width {vector.directions.shape[1]}, {len(vector.directions)} layers\n\n"
        "A dose of 1 adds the direction at the length of the norm.\n\n"
        f"| layer | length | norm | dose at its own length |\n|---|---|---|---|\n{rows}\n"
    )
