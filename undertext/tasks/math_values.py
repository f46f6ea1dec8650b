"""What a piece of mathematics comes to: keys that two ways of writing one value share.

math-verify reads the LaTeX. Values are compared by what they come to, exactly where they are rational, to 12
digits where not, and where they hold variables, at points drawn for each name: so an answer can be looked up
among thousands, as `grade` needs, where a comparison pair by pair would take the square of them.
"""

import hashlib
import logging
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

MOST_DIGITS = 20_000
"""Digits of a number that is worked out."""
MOST_PARTS = 2000
"""Parts of an expression that is worked out."""
MOST_DENOMINATOR = 1000
"""Of a rational number that is told from its decimals alone."""
DIGITS = 12
"""To which values that are not rational are compared."""


class Value(NamedTuple):
    """What a content says."""

    keys: frozenset[str]
    """Any one shared makes two contents equal."""
    name: str | None = None
    """Of what it is the value: the x of `x = 5`."""
    decimal: str | None = None
    """For a decimal: its value to six places; for what decimals may stand for, `exact` is."""
    exact: str | None = None
    whole: frozenset[str] = frozenset()
    """Keys of the equation as a whole, of which `keys` are those of the right-hand side."""


def reader() -> Callable[[str], tuple[Any, ...]]:
    """Reads a content to a Value's fields, with empty keys for what cannot be read.

    For a process of its own (`worker.Worker`): nothing here bounds the time. RuntimeError without
    math-verify.
    """
    logging.disable(logging.CRITICAL)  # math-verify logs what it cannot parse
    try:
        from math_verify import LatexExtractionConfig, parse
    except ImportError as error:
        raise RuntimeError(f"math-verify cannot be imported: {error}") from error
    latex = [LatexExtractionConfig(boxed_match_priority=0)]
    parse(r"$\boxed{\frac{1}{2}x^2}$", latex, parsing_timeout=None)  # what is slow the first time alone

    def read(content: str) -> tuple[Any, ...]:
        found = parse(rf"$\boxed{{{content}}}$", latex, parsing_timeout=None)
        if not found or isinstance(found[0], str):
            return tuple(Value(frozenset()))
        return tuple(value_of(found[0]))

    return read


def value_of(expression: Any) -> Value:
    """The value of what sympy, or latex2sympy, holds."""
    import sympy

    if isinstance(expression, sympy.Eq):
        left, right = expression.lhs, expression.rhs
        if _named(right) and not _named(left):
            left, right = right, left
        whole = frozenset[str]()
        if isinstance(left, sympy.Expr) and isinstance(right, sympy.Expr):
            whole = frozenset({_or_spelt("equation", expression, _curve(left - right, signed=False))})
        if _named(left) or not (left.free_symbols or right.free_symbols):
            return value_of(right)._replace(name=str(left) if _named(left) else None, whole=whole)
        return Value(whole or frozenset({sympy.srepr(expression)}))
    if isinstance(expression, sympy.core.relational.Relational):
        left, right = expression.lhs, expression.rhs
        if isinstance(expression, sympy.Gt | sympy.Ge):
            left, right = right, left
        strict = isinstance(expression, sympy.Gt | sympy.Lt)
        kind = "less" if strict else "at most" if expression.rel_op in ("<=", ">=") else expression.rel_op
        keys = {_or_spelt(kind, expression, _curve(left - right, signed=kind != "!="))}
        if kind in ("less", "at most"):
            if isinstance(left, sympy.Symbol) and not right.free_symbols:
                keys |= value_of(sympy.Interval(-sympy.oo, right, True, strict)).keys
            elif isinstance(right, sympy.Symbol) and not left.free_symbols:
                keys |= value_of(sympy.Interval(left, sympy.oo, strict, True)).keys
        return Value(frozenset(keys))
    if type(expression).__name__ == "And":
        parts = [value_of(each) for each in expression.args]
        keys = {"and " + "; ".join(sorted(min(each.keys) for each in parts))}
        bounds = [_bounds(each) for each in expression.args]
        if len({str(each[0]) for each in bounds if each}) == 1 and all(bounds):
            both = sympy.Intersection(*(each[1] for each in bounds if each))
            if isinstance(both, sympy.Interval):
                keys |= value_of(both).keys
        return Value(frozenset(keys))
    if isinstance(expression, sympy.Interval):
        ends = [_only(expression.start), _only(expression.end)]
        marks = ("(" if expression.left_open else "[", ")" if expression.right_open else "]")
        keys = {f"{marks[0]}{ends[0]}, {ends[1]}{marks[1]}"}
        return Value(frozenset(keys))
    if isinstance(expression, sympy.Tuple | tuple):
        return Value(frozenset({f"({', '.join(_only(each) for each in expression)})"}))
    if isinstance(expression, sympy.FiniteSet) or type(expression).__name__ == "FiniteSet":
        members = list(expression.args)
        if len(members) == 1:
            return value_of(members[0])
        return Value(frozenset({"{" + ", ".join(sorted({_only(each) for each in members})) + "}"}))
    if isinstance(expression, sympy.Union):
        return Value(frozenset({" u ".join(sorted(_only(each) for each in expression.args))}))
    if isinstance(expression, sympy.MatrixBase):
        rows = [[_only(each) for each in row] for row in expression.tolist()]
        return Value(frozenset({str(rows)}))
    if isinstance(expression, sympy.Expr):
        return _number(expression)
    return Value(frozenset({sympy.srepr(expression)}))


def rational(numerator: int, denominator: int = 1, *, decimal: bool = False) -> Value:
    """The value of a rational number; `decimal` says that it was written as one, and may be rounded."""
    value = Fraction(numerator, denominator)
    places = None if value.denominator == 1 and not decimal else _places(float(value))
    key = f"{value.numerator}/{value.denominator}"
    return Value(frozenset({key}), None, places if decimal else None, None if decimal else places)


def _number(expression: Any) -> Value:
    import sympy
    from sympy.core.function import AppliedUndef

    if isinstance(expression, sympy.Mul) and sympy.UnevaluatedExpr(sympy.Rational(1, 100)) in expression.args:
        rest = sympy.Mul(
            *(each for each in expression.args if not isinstance(each, sympy.UnevaluatedExpr)), evaluate=False
        )
        whole, share = _number(rest), _number(rest * sympy.Rational(1, 100))
        return share._replace(keys=whole.keys | share.keys)
    spelt = Value(frozenset({sympy.srepr(expression)}))
    if _too_large(expression):
        return spelt
    expression = expression.subs({s: sympy.I for s in expression.free_symbols if s.name == "i"})
    if expression.free_symbols or expression.atoms(AppliedUndef):
        at = _curve(expression, signed=None)
        return spelt if at is None else Value(frozenset({f"expression {at}"}))
    floats = bool(expression.atoms(sympy.Float))
    if floats:  # as they were written
        expression = expression.xreplace(
            {each: sympy.Rational(str(each)) for each in expression.atoms(sympy.Float)}
        )
    expression = expression.doit()
    if isinstance(expression, sympy.Rational):
        return rational(int(expression.p), int(expression.q), decimal=floats)
    if expression in (sympy.oo, -sympy.oo):
        return Value(frozenset({str(expression)}))
    value = _complex(expression)
    if value is None:
        return spelt
    near = Fraction(value.real).limit_denominator(MOST_DENOMINATOR)
    if abs(value - float(near)) < 10.0**-DIGITS * max(1.0, abs(value)):  # (1 + sqrt 2)(sqrt 2 - 1)
        return rational(near.numerator, near.denominator, decimal=floats)
    return Value(frozenset({_written(value)}), None, None, _places(value.real) if not value.imag else None)


def _named(side: Any) -> bool:
    """Whether a side of an equation is a name: x, AB or f(x)."""
    import sympy
    from sympy.core.function import AppliedUndef

    factors = side.args if isinstance(side, sympy.Mul) else (side,)
    return all(isinstance(each, sympy.Symbol | AppliedUndef) for each in factors)


def _only(expression: Any) -> str:
    """One key of a part, with its name where it has one."""
    value = value_of(expression)
    return f"{value.name} = {min(value.keys)}" if value.name else min(value.keys)


def _bounds(expression: Any) -> Any:
    """The variable and the interval of a bound such as 1 < x, or None."""
    import sympy

    left, right = getattr(expression, "lhs", None), getattr(expression, "rhs", None)
    variable = left if isinstance(left, sympy.Symbol) else right
    bounding = isinstance(expression, sympy.Lt | sympy.Le | sympy.Gt | sympy.Ge)
    if left is None or right is None or not bounding or not isinstance(variable, sympy.Symbol):
        return None
    other = right if variable is left else left
    if other.free_symbols:
        return None
    strict = isinstance(expression, sympy.Lt | sympy.Gt)
    below = isinstance(expression, sympy.Lt | sympy.Le) == (variable is left)
    if below:
        return variable, sympy.Interval(-sympy.oo, other, True, strict)
    return variable, sympy.Interval(other, sympy.oo, strict, True)


def _too_large(expression: Any) -> bool:
    """Whether working it out takes more than a moment: a tower of powers, a factorial of a large number."""
    import sympy

    for count, each in enumerate(sympy.postorder_traversal(expression)):
        if count > MOST_PARTS:
            return True
        if isinstance(each, sympy.Pow) and not each.free_symbols:
            base, to = _complex(each.base), _complex(each.exp)
            if base is None or to is None or abs(to) * max(1, len(str(int(abs(base))))) > MOST_DIGITS:
                return True
        if isinstance(each, sympy.factorial | sympy.gamma | sympy.binomial) and not each.free_symbols:
            sizes = [_complex(part) for part in each.args]
            if any(size is None or abs(size) > 2000 for size in sizes):
                return True
    return False


def _complex(expression: Any) -> complex | None:
    try:
        value = complex(expression.evalf(2 * DIGITS))
    except (TypeError, ValueError, OverflowError, ZeroDivisionError, AttributeError):
        return None
    return value if abs(value) < 1e300 else None  # neither NaN nor infinity


def _curve(expression: Any, *, signed: bool | None) -> str | None:
    """What an expression comes to at three points; None where it comes to nothing at one of them.

    `signed` True leaves a positive factor out, False any factor, None none.
    """
    import sympy
    from sympy.core.function import AppliedUndef

    if _too_large(expression):
        return None
    functions = {
        each: sympy.Symbol(str(each.func)) + sum(each.args) for each in expression.atoms(AppliedUndef)
    }
    expression = expression.subs(functions)
    values = []
    for point in range(3):
        at = {s: _drawn(s.name, point) for s in expression.free_symbols}
        value = _complex(expression.subs(at).doit())
        if value is None:
            return None
        values.append(value)
    names = ",".join(sorted(s.name for s in expression.free_symbols))
    if signed is not None:
        if not values[0]:
            return None
        factor = values[0] if not signed else abs(values[0])
        values = [value / factor for value in values]
    return f"{names}: {'; '.join(map(_written, values))}"


def _drawn(name: str, point: int) -> Any:
    """Where a variable stands at a point: an ordinary number between a half and two and a half."""
    import sympy

    digest = hashlib.sha256(f"{point} {name}".encode()).digest()
    return sympy.Rational(int.from_bytes(digest[:4], "big"), 2**31) + sympy.Rational(1, 2)


def _or_spelt(kind: str, expression: Any, curve: str | None) -> str:
    import sympy

    return f"{kind} {sympy.srepr(expression) if curve is None else curve}"


def _written(value: complex) -> str:
    """To `DIGITS` digits; what is nothing beside the larger part is left out."""
    size = abs(value)
    parts = [0.0 if abs(part) < size * 10.0**-DIGITS else part for part in (value.real, value.imag)]
    return " ".join(f"{part:.{DIGITS - 1}e}" for part in parts)


def _places(value: float) -> str | None:
    """To six places; None where nothing is left."""
    text = f"{value:.6f}"
    return text if text.strip("-0.") else None
