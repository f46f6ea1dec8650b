"""Guards against folders of the user's that take the place of undertext's own packages."""

from collections.abc import Iterable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path


def check_not_shadowed(packages: Iterable[str], home: Path) -> None:
    """Raises one ImportError naming every package that Python would not import from the folder `home`.

    Nothing is imported: only where an import would lead is looked up.
    """
    home = home.resolve()
    elsewhere = []
    for package in packages:
        place = _place(find_spec(package))
        if place is None:
            elsewhere.append(f"`{package}` is nowhere to be found (install undertext anew)")
        elif place.parent.resolve() != home:
            elsewhere.append(
                f"`{package}` is taken by {place} (rename it, or start Python from another folder)"
            )
    if elsewhere:
        raise ImportError(
            f"undertext needs its own packages, those in {home}, but " + " and ".join(elsewhere)
        )


def _place(spec: ModuleSpec | None) -> Path | None:
    """The folder of a package, or the file of a plain module."""
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.origin else None
