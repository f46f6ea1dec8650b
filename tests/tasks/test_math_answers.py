"""Mathematics in outputs: what equals the answer, what does not, and what no output can do to a run."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from math_verify import parse, verify

from tests.tasks.math_pairs import OTHER, OUTPUTS, SAME
from undertext.activations.errors import UserError
from undertext.tasks import Grade, Grader, grade
from undertext.tasks.grade import find_answer, meant, said
from undertext.tasks.math_answers import boxes, value_in

MATH = Grader(kind="math")


@pytest.mark.parametrize(("content", "answer"), SAME)
def test_the_same_in_other_words(content: str, answer: str) -> None:
    for output in (rf"So $\boxed{{{content}}}$.", rf"\boxed{{{content}}}"):
        assert grade(MATH, output, answer) == Grade(True, True)
    assert grade(MATH, rf"\boxed{{{content}}}", f"${answer}$") == Grade(True, True)


@pytest.mark.parametrize(("content", "answer"), OTHER)
def test_what_only_looks_the_same(content: str, answer: str) -> None:
    assert grade(MATH, rf"So $\boxed{{{content}}}$.", answer) == Grade(False, False)


@pytest.mark.parametrize(("output", "answer", "strict", "lenient"), OUTPUTS)
def test_where_the_answer_stands(output: str, answer: str, strict: bool, lenient: bool) -> None:
    assert grade(MATH, output, answer) == Grade(strict, lenient)


def test_math_verify_agrees_on_the_pairs() -> None:
    """The library's own comparison, pair by pair, beside ours by keys: they differ where it is lenient."""
    differ = [
        (content, answer, same)
        for pairs, same in ((SAME, True), (OTHER, False))
        for content, answer in pairs
        if verify(parse(rf"$\boxed{{{answer}}}$"), parse(rf"$\boxed{{{content}}}$")) is not same
    ]
    assert len(differ) <= 0.2 * len(SAME + OTHER), differ


@settings(deadline=None, max_examples=100)
@given(st.integers(-(10**9), 10**9), st.integers(1, 10**4), st.integers(2, 50))
def test_a_fraction_is_every_fraction_that_it_equals(over: int, under: int, times: int) -> None:
    output = rf"\boxed{{\frac{{{over * times}}}{{{under * times}}}}}"
    assert grade(MATH, output, f"{over}/{under}") == Grade(True, True)
    assert grade(MATH, output, f"{over + 1}/{under}") == Grade(False, False)


@given(
    st.text(st.sampled_from("\\boxed{}$ 12,.()[]^_frac=x<&%answeris:\n"), max_size=60),
    st.sampled_from(["1", "x", "1,2"]),
)
@settings(deadline=None, max_examples=50)
def test_strict_implies_lenient_and_nothing_raises(output: str, answer: str) -> None:
    graded = grade(MATH, output, answer)
    assert graded.lenient or not graded.strict
    assert graded.lenient is (graded.strict or bool(said(MATH, output) & meant(MATH, answer)))
    span = find_answer(MATH, output)
    assert span is None or 0 <= span[0] <= span[1] <= len(output)


HOSTILE = {
    "a tower of powers": r"\boxed{9^{9^{9^{9^9}}}}",
    "a large power": r"\boxed{2^{99999999999}}",
    "a large factorial": r"\boxed{(10^9)!}",
    "a large choice": r"\boxed{\binom{1000000000}{500000000}}",
    "nested braces": r"\boxed{" + "{" * 10_000 + "1" + "}" * 10_000 + "}",
    "open braces": r"\boxed{" + "{" * 100_000,
    "open boxes": r"\boxed{" * 50_000,
    "fractions": r"\boxed{" + r"\frac{" * 5_000 + "1" + "}{2}" * 5_000 + "}",
    "a long row of fractions": r"\boxed{" + r"\frac12+" * 5_000 + "1}",
    "a long box": r"\boxed{" + "x+" * 100_000 + "1}",
    "dollars": "$" * 100_000,
    "statements": "answer is " * 20_000,
    "brackets": "(" * 100_000,
    "numbers": "3," * 100_000,
    "backslashes": "\\" * 100_000,
    "roots": r"\boxed{" + r"\sqrt{" * 25 + "2" + "}" * 25 + "}",
    "an integral": r"\boxed{\int_0^{9^{9^9}} x^{x^x} dx}",
    "a sum": r"\boxed{\sum_{n=1}^{10^{12}} \frac{1}{n^n}}",
    "a matrix power": r"\boxed{\begin{pmatrix}1&2\\3&4\end{pmatrix}^{99999999}}",
}


@pytest.mark.slow
@pytest.mark.parametrize("output", HOSTILE.values(), ids=HOSTILE)
def test_what_takes_too_long_is_no_answer(monkeypatch: pytest.MonkeyPatch, output: str) -> None:
    monkeypatch.setattr("undertext.tasks.math_answers.SECONDS", 1.0)
    value_in.cache_clear()
    for answer in ("1", r"\frac{1}{2}", "y"):
        assert grade(MATH, output, answer) == Grade(False, False)
    find_answer(MATH, output)
    assert grade(MATH, r"\boxed{\frac{2}{4}}", "0.5") == Grade(True, True)  # and the next one is read


def test_boxes_are_whole() -> None:
    assert [box.content for box in boxes(r"\boxed{a{b}} \boxed{\}} \fbox {c} \boxed{d")] == [
        "a{b}",
        r"\}",
        "c",
    ]


def test_a_task_may_ask_for_a_form_of_its_own() -> None:
    grader = Grader(kind="math", pattern=r"ANSWER: (.*)")
    assert grade(grader, r"ANSWER: $\frac{1}{2}$", "0.5") == Grade(True, True)
    assert grade(grader, r"\boxed{0.5}", "0.5") == Grade(False, True)
    assert "boxed" not in grader.strict_form


def test_without_math_verify_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    value_in.cache_clear()
    monkeypatch.setattr("undertext.tasks.math_answers.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[math\]' in the clone"):
        grade(MATH, r"\boxed{x^2}", "0.5")


def test_what_was_read_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from undertext.tasks import math_answers

    asked: list[str] = []
    ask: Callable[[str, float], object] = math_answers._WORKER.ask

    def counted(content: str, seconds: float) -> object:
        asked.append(content)
        return ask(content, seconds)

    monkeypatch.setattr(math_answers._WORKER, "ask", counted)
    value_in.cache_clear()
    for _ in range(3):
        assert grade(MATH, r"\boxed{\frac{x}{7}}", r"\frac{1}{7}x").lenient
    assert sorted(asked) == [r"\frac{1}{7}x", r"\frac{x}{7}"]
