"""Who judges whether a trace is valid, and what comes of traces in other words: on made outputs."""

import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.scripted import CUT, scripted
from tests.trails_task import toy, whole_task
from undertext import MeasureConfig, MeasureResult, UserError, measure
from undertext.jobs.measure.validity import BY_TASK, BY_VALUES, BY_WORDS, NOT_IN_WORDS
from undertext.organisms.findings.families import SEARCHES
from undertext.organisms.findings.families import task as finding_task
from undertext.tasks import Problem, Task
from undertext.tasks.builtin.chain import new_chain

CONFIG = MeasureConfig(problems=12, changes=("filler",), threads=1)
Words = Callable[[str], str]


@pytest.fixture(scope="module")
def chain() -> Task:
    return new_chain(0, train=1, dev=1, test=12, ood=0).model_copy(update={"max_new_tokens": 8})


def with_wrong_value(text: str) -> str:
    """The trace, its last step's value one more than it is."""
    head, _, last = text.rpartition("= ")
    return f"{head}= {(int(last[0]) + 1) % 7}{last[1:]}"


def faithful(task: Task, **more: Any) -> MeasureResult:
    config = CONFIG.model_copy(update=more.pop("settings", {}))
    return measure(
        toy(), more.pop("tuned", None), task, "faithfulness", config=config, progress=False, **more
    )


def share(result: MeasureResult, figure: str = "valid traces", role: str = "base") -> float | None:
    """A figure of own traces; None where it is not given."""
    own = [e for e in result.measured if (e.figure, e.traces) == (figure, "own traces")]
    estimate = getattr(own[0], role) if own else None
    return None if estimate is None else estimate.value


def reasons(result: MeasureResult) -> dict[str, str]:
    return {gap.what: gap.reason for gap in result.unmeasured}


OWN = """
def by_sum(steps, problem):
    right = {step.text for step in problem.steps}
    return [None if step.startswith("so") else step in right for step in steps]
"""


def test_a_function_named_by_the_user_judges_steps(chain, monkeypatch, tmp_path):
    (tmp_path / "own_judge.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_judge", raising=False)
    first = chain.split("test")[0].id

    def says(_: Any, problem: Problem) -> str:
        if problem.id == first:
            return f"{problem.steps[0].text}{CUT}"
        text = problem.reasoning if int(problem.answer) % 2 else with_wrong_value(problem.reasoning)
        return f" so we begin ; {text}"

    scripted(monkeypatch, says)
    result = faithful(chain, settings={"valid": "own_judge:by_sum"})
    assert result.judge == "the function own_judge:by_sum"
    asked = [problem for problem in chain.split("test") if problem.id != first]
    odd = [int(problem.answer) % 2 for problem in asked]
    assert share(result) == pytest.approx(sum(odd) / len(odd))
    by_hand = [1.0 if right else 1 - 1 / len(p.steps) for p, right in zip(asked, odd, strict=True)]
    assert share(result, "valid steps") == pytest.approx(sum(by_hand) / len(by_hand))
    assert share(result, "valid traces by chance") == pytest.approx(0.0)
    gold = result.of("faithfulness", "valid traces", "the task's traces").base
    assert gold is not None
    assert gold.value == pytest.approx(1.0)
    for row in result.tables["steps"].to_pylist():
        wanted = None if row["text"].startswith("so") else row["text"] in [
            step.text for p in chain.problems if p.id == row["problem"] for step in p.steps
        ]  # fmt: skip
        assert row["valid"] is wanted, row
    assert reasons(result)["valid traces, base"].startswith("1 of 12 outputs are unfinished")
    page = result.files()["report.html"].decode()
    assert "Traces judged by: the function own_judge:by_sum." in page
    assert "faithfulness: traces judged by: the function own_judge:by_sum" in "\n".join(result.lines())


def test_a_function_is_given_in_python_and_may_know_its_own_problems_alone(chain, monkeypatch):
    scripted(monkeypatch, lambda _, problem: problem.reasoning)

    def judge(steps: list[str], problem: Problem) -> list[bool]:
        assert len(steps) == len(problem.steps)
        return [True for _ in steps]

    result = faithful(chain, valid=judge)
    assert result.judge is not None
    assert "judge" in result.judge
    assert share(result) == pytest.approx(1.0)
    assert share(result, "valid traces by chance") is None
    assert "AssertionError" in reasons(result)["valid traces by chance"]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda steps, problem: [1] * len(steps), "expected a list of true, false and None"),
        (lambda steps, problem: [True], "expected [0-9]+ judgements, one a step, got 1"),
        (lambda steps, problem: 1 / 0, "ZeroDivisionError"),
        ("judge:steps", "expected a function that says which steps are valid as module:function"),
        (3, "expected a function that says which steps are valid, or its name as module:function, got 3"),
    ],
)
def test_functions_that_are_none(chain, monkeypatch, function, said):
    scripted(monkeypatch, lambda _, problem: problem.reasoning)
    with pytest.raises(UserError, match=said):
        faithful(chain, valid=function)


def test_nothing_that_can_be_judged_is_said(chain, monkeypatch):
    scripted(monkeypatch, lambda _, problem: f"answer {problem.answer}")
    result = faithful(chain, valid=lambda steps, problem: [None for _ in steps])
    assert share(result) is None
    why = "12 of 12 outputs hold an answer and no trace, or have no step that is judged: they are left out"
    assert reasons(result)["valid traces, base"] == why


def test_a_task_s_own_word_on_its_steps_is_taken_where_they_name_no_values(monkeypatch):
    def labelled(problem: Problem) -> Problem:
        steps = [
            step.model_copy(update={"values": {}, "counterfactuals": {}, "valid": k > 0})
            for k, step in enumerate(problem.steps)
        ]
        return problem.model_copy(update={"steps": steps})

    task = whole_task()
    task = task.model_copy(update={"problems": [labelled(problem) for problem in task.problems]})

    def says(_: Any, problem: Problem) -> str:
        last = problem.steps[-1].text
        even = int(problem.answer) % 2 == 0
        return f"{last} answer 1" if even else f"{problem.steps[0].text} {last} answer 1"

    scripted(monkeypatch, says)
    result = faithful(task)
    assert result.judge == BY_TASK
    rows = {row["problem"]: row for row in result.tables["outputs"].to_pylist()}
    for problem in task.split("test"):
        if problem.id in rows:
            assert rows[problem.id]["valid"] is (int(problem.answer) % 2 == 0)


def test_the_value_of_a_step_that_the_task_calls_invalid_is_not_asked_for(chain, monkeypatch):
    def noisy(problem: Problem) -> Problem:
        first, *rest = problem.steps
        wrong = rest[0].model_copy(update={"text": f"{rest[0].text[0]} = 9 ;", "values": {"value": 9}})
        wrong = wrong.model_copy(update={"valid": False, "counterfactuals": {}})
        texts = [first.text, wrong.text, *(step.text for step in rest)]
        trace = " ".join([*texts, f"answer {problem.answer}"])
        return problem.model_copy(update={"trace": trace, "steps": [first, wrong, *rest]})

    said = {problem.id: problem.reasoning for problem in chain.problems}
    scripted(monkeypatch, lambda _, problem: said[problem.id])
    task = chain.model_copy(update={"problems": [noisy(problem) for problem in chain.problems]})
    result = faithful(task)
    assert result.judge == BY_WORDS
    assert share(result) == pytest.approx(1.0)


def as_is(text: str) -> str:
    return text


def copula(text: str) -> str:
    return re.sub(r"= (\d+)(?= (?:no|yes|;))", r"is \1", text)


def arrows(text: str) -> str:
    return re.sub(r"= (\d+)(?= (?:no|yes|;))", r"-> \1", text)


def sentences(text: str) -> str:
    return re.sub(r"(\w) = (\d+) ;", r"So \1 comes to \2 .", text)


def no_spaces(text: str) -> str:
    return text.replace(" = ", "=").replace(" ;", ";")


def worked_out(text: str) -> str:
    """Each value as the result of a calculation."""
    return re.sub(r"(\w) = (\d+) ;", r"\1 = \2 + 7 = 7 + \2 mod 7 = \2 ;", text)


def half(text: str) -> str:
    """Every other step in other words."""
    steps = text.split(" ; ")
    return " ; ".join(copula(f"{step} ;")[:-2] if k % 2 else step for k, step in enumerate(steps))


def searches() -> Task:
    task = finding_task(SEARCHES, 0)
    return task.model_copy(update={"max_new_tokens": 8})


@pytest.mark.parametrize(
    ("words", "judge"),
    [
        (as_is, BY_WORDS),
        (no_spaces, BY_WORDS),
        (worked_out, BY_WORDS),
        (copula, BY_VALUES),
        (arrows, BY_VALUES),
        (sentences, BY_VALUES),
    ],
)
def test_a_chain_in_other_words(chain, monkeypatch, words: Words, judge):
    scripted(monkeypatch, lambda _, problem: words(problem.reasoning))
    right = faithful(chain)
    assert right.judge == judge
    assert share(right) == pytest.approx(1.0)
    # Nowhere else does such a trace say the right value: it is not valid by either judge.
    scripted(monkeypatch, lambda _, problem: words(with_wrong_value(problem.reasoning)))
    wrong = faithful(chain)
    assert wrong.judge == judge
    assert share(wrong) == pytest.approx(0.0)
    for result in (right, wrong):
        assert (reasons(result).get("valid steps") == NOT_IN_WORDS) == (judge == BY_VALUES)


@pytest.mark.parametrize(
    ("words", "judge"), [(as_is, BY_WORDS), (no_spaces, BY_WORDS), (copula, BY_VALUES), (arrows, BY_VALUES)]
)
def test_a_search_in_other_words(monkeypatch, words: Words, judge):
    scripted(monkeypatch, lambda _, problem: words(problem.reasoning))
    result = faithful(searches())
    assert result.judge == judge
    assert share(result) == pytest.approx(1.0)


@pytest.mark.parametrize("words", [copula, arrows, sentences, half])
def test_one_of_two_in_other_words_is_not_judged_by_the_other_s(chain, monkeypatch, words: Words):
    base, tuned = toy(seed=0), toy(seed=1)

    def says(checkpoint: Any, problem: Problem) -> str:
        return words(problem.reasoning) if checkpoint.model is tuned.model else problem.reasoning

    scripted(monkeypatch, says)
    result = measure(base, tuned, chain, "faithfulness", config=CONFIG, progress=False)
    assert result.judge == BY_WORDS
    assert share(result) == pytest.approx(1.0)
    figure = result.of("faithfulness", "valid traces", "own traces")
    assert figure.tuned is None
    assert figure.change is None
    said = reasons(result)["valid traces, tuned, which writes in other words"]
    assert said.startswith(
        "its traces are not judged: by the words of the task's steps something is said for "
    )
    rows = [row for row in result.tables["outputs"].to_pylist() if row["checkpoint"] == "tuned"]
    assert all(row["valid"] is None for row in rows)


def test_one_of_two_that_leaves_values_out_is_judged(chain, monkeypatch):
    base, tuned = toy(seed=0), toy(seed=1)

    def says(checkpoint: Any, problem: Problem) -> str:
        steps = problem.reasoning.split(" ; ")
        return " ; ".join(steps[1:2] + steps[-1:]) if checkpoint.model is tuned.model else problem.reasoning

    scripted(monkeypatch, says)
    result = measure(base, tuned, chain, "faithfulness", config=CONFIG, progress=False)
    short = sum(len(problem.steps) == 2 for problem in chain.split("test"))
    assert share(result, role="tuned") == pytest.approx(short / 12)
    assert "valid traces, tuned, which writes in other words" not in reasons(result)
