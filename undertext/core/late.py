"""Functions whose modules, and the libraries that these need, are loaded once they are called for."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any


def named(name: str) -> Any:
    """The function of a full name. ImportError and AttributeError where there is none."""
    module, _, own = name.rpartition(".")
    if module in sys.modules:
        return getattr(sys.modules[module], own)
    with _staying():
        loaded = import_module(module)
    return getattr(loaded, own)


@contextmanager
def _staying() -> Iterator[None]:
    """Run the body, after which the garbage collector passes over all objects that there are.

    Libraries make half a million objects that stay to the end. The collector goes over them again and again
    as they load, and at every full collection later: a tenth of a short command's processor time.
    """
    works = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if works:
            gc.enable()
    gc.freeze()  # with what is garbage by now: little, and to look for it takes as long as to load a library
