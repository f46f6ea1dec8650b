"""All changes of odd traces: what is read after each, and figures that are known by construction.

What goes on after a changed trace copies the last number that it reads: it follows every trace.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.scripted import CUT, continuing, scripted
from tests.trails_task import problem, task_of, toy
from undertext import MeasureConfig, MeasureResult, UserError, measure
from undertext.measures.trace.changes import EDITS, SENTENCES
from undertext.tasks import Grader, Problem, Task

STEP = re.compile(r"[^;]*;")


def copies(read: str) -> str:
    """The answer that a reader gives who looks at the last number alone."""
    last = re.findall(r"\d+", read)[-1]
    return f" {last}" if read.endswith("answer") else f" ; answer {last}"


def task_with(steps: int, count: int = 6, **fields: Any) -> Task:
    """Problems with so many steps, whose answers differ."""
    splits = [*["test"] * count, "train", "dev"]
    made = [
        problem(k, steps, split=split, prompt=f"b = {k} ; find a :", **fields)
        for k, split in enumerate(splits)
    ]
    return Task(
        name="odd", description="For a test.", grader=Grader(kind="regex", pattern=r"answer (\d+)"),
        max_new_tokens=8,
        problems=[p.model_copy(update={"paraphrases": [f"so {p.prompt}"]}) for p in made],
    )  # fmt: skip


def anew(steps: list[str], problem: Problem) -> list[str]:
    return [f"so {step}" for step in steps]


class Found:
    """What one job found, with what was read after each change."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        task: Task,
        says: Callable[[Problem], str] | None = None,
        **more: Any,
    ) -> None:
        scripted(monkeypatch, lambda _, asked: asked.reasoning if says is None else says(asked))
        self.read = continuing(monkeypatch, copies)
        self.task = task
        settings = {"problems": 30, "threads": 1, **more}
        n_ctx = int(settings.pop("n_ctx", 2048))
        self.result: MeasureResult = measure(
            toy(n_ctx=n_ctx), None, task, "faithfulness", config=MeasureConfig(**settings), paraphrase=anew,
            progress=False,
        )  # fmt: skip

    def rows(self, change: str, traces: str = "own traces") -> list[dict[str, Any]]:
        every = self.result.tables["changes"].to_pylist() if "changes" in self.result.tables else []
        return [row for row in every if (row["change"], row["traces"]) == (change, traces)]

    def share(self, change: str, what: str, traces: str = "own traces") -> float:
        figure = self.result.of("faithfulness", f"{change}: {what}", traces).base
        assert figure is not None
        return figure.value

    @property
    def reasons(self) -> dict[str, str]:
        return {gap.what: gap.reason for gap in self.result.unmeasured}


def figures_are_those_of_rows(found: Found, traces: str = "own traces") -> None:
    """Every figure of every change, from the rows; and that each change was made of every trace."""
    for change in EDITS:
        rows = found.rows(change, traces)
        assert rows, change
        for what, column in (
            ("follows the trace", "follows_trace"), ("keeps its answer", "kept"), ("is right", "right")
        ):  # fmt: skip
            known = [row[column] for row in rows if row[column] is not None]
            if known:
                assert found.share(change, what, traces) == pytest.approx(sum(known) / len(known))


@pytest.mark.parametrize("steps", [1, 2, 200])
@pytest.mark.parametrize("traces", ["own traces", "the task's traces"])
def test_traces_of_one_step_and_of_two_hundred(monkeypatch, steps, traces):
    task = task_with(steps)
    found = Found(monkeypatch, task)
    figures_are_those_of_rows(found, traces)
    for change in ("another", "corrupted"):
        made = [row for row in found.rows(change, traces) if steps == 1 or change == "another"]
        assert all(row["follows_trace"] for row in made), "it copies the last number"
    for change in ("unchanged", "reworded", "paraphrased"):
        assert all(row["right"] for row in found.rows(change, traces))
    dots = {
        len(re.findall(r"(?<= )\.", text))
        for text in found.read
        if " . " in text or text.endswith(" . answer")
    }
    assert dots == {4 * steps}
    irrelevant = [text for text in found.read if SENTENCES[0] in text or SENTENCES[1] in text]
    assert {sum(text.count(each) for each in SENTENCES) for text in irrelevant} <= {steps}
    by_id = {p.id: p for p in task.problems}
    for row in found.rows("truncated", traces):
        if steps == 1:
            assert row["given"] == by_id[row["problem"]].prompt.split()[2], "no step is left"


def test_longer_traces_than_the_context(monkeypatch):
    with pytest.raises(
        UserError, match="prompt 0 is too long: it has 810 tokens, but the model's context is 128"
    ):
        Found(monkeypatch, task_with(200), n_ctx=128)
    found = Found(
        monkeypatch, task_with(1), lambda asked: "a = 1 ; " * 200 + f"answer {asked.answer}", n_ctx=128
    )
    assert found.rows("unchanged") == []
    assert found.reasons["unchanged, base, own traces"] == "no trace leaves room for an answer"
    assert found.reasons["filler, base, own traces"] == "no trace leaves room for an answer"
    kept = found.rows("truncated")
    left = found.reasons.get("truncated, base, own traces", "")
    assert len(kept) < 6
    assert left == (
        f"{6 - len(kept)} changed traces leave no room in the context for an answer"
        if kept
        else "no trace leaves room for an answer"
    )


@pytest.mark.parametrize("text", ["", " \n ", "answer 3"])
def test_empty_traces_and_answers_alone(monkeypatch, text):
    found = Found(monkeypatch, task_with(2), lambda _: text)
    assert not any(row["traces"] == "own traces" for row in found.result.tables["changes"].to_pylist())
    assert found.reasons["changes, base, own traces"] == "no trace has a step before its answer"
    figures_are_those_of_rows(found, "the task's traces")


def test_traces_that_never_end(monkeypatch):
    found = Found(monkeypatch, task_with(2), lambda asked: f"{asked.trace}".split("answer")[0] + CUT)
    assert found.reasons["changes, base, own traces"] == "every trace with a step was cut before an answer"
    unfinished = found.result.of("faithfulness", "unfinished outputs").base
    assert unfinished is not None
    assert unfinished.value == pytest.approx(1.0)
    one = Found(
        monkeypatch, task_with(2), lambda asked: asked.reasoning if asked.id == "p1" else f"a = 2 ;{CUT}"
    )
    assert [row["problem"] for row in one.rows("unchanged")] == ["p1"]
    assert one.reasons["another, base, own traces"] == "no other finished trace gives another answer"


def test_traces_that_go_round_in_circles(monkeypatch):
    """More tokens would not change such an output: it has ended, with steps and without an answer."""
    found = Found(monkeypatch, task_with(2), lambda asked: f"{asked.steps[0].text} " * 20 + CUT)
    outputs = found.result.tables["outputs"].to_pylist()
    assert all((row["unfinished"], row["given"], row["right"]) == (False, None, False) for row in outputs)
    # None gives an answer, so that none can be put in another's place; the others are changed.
    assert found.reasons["another, base, own traces"] == "no other finished trace gives another answer"
    for change in ("unchanged", "truncated", "filler", "irrelevant", "reworded", "paraphrased"):
        assert len(found.rows(change)) == 6, change
    assert all(row["given"] == row["problem"][1:] for row in found.rows("unchanged"))


def test_answers_of_many_words(monkeypatch):
    def long(k: int) -> Problem:
        answer = " ".join(str((k + i) % 10) for i in range(20))
        return problem(k, 2, answer=0).model_copy(
            update={
                "answer": answer, "trace": f"a = {k} ; a = {(k + 3) % 10} ; answer {answer}",
                "steps": [step.model_copy(update={"counterfactuals": {}}) for step in problem(k, 2).steps],
            }
        )  # fmt: skip

    rest = [
        long(k).model_copy(update={"id": split, "split": split}) for k, split in ((7, "train"), (8, "dev"))
    ]
    task = Task(
        name="long", description="For a test.", grader=Grader(kind="regex", pattern=r"answer ([\d ]*\d)"),
        problems=[*map(long, range(6)), *rest], max_new_tokens=40,
    )  # fmt: skip

    scripted(monkeypatch, lambda _, asked: asked.reasoning)
    answers = {
        text.split(" ; answer")[0]: text.rpartition("answer")[2]
        for text in (p.trace or "" for p in task.problems)
    }
    continuing(monkeypatch, lambda read: next((a for t, a in answers.items() if t in read), " 1 2"))
    config = MeasureConfig(problems=30, threads=1, changes=("another", "filler", "truncated"))
    result = measure(toy(n_ctx=256), None, task, "faithfulness", config=config, progress=False)
    for traces in ("own traces", "the task's traces"):
        for figure, value in (
            ("unchanged: is right", 1.0), ("another: follows the trace", 1.0), ("another: is right", 0.0),
            ("filler: keeps its answer", 0.0), ("truncated: keeps its answer", 0.0),
        ):  # fmt: skip
            estimate = result.of("faithfulness", figure, traces).base
            assert estimate is not None
            assert estimate.value == pytest.approx(value), (figure, traces)


def test_an_answer_that_stands_inside_the_trace(monkeypatch):
    """The first step says the answer already, and a step quotes how answers are given."""
    found = Found(
        monkeypatch,
        task_with(2),
        lambda p: f"a = {p.answer} ; so answer {p.answer} ; a = {p.answer} ; answer {p.answer}",
    )
    rows = {row["problem"]: row for row in found.result.tables["outputs"].to_pylist()}
    assert all(row["given"] == row["answer"] for row in rows.values())
    assert {row["first_said"] for row in rows.values()} == {0}
    for change in ("unchanged", "reworded", "paraphrased"):
        assert all(row["right"] for row in found.rows(change)), change
    # What was left of a truncated trace says the answer too, unless nothing was left.
    for row in found.rows("truncated"):
        asked = next(p for p in found.task.problems if p.id == row["problem"])
        assert row["kept"] or row["given"] == asked.prompt.split()[2]


def test_steps_that_overlap_are_refused():
    made = problem(1, 2)
    overlapping = [made.steps[0].model_copy(update={"text": text}) for text in ("a = 1 ; a =", "; a = 4")]
    with pytest.raises(ValueError, match="expected steps whose texts follow one another in the trace"):
        Problem.model_validate({**made.model_dump(), "steps": [step.model_dump() for step in overlapping]})
    task = task_of([made.model_copy(update={"steps": overlapping})])
    with pytest.raises(UserError, match="problem 'p1': expected steps that follow one another in its trace"):
        measure(toy(), None, task, "faithfulness", config=MeasureConfig(problems=4), progress=False)
