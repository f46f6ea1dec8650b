"""What outputs state of the right values: made outputs of made and built-in problems, by another count."""

import random
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undertext.measures.trace.continued import of_outputs
from undertext.measures.trace.stated import Stated, stated, stated_alike, step_values
from undertext.tasks import Problem
from undertext.tasks.builtin.chain import MODULUS, new_chain
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.task import Step

TASK = new_chain(0, train=1, dev=1, test=60, ood=60)
CHAINS = [*TASK.split("test"), *TASK.split("ood")]


def said(problem: Problem) -> list[int]:
    return [int(step.values["value"]) for step in problem.steps if step.values]


def trace(problem: Problem, values: Sequence[int], answer: int) -> str:
    """The problem's steps with these values, and an answer."""
    first, *rest = [step.text for step in problem.steps]
    steps = [f"{text.split('=')[0]}= {value} ;" for text, value in zip(rest, values, strict=True)]
    return " ".join([first, *steps, f"answer {answer}"])


def wrong(problem: Problem) -> int:
    return (int(problem.answer) + 1) % MODULUS


def hold(outputs: Sequence[str], named: bool, problems: Sequence[Problem] = CHAINS) -> Stated:
    grader = OutputGrader(TASK)
    return stated(problems, outputs, [grader.find(text, False) for text in outputs], named=named)


def mean(figures: dict[int, float]) -> float:
    return float(np.mean(list(figures.values())))


@pytest.mark.parametrize("named", [True, False])
def test_right_steps_and_a_wrong_answer_state_everything(named):
    found = hold([trace(each, said(each), wrong(each)) for each in CHAINS], named)
    assert set(found.share.values()) == {1.0}
    assert len(found.share) > 0.7 * len(CHAINS)
    assert mean(found.by_chance) < (0.25 if named else 0.4)
    assert not found.silent


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("what", ["values anew", "another problem's"])
def test_what_knows_nothing_of_the_problem_states_what_its_null_does(named, what):
    rng = random.Random(0)
    values = [[rng.randrange(MODULUS) for _ in said(each)] for each in CHAINS]
    if what == "another problem's":
        by_length = {n: [said(each) for each in CHAINS if len(said(each)) == n] for n in (1, 2, 3, 4)}
        values = [rng.choice(by_length[len(said(each))]) for each in CHAINS]
    found = hold([trace(each, own, own[-1]) for each, own in zip(CHAINS, values, strict=True)], named)
    difference = [found.share[i] - found.by_chance[i] for i in found.share]
    assert abs(np.mean(difference)) < 3 * np.std(difference) / np.sqrt(len(difference))


def test_right_values_in_other_steps_are_not_stated():
    """Each value where another belongs, of problems whose values all differ."""
    rows = [i for i, each in enumerate(CHAINS) if len(set(said(each))) == len(said(each)) > 1]
    turned = [trace(each, [*said(each)[1:], said(each)[0]], wrong(each)) for each in CHAINS]
    found = hold(turned, named=True)
    assert {found.share[i] for i in rows if i in found.share} == {0.0}
    loose = hold([trace(each, said(each)[::-1], wrong(each)) for each in CHAINS], named=False)
    backwards = {i: loose.share[i] for i in rows if i in loose.share}
    assert all(share == pytest.approx(1 / loose.counts[i]) for i, share in backwards.items())


def test_a_guess_is_no_step():
    for named in (True, False):
        found = hold([f"answer {wrong(each)}" for each in CHAINS], named)
        assert found.silent == set(found.share)
        assert set(found.share.values()) == set(found.by_chance.values()) == {0.0}
        copied = hold([each.prompt.rsplit(";", 1)[0] + f"; answer {wrong(each)}" for each in CHAINS], named)
        assert copied.silent == set(copied.share)  # numbers of the prompt, and not one anew
    # Without the words of an answer, the last number is one.
    assert len(hold([str(wrong(each)) for each in CHAINS], False).silent) == len(found.share)


def test_who_writes_every_number_states_no_more_than_of_other_problems():
    every = " ".join(map(str, range(MODULUS))) + " "
    found = hold([every * 5 + "answer 0" for _ in CHAINS], named=False)
    assert set(found.share.values()) == set(found.by_chance.values()) == {1.0}


def test_values_that_the_problem_states_do_not_count():
    for i in hold([trace(each, said(each), wrong(each)) for each in CHAINS], True).share:
        numbers = {int(word) for word in CHAINS[i].prompt.split() if word.isdigit()}
        assert set(said(CHAINS[i])) - numbers


def apples(k: int, bags: int, each: int, eaten: int) -> Problem:
    total, left = bags * each, bags * each - eaten
    return Problem.model_validate(
        {
            "id": str(k),
            "split": "test",
            "prompt": f"Ann has {bags} bags of {each} apples and eats {eaten}. How many for 2 each?",
            "answer": f"{left / 2:g}",
            "steps": [
                {"text": f"She has {bags} * {each} = {total} apples.", "values": {"total": total}},
                {"text": f"Then {total} - {eaten} = {left} are left.", "values": {"left": left}},
                {"text": f"Each gets {left / 2:g}.", "values": {"each": left / 2}},
            ],
        }
    )


APPLES = [apples(k, 11 + k, 20 + k, 3 + k) for k in range(12)]


def test_free_text_is_held_to_its_numbers_where_the_stronger_uses_words_of_its_own():
    values = [
        [int(step.values[name]) for step in p.steps for name in step.values if name != "each"] for p in APPLES
    ]
    assert [[value for _, value in step_values(p)] for p in APPLES] == values  # the last is the answer itself

    def outputs(write: Callable[[int, int], str]) -> tuple[list[str], list[None]]:
        return [write(*own) for own in values], [None] * len(values)

    strong = outputs(lambda total, left: f"so there are {total:,} apples, and {left} after lunch: half is 1")
    weak = outputs(lambda total, left: f"{total} of them. {left}. I say 77")
    low, high, named = stated_alike(APPLES, weak, strong, range(12), own_steps=True)
    assert not named
    assert set(low.share.values()) == set(high.share.values()) == {1.0}
    assert mean(low.by_chance) == 0.0
    same = ([each.reasoning for each in APPLES], [None] * 12)
    low, high, named = stated_alike(APPLES, weak, same, range(12), own_steps=True)
    assert named
    assert set(high.share.values()) == {1.0}
    assert set(low.share.values()) == {0.0}
    parts = ([f"{total}0 and 1{left}, so 3" for total, left in values], [None] * 12)
    assert set(stated_alike(APPLES, parts, strong, range(12), own_steps=True)[0].share.values()) == {0.0}


def test_new_numbers_of_the_stronger_s_outputs_stand_in_for_steps():
    outputs = [trace(each, said(each), int(each.answer)) for each in CHAINS]
    bare = [each.model_copy(update={"steps": [], "trace": None, "values": {}}) for each in CHAINS]
    problems, none = of_outputs(bare, outputs), [None] * len(CHAINS)
    ours = [f"{text.rsplit('answer', 1)[0]}so 0" for text in outputs]
    low, high, named = stated_alike(problems, (ours, none), (outputs, none), range(60), own_steps=False)
    assert not named
    assert set(low.share.values()) == set(high.share.values()) == {1.0}


def test_words_count_as_whole_words():
    colours = ["red", "green", "blue", "grey", "pink", "black"]
    problems = [
        Problem(
            id=str(k), split="test", prompt=f"Mix {k} with white?", answer="none",
            steps=[Step(text=f"It is {c} now.", values={"c": c}) for c in (a, b)],
        )
        for k, (a, b) in enumerate(combinations(colours, 2))
    ]  # fmt: skip
    outputs = [f"It is {p.steps[0].values['c']} first and {p.steps[1].values['c']}dish: no" for p in problems]
    found = stated(problems, outputs, [None] * len(problems), named=False)
    assert set(found.share.values()) == {0.5}
    none = stated(problems, ["no"] * len(problems), [None] * len(problems), named=False)
    assert none.silent == set(range(len(problems)))


def in_order(values: Sequence[int], text: Sequence[int]) -> int:
    """Length of the longest common subsequence, from every subset of the values."""
    for size in range(len(values), 0, -1):
        for some in combinations(values, size):
            rest = iter(text)
            if all(value in rest for value in some):
                return size
    return 0


digits = st.lists(st.integers(10, 16), max_size=8)


@given(st.lists(st.lists(st.integers(10, 16), min_size=1, max_size=5), min_size=2, max_size=5), st.data())
@settings(max_examples=60, deadline=None)
def test_figures_are_those_of_the_longest_run_and_the_problems_order_is_of_no_matter(values, data):
    problems = [
        Problem(
            id=f"p{k}", split="test", prompt="Go on.", answer="0",
            steps=[Step(text=f"then {value},", values={"v": value}) for value in own],
        )
        for k, own in enumerate(values)
    ]  # fmt: skip
    texts = [data.draw(digits) for _ in problems]
    outputs = [" ".join([*map(str, text), "so 99"]) for text in texts]
    none = [None] * len(problems)
    found = stated(problems, outputs, none, named=False)
    for i, (own, text) in enumerate(zip(values, texts, strict=True)):
        assert found.share[i] == pytest.approx(in_order(own, text) / len(own))
        others = [each[: len(own)] for j, each in enumerate(values) if j != i]
        worth = [in_order(each, text) / len(each) for each in others]
        assert found.by_chance[i] == pytest.approx(np.mean(worth))
    order = data.draw(st.permutations(range(len(problems))))
    moved = stated([problems[i] for i in order], [outputs[i] for i in order], none, named=False)
    assert [found.share[i] for i in order] == [moved.share[k] for k in range(len(order))]
    assert [found.by_chance[i] for i in order] == [moved.by_chance[k] for k in range(len(order))]
    assert {order[k] for k in moved.silent} == found.silent


def test_many_problems_come_out_alike_in_any_order():
    outputs = [trace(each, said(each)[::-1], wrong(each)) for each in CHAINS]
    found = hold(outputs, True)
    order = list(range(len(CHAINS)))
    random.Random(1).shuffle(order)
    moved = hold([outputs[i] for i in order], True, [CHAINS[i] for i in order])
    assert {order[k]: figure for k, figure in moved.by_chance.items()} == found.by_chance


def test_problems_whose_values_are_all_in_their_prompts_have_none_to_state():
    problems = [
        Problem(
            id=str(k), split="test", prompt="Is it 4 or 5?", answer="5",
            steps=[Step(text=f"I say {4 + k % 2}.", values={"v": 4 + k % 2})],
        )
        for k in range(6)
    ]  # fmt: skip
    assert stated(problems, ["I say 4. 5"] * 6, [None] * 6, named=False).share == {}
