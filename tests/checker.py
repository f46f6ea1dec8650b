"""The check of annotated signatures that tests run under: types by beartype, shapes by jaxtyping.

jaxtyping has an import hook of its own. It binds arguments anew and checks them twice at every call, and has
what the packages import of others compiled from source: together a third of all time in tests.
"""

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

_by_type = beartype(conf=BeartypeConf(violation_type=jaxtyping.TypeCheckError))
_shapes = jaxtyping.jaxtyped("context")  # it holds nothing: one serves all


def checked(decorated: Any) -> Any:
    """The function, with its arguments and result checked: equal letters of shapes are equal within a call.

    Left to jaxtyping are classes, generators (what they yield comes after the context has ended) and
    annotations written as strings, which it does not check where they name what is not there.
    """
    plain = inspect.isfunction(decorated) and not inspect.isgeneratorfunction(decorated)
    if not plain or any(isinstance(hint, str) for hint in decorated.__annotations__.values()):
        return jaxtyping.jaxtyped(decorated, typechecker=beartype)
    check: Callable[..., Any] = _by_type(decorated)
    if check is decorated:  # nothing is annotated
        return decorated

    @wraps(decorated)
    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if jaxtyping.config.jaxtyping_disable:
            return decorated(*args, **kwargs)
        with _shapes:
            return check(*args, **kwargs)

    return call


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
