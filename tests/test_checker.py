"""That the check which tests run under sees what it is there to see."""

import gc
import pickle
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from jaxtyping import Float, TypeCheckError
from ray import cloudpickle
from torch import Tensor

from tests.checker import checked, signatures_unchecked
from undertext.probes import procrustes


@checked
def product(left: Float[Tensor, "a b"], right: Float[Tensor, "b c"]) -> Float[Tensor, "a c"]:
    return left @ right if left.shape[0] > 1 else torch.zeros(9, 9)


@checked
def of_both(pair: list[Float[Tensor, "a b"]]) -> Float[Tensor, "b b"]:
    """Its letters are not those of the function that it calls."""
    return product(pair[0].T, pair[1]).T


def test_equal_letters_are_equal_sizes():
    assert product(torch.zeros(2, 3), torch.zeros(3, 4)).shape == (2, 4)
    assert of_both([torch.zeros(3, 2), torch.zeros(3, 2)]).shape == (2, 2)
    for left, right in (((2, 3), (4, 4)), ((1, 3), (3, 4)), ((2, 3, 1), (3, 4))):
        with pytest.raises(TypeCheckError):
            product(torch.zeros(left), torch.zeros(right))
    with pytest.raises(TypeCheckError):
        product(torch.zeros(2, 3).long(), torch.zeros(3, 4))
    with signatures_unchecked():
        assert product(torch.zeros(1, 3), torch.zeros(3, 4)).shape == (9, 9)


@checked
def adding(number: int) -> Callable[..., int]:
    @checked
    def added(to: int, *, times: int = 1) -> int:
        return to if times == 0 else number + added(to, times=times - 1)

    return added


def test_functions_that_stand_in_others_travel_as_parts_of_jobs_do():
    sent = pickle.loads(cloudpickle.dumps(adding(2)))
    assert sent(1, times=3) == 7
    with pytest.raises(TypeCheckError):
        sent("1")


def test_functions_that_stand_in_others_are_checked_and_keep_to_their_own():
    two, three = adding(2), adding(3)
    for _ in range(2):
        assert (two(1), three(1), two(1, times=3), three(1, times=2)) == (3, 4, 7, 7)
        with pytest.raises(TypeCheckError):
            two("1")
        with pytest.raises(TypeCheckError):
            three(1, times=2.0)
        with pytest.raises(TypeError, match="unexpected keyword"):
            two(1, of=3)


def test_a_check_that_is_kept_keeps_nothing_that_a_function_held():
    class Held: ...

    def made() -> tuple[Callable[[int], int], weakref.ref[Held]]:
        held = Held()

        @checked
        def function(number: int) -> int:
            return number if held else 0

        return function, weakref.ref(held)

    function, held = made()
    assert (function(3), held() is None) == (3, False)
    del function
    gc.collect()
    assert held() is None


@checked
def counted(most: int) -> Iterator[int]:
    yield from range(most)


@checked
def rows_of(matrix: Float[Tensor, "a b"]) -> Iterator[Float[Tensor, " b"]]:
    yield from matrix


def test_what_generators_are_given_is_checked():
    assert list(counted(3)) == [0, 1, 2]
    assert len(list(rows_of(torch.zeros(2, 3)))) == 2
    with pytest.raises(TypeCheckError):
        list(counted("3"))
    with pytest.raises(TypeCheckError):
        list(rows_of(torch.zeros(3)))


@checked
@dataclass(frozen=True)
class Line:
    slope: Float[Tensor, "a b"]
    offset: Float[Tensor, " b"]
    name: str = "a line"

    @checked
    def at(self, x: Float[Tensor, "n a"]) -> Float[Tensor, "n b"]:
        return x @ self.slope + self.offset


def test_fields_of_a_dataclass_are_checked():
    assert Line(torch.zeros(2, 3), torch.zeros(3)).at(torch.zeros(5, 2)).shape == (5, 3)
    with pytest.raises(TypeCheckError):
        Line(torch.zeros(2, 3), torch.zeros(2))
    number: Any = 3
    with pytest.raises(TypeCheckError):
        Line(torch.zeros(2, 3), torch.zeros(3), name=number)
    with signatures_unchecked():
        Line(torch.zeros(2, 3), torch.zeros(2), name=number)


def test_the_packages_are_under_it():
    with pytest.raises(TypeCheckError):
        procrustes(torch.zeros(3), torch.zeros(3))
