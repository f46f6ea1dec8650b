"""The check of annotated signatures that tests run under, and how it is switched off.

jaxtyping's import hook puts `jaxtyping.jaxtyped` on every function of the packages. Its own form binds the
arguments anew and checks them twice at every call, which took half of all time in tests. This one checks the
same with one wrapper: beartype's, in a context of shapes of its own.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

_jaxtyped = jaxtyping.jaxtyped
_beartype = beartype(conf=BeartypeConf(violation_type=jaxtyping.TypeCheckError))
_context = _jaxtyped("context")  # holds nothing: one serves all


def checked(function: Any = None, *, typechecker: Any) -> Any:
    """A function whose arguments and result are checked, equal letters of their shapes included.

    Classes and generators are left to jaxtyping: what a generator yields comes after the context has ended.
    """
    if function is None:
        return lambda function: checked(function, typechecker=typechecker)
    if not inspect.isfunction(function) or inspect.isgeneratorfunction(function):
        return _jaxtyped(function, typechecker=typechecker)
    check: Callable[..., Any] = _beartype(function)
    if check is function:  # nothing is annotated
        return function

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if jaxtyping.config.jaxtyping_disable:
            return function(*args, **kwargs)
        with _context:
            return check(*args, **kwargs)

    return call


def install() -> None:
    """Have jaxtyping's hook use `checked`; before the first import of a package that it checks."""
    vars(jaxtyping)["jaxtyped"] = checked


@contextmanager
def signatures_unchecked() -> Iterator[None]:
    """Users have no type checker: what they are told then comes from the functions themselves."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
