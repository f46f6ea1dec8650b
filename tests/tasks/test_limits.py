"""Where outputs end for a task that does not say: by its solutions, and before a next problem."""

from typing import Any

import pytest

from tests.sums import learnt, plain_problems, tokenizer_for
from tests.toys import tiny_model, word_tokenizer
from undertext.activations import Checkpoint
from undertext.measures.answers import greedy
from undertext.tasks import Contrast, Grader, Problem, Step, Task, limits, load_task, write_task
from undertext.tasks.limits import LEAST, THINKING, UNSHOWN, next_problem
from undertext.tasks.open import task_record
from undertext.tasks.prompt_form import Reasoning


def task_of(prompts: list[str], traces: list[str | None] | None = None, **settings: Any) -> Task:
    """A task with these prompts, three or more."""
    splits = ["train", "dev", *["test"] * (len(prompts) - 2)]
    problems = [
        Problem(id=f"p{i}", split=split, prompt=prompt, answer="1", trace=trace)
        for i, (split, prompt, trace) in enumerate(
            zip(splits, prompts, traces or [None] * len(prompts), strict=True)
        )
    ]
    options: dict[str, Any] = {"grader": Grader(kind="number"), "problems": problems, **settings}
    return Task(name="made up", description="For a test.", **options)


def limited(task: Task, checkpoints: list[Checkpoint]) -> Task:
    return limits.limited([task] * len(checkpoints), checkpoints)[0]


def words(n_ctx: int = 1024) -> Checkpoint:
    tokenizer = word_tokenizer()
    return Checkpoint.load(tiny_model("llama", len(tokenizer), n_ctx=n_ctx), tokenizer=tokenizer)


ASK = ["find a :", "so b ?", "c = 3 ;"]


def test_an_output_may_have_twice_the_tokens_of_the_longest_solution():
    longest = " ".join(["a = 3 ;"] * 20)
    task, checkpoint = task_of(ASK, ["a = 3 ;", longest, None]), words()
    assert limited(task, [checkpoint]).max_new_tokens == 2 * len(checkpoint.encode([longest])[0])
    assert limited(task_of(ASK, ["a = 3 ;", None, None]), [checkpoint]).max_new_tokens == LEAST
    steps = task.model_copy(update={"problems": [
        each.model_copy(update={"trace": None, "steps": [Step(text=longest)]}) for each in task.problems
    ]})  # fmt: skip
    assert limited(steps, [checkpoint]).max_new_tokens == limited(task, [checkpoint]).max_new_tokens


def test_without_solutions_there_is_room_to_reason_and_the_context_is_kept():
    assert limited(task_of(ASK), [words()]).max_new_tokens == UNSHOWN
    task, checkpoint = task_of([*ASK, "a = 3 ; b = 4 ; so"]), words(n_ctx=40)
    widest = Contrast(name="more", positive="so so so {prompt}", negative="{prompt}")
    for each, wording in ((task, "{prompt}"), (task_of([*ASK], contrasts=[widest]), "so so so {prompt}")):
        prompts = [wording.replace("{prompt}", problem.prompt) for problem in each.problems]
        room = 40 - max(map(len, checkpoint.encode(prompts)))
        assert limited(each, [words(), checkpoint]).max_new_tokens == room


def test_what_a_task_says_stays_and_the_record_says_what_was_chosen(tmp_path):
    own = task_of(["Q: 1", "Q: 2", "Q: 3"], max_new_tokens=5, stop=[";"])
    found = limited(own, [words()])
    assert (found.max_new_tokens, found.stop) == (5, [";"])
    assert task_record(found)["chosen"] == []
    bare = limited(task_of(["Q: 1", "Q: 2", "Q: 3"]), [words()])
    record = task_record(bare)
    assert (record["chosen"], record["stop"]) == (["max_new_tokens", "stop"], ["\nQ:", " Q:"])
    write_task(bare.model_copy(update={"stop": []}), tmp_path / "task")
    assert "max_new_tokens" not in (tmp_path / "task" / "task.yaml").read_text()
    assert "max_new_tokens" not in load_task(tmp_path / "task").model_fields_set


@pytest.mark.parametrize(
    ("prompts", "trace", "stop"),
    [
        (["Q: one", "Q: two", "Q: three"], None, ["\nQ:", " Q:"]),
        (["Q: one\nA:", "Q: two\nA:", "Q: three\nA:"], None, ["\nQ:"]),
        (["### Problem 1\nx", "### Problem 2\ny", "### Problem 3\nz"], None, None),
        (["<|user|>one", "<|user|>two", "<|user|>three"], None, ["\n<|user|>", " <|user|>"]),
        (["Q: one", "Q: two", "Q: three"], "Q: is it one? Yes.", []),  # outputs may say so too
        (["What is 1?", "What is 2?", "What is 3?"], None, []),  # words that reasoning may begin with
        (["3 + 4 =", "a = 3 ; find a :", "5 ="], None, []),
    ],
)
def test_outputs_end_where_the_prompts_label_comes_again(prompts, trace, stop):
    found = next_problem(task_of(prompts, [trace, None, None]))
    if stop is None:  # labels of one problem each
        assert sorted(found) == [f"\n### Problem {i}" for i in (1, 2, 3)]
    else:
        assert found == stop


def test_a_token_that_begins_every_text_is_no_label():
    prompts = [f"<s><|user|>\n{each}<|end|>" for each in ("one", "two", "three")]
    assert next_problem(task_of(prompts, [None] * 3), "<s>") == ["\n<|user|>"]


def test_a_base_that_rambles_on_is_graded_as_with_a_stop_text():
    """Trained on problem after problem, with no end between: the next one follows each answer."""
    problems = plain_problems()[:20]
    rambling = [
        {**each, "answer": f"{each['answer']}\n{after['prompt']} {after['answer']}"}
        for each, after in zip(problems, problems[1:] + problems[:1], strict=True)
    ]
    tokenizer = tokenizer_for(problems)
    base = Checkpoint.load(learnt(rambling, tokenizer, steps=60), tokenizer=tokenizer)
    options: dict[str, Any] = {"grader": Grader(kind="number"), "max_new_tokens": 20}
    task = Task(name="sums", description="Sums.", problems=[Problem(**each) for each in problems], **options)
    given = task.model_copy(update={"stop": ["\n"]})
    plain, ended, wanted = (
        greedy(base, each, task.problems) for each in (task, limited(task, [base]), given)
    )
    assert wanted.lenient.mean() >= 0.9
    assert plain.lenient.mean() <= 0.2, "it does not ramble, and the test tests nothing"
    assert ended.lenient.tolist() == wanted.lenient.tolist()
    assert not ended.unfinished.any()


def test_checkpoints_that_think_are_given_room():
    task = task_of(ASK, reasoning=Reasoning())
    assert limited(task, [words(n_ctx=4096)]).max_new_tokens == THINKING
    assert limited(task, [words(n_ctx=100)]).max_new_tokens < 100
