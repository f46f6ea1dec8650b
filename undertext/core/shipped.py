"""What comes with the package: the organisms behind `zoo:` names, and the files of configs/."""

from importlib.resources import files
from pathlib import Path

from undertext.activations.errors import UserError

ZOO = "zoo:"
"""Beginning of a name that stands for something shipped: `zoo:elicited`, `zoo:chain`."""
CARD = "organism.json"
"""The file that makes a folder an organism's."""
SHIPPED = Path(str(files("undertext"))) / "organisms" / "zoo"
"""Folder of the shipped organisms."""


def organisms(folder: Path = SHIPPED) -> dict[str, Path]:
    """Folders of the organisms directly under `folder`, by name, in alphabetical order."""
    return {card.parent.name: card.parent for card in sorted(folder.glob(f"*/{CARD}"))}


def zoo(name: str) -> Path:
    """The folder of a shipped organism. Raises UserError naming those there are."""
    shipped = organisms()
    if name not in shipped:
        raise UserError(f"no organism {name!r} in the shipped zoo; there are: {', '.join(shipped)}")
    return shipped[name]


def config_file(name: str) -> Path:
    """A file of configs/, from the checkout or from the installed package."""
    package = Path(str(files("undertext"))).resolve()  # an editable install comes here by a link
    for folder in (package / "_configs", package.parent / "configs"):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"configs/{name} is missing from the installation of undertext at {package}")
