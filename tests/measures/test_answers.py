"""What checkpoints answer, and what an answer is worth that knows nothing of its problem."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.toys import tiny_model, word_tokenizer
from undertext import zoo
from undertext.activations import Checkpoint, generate
from undertext.measures.answers import Samples, greedy, majority, sampled
from undertext.tasks import Grader, Problem, Task, grade
from undertext.tasks.builtin.chain import new_chain
from undertext.tasks.draws import seeds
from undertext.tasks.grade import said
from undertext.tasks.output_grader import OutputGrader, chance_right, circles


def task_of(answers: list[str], prompts: list[str] | None = None, **settings: Any) -> Task:
    """A task whose test split has these answers."""
    prompts = prompts or [f"q{i}" for i in range(len(answers))]
    ends = [Problem(id=split, split=split, prompt="x", answer=answers[0]) for split in ("train", "dev")]
    problems = [
        Problem(id=f"t{i}", split="test", prompt=prompt, answer=answer)
        for i, (prompt, answer) in enumerate(zip(prompts, answers, strict=True))
    ]
    options: dict[str, Any] = {"grader": Grader(kind="number"), "max_new_tokens": 5, **settings}
    return Task(name="made up", description="For a test.", problems=[*ends, *problems], **options)


numbers = st.sampled_from(["1", "2", "2.0", "7", "07", "-1"])
outputs = st.sampled_from(["1", "so 2", "answer 7", "7 or 1", "", "none", "-1", "2.00"])


@given(st.lists(st.tuples(numbers, outputs), min_size=1, max_size=12))
def test_chance_right_is_the_share_of_other_problems(pairs):
    task = task_of([answer for answer, _ in pairs])
    problems, texts = task.split("test"), [text for _, text in pairs]
    wanted = [
        np.mean(
            [grade(task.grader, text, other.answer).lenient for j, other in enumerate(problems) if j != i]
            or [False]
        )
        for i, text in enumerate(texts)
    ]
    none = [False] * len(texts)
    np.testing.assert_allclose(chance_right(task, problems, texts, none), wanted)
    assert not chance_right(task, problems, texts, [True] * len(texts)).any()


GRADERS = {
    "exact": (Grader(kind="exact"), ["yes", "no", "Yes", "not sure"], ["Yes.", "so\nno", "no", "", "nobody"]),
    "choice": (
        Grader(kind="choice"),
        ["A", "B", "b", "c"],
        ["(B)", "so b", "A or B", "C", "a)", "I am (A).", ""],
    ),
    "regex": (
        Grader(kind="regex", pattern=r"answer ([^;]+)"),
        ["3", "3.0", "three", "1,000", "-3"],
        ["answer 3", "answer 3;", "answer Three.", "answer 1000 km", "answer 3 or 4", "answer -3 ; so", "3"],
    ),
}


@pytest.mark.parametrize(("grader", "answers", "texts"), GRADERS.values(), ids=GRADERS)
def test_chance_right_grades_as_one_answer_at_a_time_does(grader, answers, texts):
    task = task_of([answers[i % len(answers)] for i in range(len(texts))], grader=grader)
    problems = task.split("test")
    wanted = [
        sum(grade(grader, text, other.answer).lenient for other in problems if other is not own)
        for own, text in zip(problems, texts, strict=True)
    ]
    found = chance_right(task, problems, texts, [False] * len(texts)) * (len(problems) - 1)
    assert found.round(9).tolist() == wanted
    assert any(wanted)


def test_thousands_of_distinct_answers_are_graded_at_once(monkeypatch):
    task = task_of([str(k) for k in range(3000)])
    calls: list[str] = []

    def counted(grader: Grader, text: str, letters: str) -> frozenset[Hashable]:
        calls.append(text)
        return said(grader, text, letters)

    monkeypatch.setattr("undertext.tasks.output_grader.said", counted)
    problems = task.split("test")
    found = chance_right(task, problems, [f"it is {k // 2}" for k in range(3000)], [False] * 3000)
    assert len(calls) == 1500  # a text each, and not one for each pair
    assert found.tolist() == [0.0] + [1 / 2999] * 2999


@pytest.mark.parametrize(
    ("grader", "text", "finished"),
    [
        (Grader(kind="number"), "3 + 4 is", False),  # the last number is on the way to the answer
        (Grader(kind="number"), "12", True),
        (Grader(kind="number"), "1", False),  # may go on to 12
        (Grader(kind="number"), "It is 7. It is 7. It is 7. It is 7. It is", True),
        (Grader(kind="exact"), "12", True),
        (Grader(kind="exact"), "so\n12", False),
        (Grader(kind="regex", pattern=r"answer (\d+)"), "answer 7 ; Q: how", True),
        (Grader(kind="regex", pattern=r"answer (\d+)"), "answer 1", False),
        (Grader(kind="regex", pattern=r"answer (\d+)"), "so answer 12", True),
        (Grader(kind="regex", pattern=r"answer (\d+)"), "answer 7 ; no, answer 12 ; b", False),
        (Grader(kind="regex", pattern=r"answer (\d+)"), "a = 3 ;", False),
    ],
)
def test_a_cut_output_counts_where_its_answer_was_plainly_given(grader, text, finished):
    task = task_of(["7", "1", "12", "4"], grader=grader)
    graded = OutputGrader(task_of(["7", "1", "12"], grader=grader))
    assert graded.unfinished(text) is not finished
    assert not graded.unfinished(text, cut=False)
    for problem in task.split("test"):
        right = grade(grader, text, problem.answer)
        assert graded(text, problem, True) == (right if finished else (False, False))
        assert graded(text, problem) == right


@given(st.text("ab1 ", max_size=6), st.text("ab1 ", min_size=1, max_size=4), st.integers(1, 12))
def test_a_text_goes_round_in_circles_where_its_half_repeats(head, unit, times):
    text = head + unit * times
    slow = any(
        len(tail := text[len(text) - max(4 * p, (len(text) + 1) // 2) :]) >= 4 * p
        and all(tail[i] == tail[i + p] for i in range(len(tail) - p))
        for p in range(1, len(text) // 4 + 1)
    )
    assert circles(text) is slow
    if times >= 4 and len(unit) * times >= len(head):
        assert circles(text)
    assert not circles("")
    assert not circles("1 + 2 = 3 and 3 + 4 = 7")


PROMPTS = ["a = 3 ; find a :", "so", "b = 4 ; c = b + 1 ; so c ?", "d", "e = 2 ;"]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    tokenizer = word_tokenizer()
    return Checkpoint.load(tiny_model("llama", len(tokenizer)), tokenizer=tokenizer)


def alone(checkpoint: Checkpoint, prompt: str, stop: list[str]) -> str:
    return generate(checkpoint, [prompt], max_new_tokens=5, stop=stop).texts[0]


def test_answers_are_greedy_and_graded_twice(checkpoint):
    plain = [alone(checkpoint, prompt, []) for prompt in PROMPTS]
    # The first is right in full, the second's last line but for its case, the third not at all.
    wanted = [plain[0], plain[1].upper() if plain[1] != plain[1].upper() else f" {plain[1]}.", "nothing"]
    task = task_of([*wanted, *plain[3:]], PROMPTS, grader=Grader(kind="exact"))
    done: list[int] = []
    found = greedy(checkpoint, task, task.split("test"), batch_size=2, progress=done.append)
    assert found.texts == plain
    assert found.strict.tolist() == [True, False, False, True, True]
    # What was cut is right only where it is an answer as a whole: the second may be on its way to another.
    assert found.lenient.tolist() == [True, False, False, True, True]
    assert sum(done) == len(PROMPTS)
    cut = [generate(checkpoint, [prompt], max_new_tokens=5).cut[0] for prompt in PROMPTS]
    assert found.unfinished.tolist() == [
        at and text not in {*wanted, *plain[3:]} and not circles(text)
        for at, text in zip(cut, plain, strict=True)
    ]


def test_answers_end_at_the_tasks_stop_texts(checkpoint):
    word = alone(checkpoint, PROMPTS[0], []).split()[2]
    task = task_of(["0"] * len(PROMPTS), PROMPTS, stop=[word])
    found = greedy(checkpoint, task, task.split("test"))
    assert found.texts == [alone(checkpoint, prompt, [word]) for prompt in PROMPTS]
    assert word not in found.texts[0]


def test_samples_are_graded_problem_by_problem(checkpoint):
    k, asked = 6, [PROMPTS[i] for i in (0, 2, 4)]
    own = seeds(task_of(["0"] * 3).split("test"), 3)
    texts = generate(checkpoint, asked, max_new_tokens=5, samples=k, temperature=2.0, seed=own).texts
    rows = [texts[i * k : (i + 1) * k] for i in range(3)]
    ends_in = Grader(kind="regex", pattern=r"(\S+)\s*$")
    task = task_of([row[0].split()[-1] for row in rows], asked, grader=ends_in)
    problems = task.split("test")
    found = sampled(checkpoint, task, problems, samples=k, temperature=2.0, seed=3, batch_size=5)
    assert found.texts == rows
    wanted = [
        [grade(task.grader, text, problem.answer).lenient for text in row]
        for problem, row in zip(problems, rows, strict=True)
    ]
    assert found.right.tolist() == wanted
    assert 0 < found.right.mean() < 1, "the samples tell nothing apart"
    # Whatever stands beside a problem, and wherever: its samples are the same.
    turned = sampled(checkpoint, task, problems[:0:-1], samples=k, temperature=2.0, seed=3)
    assert turned.texts == rows[:0:-1]


def test_unfinished_samples_have_no_vote():
    task = task_of(["7"])
    texts = [["so 7", "it is 3", "it is 3", "7"]]
    samples = Samples(
        texts, np.zeros((1, 4), bool), np.ones((1, 4), int), np.array([[False, True, True, False]])
    )
    assert majority(task, task.split("test"), samples).texts == ["so 7"]


def test_an_output_s_opening_keeps_the_space_that_its_tokens_do_not_say():
    """Of a tokenizer of whole words the output after `answer` decodes to `5`: it reads `answer 5`."""
    checkpoint, task = Checkpoint.load(zoo("base")), new_chain(0, train=4, dev=4, test=40, ood=4)
    problems = task.split("test")
    begun = [f"{each.prompt} {each.trace.rpartition('answer')[0]}answer" for each in problems if each.trace]
    found = greedy(checkpoint, task, problems, prompts=begun, opening="answer")
    assert all(text.startswith("answer ") for text in found.texts)
    assert found.lenient.mean() > 0.9


def test_each_output_has_its_own_opening():
    checkpoint, task = Checkpoint.load(zoo("base")), new_chain(0, train=4, dev=4, test=6, ood=4)
    problems = task.split("test")
    heads = ["", *(str(each.trace).rpartition("answer")[0].strip() for each in problems[1:])]
    begun = [f"{each.prompt} {head}".strip() for each, head in zip(problems, heads, strict=True)]
    found = greedy(checkpoint, task, problems, prompts=begun, opening=heads)
    alone = [
        greedy(checkpoint, task, [each], prompts=[prompt], opening=head).texts[0]
        for each, prompt, head in zip(problems, begun, heads, strict=True)
    ]
    assert found.texts == alone
    assert all(text.startswith(head) for text, head in zip(found.texts, heads, strict=True))
