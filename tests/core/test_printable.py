"""What a message shows of a foreign text cannot act on a terminal, nor read otherwise than it is."""

from hypothesis import given
from hypothesis import strategies as st

from undertext.core.printable import printable


def test_escapes_and_marks_are_spelled_out() -> None:
    assert printable("a\x1b[31m\nb\u202ec\ud800") == r"a\x1b[31m\nb\u202ec\ud800"
    assert printable("Größe 大 ü") == "Größe 大 ü"
    assert printable("abcdef", 3) == "abc..."


@given(st.text(st.characters(exclude_categories=[])))
def test_everything_prints_on_one_line(text: str) -> None:
    assert printable(text).isprintable()
