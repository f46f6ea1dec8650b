"""The check of annotated signatures that tests run under: types by beartype, shapes by jaxtyping.

jaxtyping has an import hook of its own. It binds arguments anew and checks them twice at every call, and has
what the packages import of others compiled from source: together a third of all time in tests.
"""

import ast
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

_by_type = beartype(conf=BeartypeConf(violation_type=jaxtyping.TypeCheckError))
_shapes = jaxtyping.jaxtyped("context")  # it holds nothing: one serves all
_inner_checks: dict[int, tuple[bool, Callable[..., Any], CodeType]] = {}
"""Checks of functions that stand in others: such a function is made anew at every call, of the same code.

By the code's id, which is held so that it stays: codes are equal that come from different files.
"""


class _Local(threading.local):
    """Sent to another process, it is an empty one there: a check goes with a function to a Ray cluster."""

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return threading.local, ()


_waiting = _Local()
"""Inner functions that were called and whose arguments are being checked."""


def checked(decorated: Any) -> Any:
    """The function or class, with its arguments and result checked: equal letters are equal within a call.

    Of a class this is the `__init__` that a dataclass is given; methods are functions. A context, in which
    letters are looked up, is made only for a function that names shapes. Left to jaxtyping are generators of
    shapes (what they yield comes after the context has ended) and annotations written as strings, which it
    does not check where they name what is not there.
    """
    if inspect.isclass(decorated):
        made = vars(decorated).get("__dataclass_params__")
        if made is not None and made.init:
            setattr(decorated, "__init__", checked(vars(decorated)["__init__"]))  # noqa: B010
        return decorated
    if not decorated.__annotations__:
        return decorated
    inner = "<locals>" in decorated.__qualname__
    code = decorated.__code__
    if inner and id(code) in _inner_checks:
        return _call_of(decorated, *_inner_checks[id(code)][:2], inner=True)
    hints = list(decorated.__annotations__.values())
    # "~" begins a type variable, which may stand for a shape.
    shaped = any("jaxtyping" in text or "~" in text for text in map(repr, hints))
    if any(isinstance(hint, str) for hint in hints) or (shaped and inspect.isgeneratorfunction(decorated)):
        return jaxtyping.jaxtyped(decorated, typechecker=beartype)
    if not inner:
        return _call_of(decorated, shaped, _by_type(decorated))

    check = _check_of_inner(decorated)
    _inner_checks[id(code)] = shaped, check, code
    return _call_of(decorated, shaped, check, inner=True)


def _check_of_inner(decorated: Callable[..., Any]) -> Callable[..., Any]:
    """The check of a function that stands in another; it keeps nothing of what this one holds."""

    @wraps(decorated)
    def stand_in(*args: Any, **kwargs: Any) -> Any:
        return _waiting.functions.pop()(*args, **kwargs)

    check: Callable[..., Any] = _by_type(stand_in)
    del stand_in.__wrapped__  # its signature was read; what it holds is to be free
    return check


def _call_of(
    decorated: Callable[..., Any], shaped: bool, check: Callable[..., Any], *, inner: bool = False
) -> Callable[..., Any]:
    """What stands in place of a function: it has `check` look at what is given, and calls it."""

    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if jaxtyping.config.jaxtyping_disable:
            return decorated(*args, **kwargs)
        return check(*args, **kwargs)

    def call_with_shapes(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if jaxtyping.config.jaxtyping_disable:
            return decorated(*args, **kwargs)
        with _shapes:
            return check(*args, **kwargs)

    def call_inner(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if jaxtyping.config.jaxtyping_disable:
            return decorated(*args, **kwargs)
        if not hasattr(_waiting, "functions"):
            _waiting.functions = []
        before = len(_waiting.functions)
        _waiting.functions.append(decorated)
        try:
            with _shapes if shaped else nullcontext():
                return check(*args, **kwargs)
        finally:
            del _waiting.functions[before:]  # refused, it was not taken

    return wraps(decorated)(call_inner if inner else call_with_shapes if shaped else call)


class _Loader(SourceFileLoader):
    """Compiles a module with `checked` innermost on each function and outermost on each class."""

    def get_code(self, fullname: str) -> CodeType:
        tree = ast.parse(self.get_data(self.path), self.path)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                where = len(node.decorator_list) if isinstance(node, ast.FunctionDef) else 0
                name = ast.copy_location(ast.Name("__checked__", ast.Load()), node)
                node.decorator_list.insert(where, name)
        code: CodeType = compile(tree, self.path, "exec", dont_inherit=True)
        return code

    def exec_module(self, module: Any) -> None:
        vars(module)["__checked__"] = checked
        super().exec_module(module)


class _Finder(MetaPathFinder):
    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname.partition(".")[0] != "undertext":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def install() -> None:
    """Have all modules of the packages checked; call it before the first is imported."""
    assert "undertext" not in sys.modules
    sys.meta_path.insert(0, _Finder())


@contextmanager
def signatures_unchecked() -> Iterator[None]:
    """Users have no type checker: what they are told then comes from the functions themselves."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
