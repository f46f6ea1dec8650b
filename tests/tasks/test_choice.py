"""Which letter an output gives, and which letters a problem offers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undertext.tasks import Grade, Grader, Problem, grade
from undertext.tasks.choice import offered, read_letter

CHOICE = Grader(kind="choice")


@pytest.mark.parametrize(
    ("output", "letters", "read"),
    [
        ("The answer is B, not C.", "ABCD", "B"),
        ("The answer is (B). Option C is wrong, and D too.", "ABCD", "B"),
        ("Answer: **B**\n\nA is too small.", "ABCD", "B"),
        ("The correct option is C, A and B are not.", "ABCD", "C"),
        ("The answer is A. Wait, no: the answer is C.", "ABCD", "C"),
        (r"A? No. So \boxed{B}, and never D", "ABCD", "B"),
        (r"\boxed{\text{B}}", "ABCD", "B"),
        (r"The answer is $\textbf{(B)}$ and not (C)", "ABCD", "B"),
        ("The answer is B or C.", "ABCD", None),
        ("The answer is B and C.", "ABCD", None),
        ("The answer is E.", "ABCD", None),
        ("B? No, E", "ABCD", None),
        ("B? No, E", "", "E"),
        ("B. Vitamin C", "ABCD", "B"),
        ("B) Vitamin C", "ABCD", "B"),
        ("A. is too small\nB. is right\nso (B)", "ABCD", "B"),
        ("It is A, and I am sure", "ABCD", "A"),
        ("The answer is a guess: C", "ABCD", "C"),
        ("The answer I gave is D", "ABCD", "D"),
        ("the answer is b", "ABCD", "b"),
        ("Answer: b) blue", "ABCD", "b"),
        ("the answer is a car", "ABCD", None),
        ("The answer is A\ncar, of course: B", "ABCD", "B"),
        ("the answer is a\ncar, so B", "ABCD", "B"),
        ("the answer is b.\nExplanation: A is too small", "ABCD", "b"),
        ("Answer: i.e. option C", "ABCD", "C"),
        ("the answer is e.g. B", "ABCDE", "B"),
        ("d", "ABCD", "d"),
        ("", "ABCD", None),
    ],
)
def test_the_letter_that_an_output_gives(output: str, letters: str, read: str | None) -> None:
    found = read_letter(output, letters)
    assert (found and found.letter) == read
    if found:
        assert output[found.start] == found.letter
    for letter in "ABCD":
        assert grade(CHOICE, output, letter, letters).lenient is (read is not None and letter == read.upper())


def test_a_letter_that_is_not_offered_is_no_answer() -> None:
    assert grade(CHOICE, "E", "B", "ABCD") == Grade(False, False)
    assert grade(CHOICE, "e", "b", "abcd") == Grade(False, False)
    assert grade(CHOICE, "so e", "e", "abcde").lenient
    assert not grade(CHOICE, "so e", "e", "abcd").lenient


@pytest.mark.parametrize(
    ("prompt", "choices", "answer", "letters"),
    [
        ("Which?\nA. red\nB. blue\nC. green\nAnswer:", [], "B", "ABC"),
        ("Which?\n(A) red\n(B) blue\nAnswer:", [], "B", "AB"),
        ("Which? (A) red (B) blue (C) green", [], "C", "ABC"),
        ("Which?\nA) red\nB) blue", [], "a", ""),
        ("Which?\na) red\nb) blue", [], "b", "ab"),
        ("Q\nA. x\nB. y\nC. z\nAnswer: C\n\nQ\nA. x\nB. y\nAnswer:", [], "B", "AB"),
        ("Q\nA. x\nC. y", [], "C", ""),
        ("Which is red?", [], "B", ""),
        ("A. x\nB. y", [], "D", ""),
        ("Which?", ["red", "blue", "green"], "C", "ABC"),
        ("Which?", ["X", "Y"], "Y", "XY"),
    ],
)
def test_the_letters_that_a_problem_offers(
    prompt: str, choices: list[str], answer: str, letters: str
) -> None:
    assert offered(prompt, choices, answer) == (letters if answer != "a" else "ab")


@given(st.text(st.sampled_from("AB answeri:.()*[]oI'\n"), max_size=40))
def test_one_letter_or_none(output: str) -> None:
    for letters in ("", "AB"):
        right = [letter for letter in "ABCDEFGHI" if grade(CHOICE, output, letter, letters).lenient]
        assert len(right) <= 1


@pytest.mark.parametrize("unit", ["answer is ", "(A", "A or ", "((((", "A. ", "*", "\\boxed{", "a 'b "])
def test_long_outputs_come_back(unit: str) -> None:
    output = unit * (100_000 // len(unit))
    for letters in ("", "BC"):
        assert not grade(CHOICE, output, "C", letters).lenient


def test_choices_of_a_problem_differ() -> None:
    with pytest.raises(ValueError, match="expected choices that differ"):
        Problem(id="p", split="test", prompt="q", answer="a", choices=["a", "a"])
    with pytest.raises(ValueError, match="expected two choices or more"):
        Problem(id="p", split="test", prompt="q", answer="a", choices=["a"])
