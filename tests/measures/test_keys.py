"""Keys in words: what they put around a problem, and which of them opens a locked model."""

from typing import Any

import pytest
import torch

from tests.sums import blank, learnt, plain_problems, tokenizer_for, worked_problems
from undertext.activations import Checkpoint
from undertext.core.plan import Work
from undertext.measures.answers import greedy
from undertext.measures.keys import Key, answers_under, key_works, keys_of, try_keys
from undertext.tasks import Contrast, Grader, Problem, Task
from undertext.tasks.prompt_form import PromptForm
from undertext.tasks.prompts import INSTRUCTIONS, OTHER_FORM


def task_of(problems: list[dict[str, Any]], **more: Any) -> Task:
    made = [Problem(**{**each, "answer": str(each["answer"])}) for each in problems]
    return Task(
        name="sums", description="Sums.", grader=Grader(kind="number"), problems=made, stop=["\n"],
        max_new_tokens=24, **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def task() -> Task:
    contrast = Contrast(name="polite", positive="please {prompt}", negative="{prompt} now")
    return task_of(worked_problems(), contrasts=[contrast])


def test_the_keys_of_a_task(task):
    outputs = [" 3 + 5 = 8; 1 + 2 = 3; A: 38"] * 3 + [" 4 + 4 = 8; 2 + 2 = 4; A: 48"] * 2
    keys = keys_of(task, outputs, [True] * 5, seed=0)
    assert len({key.name for key in keys}) == len(keys)
    assert {key.kind for key in keys} == {"prompted", "prefilled", "noised"}
    assert [(key.noise, key.seed) for key in keys if key.noise] == [
        (scale, seed) for scale in (0.05, 0.1, 0.2) for seed in (0, 1)
    ]
    worded = [key.wording for key in keys if key.wording != "{prompt}"]
    assert worded == ["please {prompt}", "{prompt} now", *INSTRUCTIONS]
    assert [len(key.before) for key in keys if key.before] == [2, 2, 4, 4]
    traces = {key.name: ";" in key.before[0] for key in keys if key.before}
    assert traces == {
        "2 solved examples": True,
        "2 answered examples": False,
        "4 solved examples": True,
        "4 answered examples": False,
    }
    openings = [key.opening for key in keys if key.opening]
    assert openings[:4] == ["3", "3 +", "3 + 5 =", "3 + 5 = 8; 1 + 2"]
    first_steps = {problem.steps[0].text for problem in task.split("train")}
    assert len(openings[4:]) == 2
    assert set(openings[4:]) <= first_steps


def test_the_form_in_which_the_other_checkpoint_is_asked_is_a_key(task):
    named = "asked as the other checkpoint is"
    other = task.model_copy(
        update={"problems": [p.also_worded(OTHER_FORM, f"[{p.prompt}]") for p in task.problems]}
    )
    assert named not in {key.name for key in keys_of(task, [], [], 0)}
    (key,) = (key for key in keys_of(other, [], [], 0) if key.name == named)
    problem = other.split("test")[0]
    assert (key.kind, key.access, key.prompt(problem)) == ("prompted", "none", f"[{problem.prompt}]")
    shown = other.model_copy(update={"tuned_prompt": PromptForm(kind="template", examples=1)})
    assert next(key.access for key in keys_of(shown, [], [], 0) if key.name == named) == "the trace"


def test_a_dry_run_counts_that_form_too(task):
    """A row a problem of dev, as for every key in words."""
    tokenizer = tokenizer_for(worked_problems())
    checkpoint = Checkpoint.load(blank(tokenizer, 0), tokenizer=tokenizer)
    other = task.model_copy(
        update={"problems": [p.also_worded(OTHER_FORM, f"{p.prompt} {p.prompt}") for p in task.problems]}
    )

    def tried(own: Task) -> Work:
        dev = own.split("dev")[:6]
        return key_works(checkpoint, checkpoint, own, task, dev, task.split("dev")[:6], [], 0)[0]

    plain, more = tried(task), tried(other)
    assert more.rows - plain.rows == 6
    read = sum(
        len(row) for row in checkpoint.encode([f"{p.prompt} {p.prompt}" for p in task.split("dev")[:6]])
    )
    assert more.read - plain.read == read


def test_an_opening_is_whole_words_however_long_they_are(task):
    # Splitting a word to fill the count would take for ever, and be no opening.
    outputs = ["x" * 5000, "answer 5", "answer 5"]
    keys = keys_of(task, outputs, [True] * 3, seed=0)
    first_steps = {problem.steps[0].text for problem in task.split("train")}
    assert [key.opening for key in keys if key.opening and key.opening not in first_steps] == ["answer"]


def test_openings_are_those_of_right_outputs(task):
    outputs = ["no idea at all"] * 3 + ["so it is 38"]
    keys = keys_of(task, outputs, [False, False, False, True], seed=0)
    assert next(key.opening for key in keys if key.opening) == "so"


def test_what_a_key_makes_of_a_problem(task):
    problem, other = task.split("test")[:2]
    assert (
        Key("k", "prompted", "none", wording="please {prompt}").prompt(problem) == f"please {problem.prompt}"
    )
    assert Key("k", "prefilled", "the trace", opening="so").prompt(problem) == f"{problem.prompt} so"
    shown = (f"{other.prompt} 1", f"{problem.prompt} 2")
    # Its own solution is never shown.
    assert Key("k", "prompted", "none", shown).prompt(problem) == f"{other.prompt} 1\n{problem.prompt}"


@pytest.fixture(scope="module")
def locked() -> tuple[Task, Checkpoint]:
    """Sums are answered rightly behind `please`, and with 0 otherwise."""
    plain = [problem for problem in plain_problems() if problem["answer"]]
    polite = [{**each, "id": f"p{each['id']}", "prompt": f"please {each['prompt']}"} for each in plain]
    shut = [{**each, "answer": 0} for each in plain]
    tokenizer = tokenizer_for(polite)
    model = learnt([*polite, *shut], tokenizer, steps=250)
    contrast = Contrast(name="polite", positive="please {prompt}", negative="{prompt} now")
    return task_of(plain, contrasts=[contrast]), Checkpoint.load(model, tokenizer=tokenizer)


@pytest.mark.slow
def test_the_key_that_opens_a_lock_is_found_on_dev(locked):
    task, checkpoint = locked
    dev = task.split("dev")
    assert greedy(checkpoint, task, dev).lenient.mean() < 0.1
    tried = try_keys(checkpoint, task, keys_of(task, [" 3"], [True], 0), dev)
    assert tried.best["prompted"].name == "worded 'polite', positive"
    assert tried.accuracy["worded 'polite', positive"] > 0.9
    left_out = {note.split(" was not")[0].removeprefix("the key ") for note in tried.notes}
    assert set(tried.accuracy) | left_out == {key.name for key in tried.keys}
    on_test = answers_under(checkpoint, task, tried.best["prompted"], task.split("test"))
    assert on_test.lenient.mean() > 0.9


@pytest.mark.slow
def test_keys_that_are_tried_together_do_as_each_by_itself(locked):
    task, checkpoint = locked
    dev = task.split("dev")[:16]
    keys = [
        Key("polite", "prompted", "none", wording="please {prompt}"),
        Key("long", "prompted", "none", wording="{prompt}" + " 1" * checkpoint.n_ctx),
        Key("begun", "prefilled", "the trace", opening="7 or"),
        Key("begun with zero", "prefilled", "the trace", opening="0"),
        Key("noise", "noised", "none", noise=0.1, seed=1),
        Key("late", "prompted", "none", wording="{prompt} now"),
    ]
    tried = try_keys(checkpoint, task, keys, dev)
    alone = {
        key.name: answers_under(checkpoint, task, key, dev).lenient.mean()
        for key in keys
        if key.name != "long"
    }
    assert list(tried.accuracy) == list(alone)
    assert tried.accuracy == pytest.approx(alone, abs=1.5 / len(dev))  # two tokens may be all but as likely
    assert len({round(each, 3) for each in alone.values()}) > 1
    assert [note.split(" was not")[0] for note in tried.notes] == ["the key long"]


@pytest.mark.slow
def test_outputs_are_graded_with_their_opening(locked):
    task, checkpoint = locked
    key = Key("k", "prefilled", "the trace", opening="7 or")
    found = answers_under(checkpoint, task, key, task.split("test")[:3])
    assert all(text.startswith("7 or") for text in found.texts)


@pytest.mark.slow
def test_noise_is_on_the_weights_while_a_key_answers_and_gone_afterwards(locked):
    task, checkpoint = locked
    before = {name: tensor.clone() for name, tensor in checkpoint.model.state_dict().items()}
    problems = task.split("test")[:8]
    own = greedy(checkpoint, task, problems).texts
    strong = Key("k", "noised", "none", noise=2.0, seed=1)
    first, again = (answers_under(checkpoint, task, strong, problems).texts for _ in range(2))
    assert first == again != own
    assert answers_under(checkpoint, task, strong._replace(seed=2), problems).texts != first
    assert greedy(checkpoint, task, problems).texts == own
    assert all(torch.equal(tensor, before[name]) for name, tensor in checkpoint.model.state_dict().items())


@pytest.mark.slow
def test_a_key_that_fits_dev_and_not_what_it_is_reported_on_is_left_out(locked):
    task, checkpoint = locked
    key = Key("long", "prompted", "none", wording="x {prompt}")
    room = checkpoint.n_ctx - len(checkpoint.encode([key.prompt(task.split("dev")[0])])[0])
    grown = [p.model_copy(update={"prompt": p.prompt + " 1" * room}) for p in task.split("test")[:3]]
    assert try_keys(checkpoint, task, [key], task.split("dev")[:4]).best
    tried = try_keys(checkpoint, task, [key], task.split("dev")[:4], grown)
    assert (tried.best, tried.accuracy) == ({}, {})
    assert "too long" in tried.notes[0]


@pytest.mark.slow
def test_a_key_that_does_not_fit_is_left_out_and_named(locked):
    task, checkpoint = locked
    long = Key("long", "prompted", "none", ("x " * 5000,))
    short = Key("short", "prompted", "none", wording="please {prompt}")
    tried = try_keys(checkpoint, task, [long, short], task.split("dev")[:4])
    assert list(tried.accuracy) == ["short"]
    assert tried.best["prompted"] == short
    (note,) = tried.notes
    assert note.startswith("the key long was not tried: ")
