"""Problems that differ in numbers alone: found, paired wording by wording, and none that was seen."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undertext.measures.trace.perturbed import matched, wording
from undertext.tasks import Problem


def asked(texts: list[str]) -> list[Problem]:
    return [Problem(id=str(k), split="test", prompt=text, answer="1") for k, text in enumerate(texts)]


def test_the_case_of_the_docs():
    seen = asked(["2 apples and 3", "4 apples and 5", "how many?"])
    fresh = asked(["7  apples and 1,250", "2 apples and 3", "6 pears", "how many?"])
    # One of two: 4 apples and 5 finds no other, since a fresh problem is used once.
    assert matched(seen, fresh, 9) == ([0], [0])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("b = 2 ; c = b + 3", "b = # ; c = b + #"),
        ("1,250.50 and 3", "# and #"),
        ("x3", "x#"),
        ("none", "none"),
    ],
)
def test_a_wording_is_a_text_without_its_numbers(text, wanted):
    assert wording(text) == wanted


TEXTS = st.lists(
    st.sampled_from([f"{a} {word} {b}" for a in (1, 22) for word in "xyz" for b in (3, 4)]), max_size=20
)


@given(TEXTS, TEXTS, st.integers(0, 12))
def test_of_each_wording_as_many_of_either(seen, fresh, most):
    own, other = asked(seen), asked(fresh)
    found = matched(own, other, most)
    assert len(found.seen) == len(found.fresh) <= most
    assert len(set(found.fresh)) == len(found.fresh)
    kinds = [
        Counter(wording(texts[i]) for i in index)
        for texts, index in ((seen, found.seen), (fresh, found.fresh))
    ]
    assert kinds[0] == kinds[1]
    assert not {fresh[j] for j in found.fresh} & set(seen)
    new = Counter(wording(text) for text in fresh if text not in set(seen))
    whole = sum((Counter(map(wording, seen)) & new).values())
    assert len(found.seen) == min(most, whole)
