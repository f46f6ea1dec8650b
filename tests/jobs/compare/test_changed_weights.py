"""A change too small to erase anything: what the base keeps under one of the same size."""

from dataclasses import replace

import numpy as np
import pytest

from tests.toys import random_model, save_folder, tiny_config, word_tokenizer
from tests.verdicts import GONE, KNOWN, RULE, N, judged, kept, line
from undertext.activations.pair import load_pair
from undertext.core.statistics import resample_weights
from undertext.jobs.compare.changed_weights import OtherWeights, Withstood, ask_other_weights, withstood
from undertext.measures.answers import Answers, greedy
from undertext.tasks import Grader, Problem, Task


@pytest.mark.parametrize(
    ("share", "verdict"),
    [(0.0, "overwritten"), (0.4, "overwritten"), (0.5, "overwritten"), (0.9, "undetermined")],
)
def test_nothing_is_gone_where_a_change_of_this_size_takes_little(share, verdict):
    found = judged(KNOWN, "tuned", GONE, withstood=kept(share))  # type: ignore[arg-type]
    assert found.verdict == verdict
    assert found.withstood is not None
    assert found.withstood.value == pytest.approx(share)
    said = [flag for flag in found.flags if flag.startswith("small change")]
    assert len(said) == (verdict == "undetermined")
    assert not any("would be enough" in flag for flag in found.flags)
    if said:
        assert f"keeps {share:.2f} [" in said[0]
        assert found.stability > 0.9


def test_what_is_kept_by_chance_does_not_count():
    for chance in (0.0, 0.5):
        assert kept(0.6, chance).share(RULE.level).value == pytest.approx(0.6)
    assert judged(KNOWN, "tuned", GONE, withstood=kept(0.0, 0.5)).verdict == "overwritten"  # type: ignore[arg-type]


def test_what_opens_is_suppressed_however_large_the_change():
    found = [*GONE[1:], line("behaviour", np.ones(N), np.arange(N))]
    for share in (0.0, 1.0):
        result = judged(KNOWN, "tuned", found, withstood=kept(share))  # type: ignore[arg-type]
        assert result.verdict == "suppressed"
        assert not any(flag.startswith("small change") for flag in result.flags)


def test_where_another_checkpoint_solves_nothing_nothing_is_refused_for_the_size_of_the_change():
    """A verdict that something was never there rests on no change."""
    both = {"base": KNOWN["tuned"], "tuned": KNOWN["base"]}
    result = judged(both, "base", GONE[:-1])  # type: ignore[arg-type]
    assert (result.verdict, result.withstood) == ("taught", None)


@pytest.mark.parametrize(
    ("read", "null", "verdict"),
    [
        (0.0, 0.0, "overwritten"),
        (0.6, 0.0, "undetermined"),
        (0.6, 1.0, "overwritten"),  # the stronger's own is at the null: nothing is read on this split
        (0.6, 0.94, "overwritten"),  # surely over it, and too little to take a share of
        (0.6, 0.85, "overwritten"),  # over it by more, and surely not read
    ],
)
def test_a_reading_counts_where_the_stronger_s_values_are_read_on_the_split(read, null, verdict):
    own = line("decodable", np.arange(N) < read * N, np.arange(N))
    read_by_chance = replace(own, null=(np.arange(N) < null * N).astype(float))
    found = judged(KNOWN, "tuned", [*GONE, read_by_chance], withstood=kept(0.0))  # type: ignore[arg-type]
    assert found.verdict == verdict


def test_shares_of_resamples_are_those_of_the_problems_drawn():
    rng = np.random.default_rng(0)
    some = Withstood(*(rng.random((3, N)) < [[0.7], [0.9], [0.1]]).astype(float))
    weights = resample_weights(N, 1, 20)
    found = some.shares(weights, 0.95)
    for i, own in enumerate(weights):
        means = [float(own @ column / N) for column in (some.kept, some.whole, some.null)]
        assert found.value[i] == pytest.approx((means[0] - means[2]) / (means[1] - means[2]))
    assert some.share(0.95).n == N


def task_of(texts: list[str]) -> Task:
    return Task(
        name="t",
        description="d",
        grader=Grader(kind="regex", pattern=r"(\w+)"),
        max_new_tokens=3,
        problems=[
            *(Problem(id=str(i), split="test", prompt=text, answer="w1") for i, text in enumerate(texts)),
            *(
                Problem(id=split, split=split, prompt=f"w9 {split}", answer="w1")
                for split in ("train", "dev")
            ),
        ],
    )


def test_both_are_asked_under_other_weights_and_have_their_own_afterwards(tmp_path):
    tokenizer = word_tokenizer()
    config = tiny_config("llama", len(tokenizer))
    for name, seed in (("base", 0), ("tuned", 1)):
        save_folder(tmp_path / name, random_model(config, seed=seed), tokenizer)
    pair = load_pair(tmp_path / "base", tmp_path / "tuned")
    task = task_of([f"w{i} w{i + 1}" for i in range(12)])
    own = [greedy(each, task, task.split("test")).texts for each in (pair.tuned, pair.base)]
    found = ask_other_weights(pair.tuned, pair.base, task, task, "test", 512, 0, lambda n: None)
    assert isinstance(found, OtherWeights)
    assert [greedy(each, task, task.split("test")).texts for each in (pair.tuned, pair.base)] == own
    assert found.undone.texts != own[0]
    assert found.at_random.texts != own[1]
    again = ask_other_weights(pair.tuned, pair.base, task, task, "test", 512, 0, lambda n: None)
    assert isinstance(again, OtherWeights)
    assert again.at_random.texts == found.at_random.texts
    # Of a checkpoint and itself nothing moves.
    same = ask_other_weights(pair.base, pair.base, task, task, "test", 512, 0, lambda n: None)
    assert isinstance(same, OtherWeights)
    assert (same.undone.texts, same.at_random.texts) == (own[1], own[1])
    whole = greedy(pair.base, task, task.split("test"))
    assert withstood(same.at_random, task, "test", whole).kept.tolist() == whole.lenient.tolist()


def test_why_there_is_nothing_between_is_said(tmp_path):
    tokenizer = word_tokenizer()
    for shape in ("llama", "gpt2"):
        save_folder(tmp_path / shape, random_model(tiny_config(shape, len(tokenizer))), tokenizer)
    pair = load_pair(tmp_path / "llama", tmp_path / "gpt2")
    task = task_of(["w1 w2"])
    why = ask_other_weights(pair.tuned, pair.base, task, task, "test", 512, 0, lambda n: None)
    assert isinstance(why, str)
    assert why.startswith("`undone` was not measured, nor whether a change of this size can erase anything")


def test_null_of_the_moved_one_is_what_its_outputs_score_on_other_problems():
    task = task_of([f"w{i}" for i in range(10)])
    problems = [each.model_copy(update={"answer": f"w{i % 2}"}) for i, each in enumerate(task.problems)]
    task = task.model_copy(update={"problems": problems})
    texts = ["w0"] * 10
    right = np.array([each.answer == "w0" for each in task.split("test")])
    moved = Answers(texts, right, right, np.ones(10), np.zeros(10, bool))
    found = withstood(moved, task, "test", moved)
    assert found.null.mean() == pytest.approx((5 * 4 / 9 + 5 * 5 / 9) / 10)


@pytest.mark.parametrize(("share", "verdict"), [(0.9, "suppressed"), (0.0, "undetermined")])
def test_half_of_the_way_back_counts_where_the_change_is_small(share, verdict):
    """Of a large change midway may lie what the base knows; that it is gone is then not said either."""
    lines = [*GONE[:-1], line("undone", np.ones(N), np.arange(N))]
    found = judged(KNOWN, "tuned", lines, withstood=kept(share))  # type: ignore[arg-type]
    assert found.verdict == verdict
    assert not any(flag.startswith("small change") for flag in found.flags)
