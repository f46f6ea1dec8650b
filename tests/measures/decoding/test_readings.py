"""What is read off activations: at the right places, against the right nulls, all chosen on dev."""

import random
from typing import Any

import pytest
import torch

from tests.sums import blank, tokenizer_for, worked_problems
from tests.toys import tiny_model, word_tokenizer
from undertext.activations import Checkpoint, HookPoint
from undertext.activations.random_init import random_init
from undertext.measures.decoding.readings import Readings, measure_other, measure_own
from undertext.probes import fit_select
from undertext.tasks import Grader, Problem, Task
from undertext.tasks.value_positions import reading_text
from undertext.tasks.value_tokens import MIN_ROWS, ValueTokens, locate_values, readable_values

POINTS = [HookPoint(layer, "resid_post") for layer in range(3)]


def task_of(problems: list[dict[str, Any]]) -> Task:
    made = [Problem(**{"id": str(k), "answer": "0", **each}) for k, each in enumerate(problems)]
    return Task(name="made up", description="For a test.", grader=Grader(kind="number"), problems=made)


def read(weaker: Checkpoint, stronger: Checkpoint, task: Task, splits: list[str]) -> Readings:
    own = measure_own(weaker, task, splits, POINTS, max_classes=20, seed=0)
    return measure_other(own, weaker, stronger, POINTS, seed=0)


@pytest.fixture(scope="module")
def words() -> Checkpoint:
    tokenizer = word_tokenizer()
    return Checkpoint.load(tiny_model("llama", len(tokenizer)), tokenizer=tokenizer)


def test_every_value_is_read_just_before_it_is_said():
    problems = worked_problems()
    tokenizer = tokenizer_for(problems)
    checkpoint = Checkpoint.load(blank(tokenizer, 0), tokenizer=tokenizer)
    task = Task(
        name="sums",
        description="Sums.",
        grader=Grader(kind="number"),
        problems=[Problem(**{**each, "answer": str(each["answer"])}) for each in problems],
    )
    sites = locate_values(checkpoint, task.problems)
    assert len(sites.label) == 2 * len(problems)
    for row, (problem, label) in enumerate(zip(sites.problem.tolist(), sites.label, strict=True)):
        text = reading_text(task.problems[problem])
        before = checkpoint.decode(sites.window(row))
        assert text.startswith(before.rstrip())
        assert text[len(before.rstrip()) :].lstrip().startswith(f"{label};")
        assert label == str(problems[problem]["steps"][row % 2]["values"][sites.name[row]])
    # And what is captured there is what a bare pass over the text has at that token.
    found = sites.activations(checkpoint, POINTS[:1])
    assert found.shape == (1, len(sites.label), checkpoint.d_model)
    for row in (0, 7, 101):
        ids = torch.tensor([sites.tokens[int(sites.problem[row])]])
        # The second block's input is the first one's output.
        hidden = checkpoint.model(ids, output_hidden_states=True).hidden_states[1]
        torch.testing.assert_close(found[0, row], hidden[0, sites.position[row]], rtol=1e-4, atol=1e-4)


def test_what_can_be_read_has_few_classes_and_enough_rows():
    def sites(**labels: list[str]) -> ValueTokens:
        rows = [(name, label) for name, each in labels.items() for label in each]
        n = len(rows)
        return ValueTokens(
            [[1]] * n, torch.arange(n), [0] * n, [name for name, _ in rows], [label for _, label in rows]
        )

    both = ["b", "a"] * MIN_ROWS
    made = sites(
        two=both, one=["a"] * MIN_ROWS, rare=both[: MIN_ROWS - 1], many=list(map(str, range(2 * MIN_ROWS)))
    )
    assert readable_values(made, 20) == {"two": ["a", "b"]}
    assert set(readable_values(made, 2 * MIN_ROWS)) == {"two", "many"}


def copied(n: int, split: str, rng: random.Random, ending: str = "") -> list[dict[str, Any]]:
    """Problems whose value stands in the prompt, a few words from its end."""
    made = []
    for _ in range(n):
        value, other = rng.randrange(4), rng.randrange(10)
        made.append(
            {"split": split, "prompt": f"a = {value} ; b = {other} ;{ending}", "values": {"v": value}}
        )
    return made


@pytest.fixture(scope="module")
def measured(words: Checkpoint) -> tuple[Task, Readings, Checkpoint]:
    rng = random.Random(0)
    parts = {"train": 120, "dev": 60, "test": 50, "ood": 30}
    problems = [each for split, n in parts.items() for each in copied(n, split, rng)]
    problems[-1]["values"] = {"v": 9}  # never shown in train
    task = task_of(problems)
    tokenizer = word_tokenizer()
    stronger = Checkpoint.load(tiny_model("llama", len(tokenizer), seed=5), tokenizer=tokenizer)
    return (
        task,
        read(words, stronger, task, ["test", "ood"]),
        stronger,
    )


def labels_of(task: Task, split: str) -> torch.Tensor:
    return torch.tensor([min(int(p.values["v"]), 4) for p in task.split(split)])


def test_probes_are_fitted_on_train_and_chosen_on_dev(measured, words):
    task, readings, stronger = measured
    splits = ("train", "dev", "test", "ood")
    sites = {split: locate_values(words, task.split(split)) for split in splits}
    for source, checkpoint in (
        ("weaker", words),
        ("stronger", stronger),
        ("random_init", random_init(words, seed=11)),
    ):
        X = {split: each.activations(checkpoint, POINTS) for split, each in sites.items()}
        wanted = fit_select(X["train"], labels_of(task, "train"), X["dev"], labels_of(task, "dev"))
        assert readings.chosen["v", source] == wanted.layer
        assert torch.equal(readings.strength["v", source], wanted.strengths)
        for split in splits:
            right = wanted.correct(X[split], labels_of(task, split))
            assert torch.equal(readings.right["v", split][source], right)
            assert readings.accuracy("v", split, source) == pytest.approx(
                right[wanted.layer].float().mean().item()
            )
        if source == "stronger":  # its probes, on the weaker's activations
            X = {split: each.activations(words, POINTS) for split, each in sites.items()}
            for split in splits:
                moved = wanted.correct(X[split], labels_of(task, split))
                assert torch.equal(readings.right["v", split]["transported"], moved)


def test_a_value_that_train_never_showed_is_never_read_right(measured):
    _, readings, _ = measured
    for source in ("weaker", "stronger", "transported", "surface", "random_init"):
        assert not readings.right["v", "ood"][source][:, -1].any()


def test_figures_are_shares_of_a_problems_rows(measured):
    _, readings, _ = measured
    found = readings.per_problem(["v"], "test", lambda _: "weaker")
    assert found == {i: float(ok) for i, ok in enumerate(readings.at_chosen("v", "test", "weaker").tolist())}


def test_an_ending_that_all_prompts_share_does_not_make_the_control_perfect(words):
    rng = random.Random(0)
    ending = " so the answer is : answer ="
    problems = [
        each
        for split, n in (("train", 120), ("dev", 60), ("test", 60))
        for each in copied(n, split, rng, ending)
    ]
    readings = read(words, words, task_of(problems), ["test"])
    assert readings.accuracy("v", "dev", "control") < 0.9


def test_values_that_a_split_does_not_name_are_left_out(words):
    rng = random.Random(0)
    problems = [each for split in ("train", "dev", "test") for each in copied(60, split, rng)]
    for each in problems:
        if each["split"] != "dev":
            each["values"] = {**each["values"], "elsewhere": each["values"]["v"]}
    for each in problems[120:]:
        each["values"] = {"elsewhere": 0, "other": 1}
    readings = read(words, words, task_of(problems), ["test"])
    assert list(readings.classes) == ["v"]
    assert {split: len(right["weaker"][0]) for (_, split), right in readings.right.items()} == {
        "train": 60, "dev": 60, "test": 0,
    }  # fmt: skip
