"""That the check which tests run under sees what it is there to see."""

import pytest
import torch
from jaxtyping import Float, TypeCheckError
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


def test_the_packages_are_under_it():
    with pytest.raises(TypeCheckError):
        procrustes(torch.zeros(3), torch.zeros(3))
