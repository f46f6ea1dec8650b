"""Calling our functions with what the type checker, which tests run under, would refuse first."""

from collections.abc import Iterator
from contextlib import contextmanager

import jaxtyping


@contextmanager
def signatures_unchecked() -> Iterator[None]:
    """Users have no type checker: what they are told then comes from the functions themselves."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
