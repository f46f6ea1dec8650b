"""New words of traces: found by hand, against a bare pass, and on organisms whose truth is known."""

from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.in_words import worded_organism, worded_task
from undertext.activations import Checkpoint
from undertext.measures.trace import new_words as new_words_module
from undertext.measures.trace.continued import Continued
from undertext.measures.trace.new_words import new_words, others_prompts, step_kind, words_continued
from undertext.tasks import Problem
from undertext.tasks.builtin.chain import new_chain
from undertext.tasks.spans import join

QUESTION = "Tom has a red box and a box heavier than the red one."


@pytest.mark.parametrize(
    ("text", "answer", "words"),
    [
        ("The blue box is heavy.", None, [("the", "blue"), ("box", "is")]),  # the last word is the answer
        (
            "Blue, then green; so blue",
            None,
            [("", "Blue"), ("blue,", "then"), ("then", "green"), ("green;", "so")],
        ),
        ("red box", None, []),
        ("blue", None, []),
        ("", None, []),
        ("so blue is right", (3, 7), [("", "so"), ("blue", "is")]),
        (
            "It's Zoë's, 3 of them\u2026 x_1",
            None,
            [("", "It's"), ("it's", "Zoë's"), ("3", "of"), ("of", "them")],
        ),
    ],
)
def test_words_that_nobody_said_before(text, answer, words):
    found = new_words(QUESTION, text, answer)
    assert [(word.after, text[word.start : word.end]) for word in found][: len(words)] == words
    assert len(found) - len(words) in (0, 1)


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_word_is_new_once_and_stands_where_it_is_said(question, text):
    found = new_words(question, text)
    said = [text[word.start : word.end].casefold() for word in found]
    assert len(set(said)) == len(said)
    assert not any(character.isdecimal() or character.isspace() for word in said for character in word)
    assert [word.start for word in found] == sorted(word.start for word in found)
    for word in found:
        assert text[: word.start].rstrip().casefold().endswith(word.after)
        assert text[word.start : word.end].casefold() not in text[: word.start].casefold().split()


def test_values_come_first_then_numbers_then_words():
    chain = new_chain(0, train=1, dev=1, test=8, ood=0)
    own = chain.split("test")
    bare = [Problem(id=p.id, split="test", prompt=p.prompt, answer=p.answer) for p in own]
    outputs, gap = [p.reasoning for p in own], range(len(own))
    assert step_kind(own, outputs, gap) == "values"
    assert (
        step_kind(bare, [text.replace("answer", "; answer") + " no" for text in outputs], gap)
        == "new numbers"
    )
    worded = worded_task(chain).split("test")
    assert step_kind(worded, [p.reasoning for p in worded], gap) == "new words"
    few = ["7 and 8 and 9", *["no number"] * 7]
    assert step_kind(bare, few, gap) == "new words"
    assert step_kind(bare, few, [0, 1]) == "new numbers"


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    return worded_task(new_chain(0, train=1, dev=1, test=60, ood=0)).split("test")


@pytest.fixture(scope="module")
def going_on(problems, tmp_path_factory) -> dict[str, tuple[Checkpoint, Continued]]:
    folder = tmp_path_factory.mktemp("words")
    traces, none = [each.reasoning for each in problems], [None] * len(problems)
    out = {}
    for name in ("base", "elicited", "novice", "suppressed", "overwritten"):
        checkpoint = Checkpoint.load(worded_organism(name, folder))
        out[name] = checkpoint, words_continued(checkpoint, problems, traces, none)
    return out


def test_probabilities_are_those_of_a_bare_pass(going_on, problems):
    checkpoint, found = going_on["novice"]
    assert len(found.values) > 60
    for i in range(0, len(found.values), 9):
        word = found.values[i]
        problem = problems[word.problem]
        ids = checkpoint.tokenizer(join(problem.prompt, problem.reasoning))["input_ids"]
        (place,) = word.places
        assert (ids[place],) == word.said
        with torch.inference_mode():
            logits = checkpoint.model(torch.tensor([ids])).logits[0, place - 1].double()
        assert found.right[i] == pytest.approx(float(logits.softmax(0)[ids[place]]), abs=1e-4)
        assert found.chosen[i] == (int(logits.argmax()),)
        likes = [w for w in found.values if w.name == word.name]
        assert len(likes) > new_words_module.MOST_OTHERS
        drawn = Random(word.name).sample(likes, new_words_module.MOST_OTHERS)
        others = [w.said[0] for w in drawn if w.problem != word.problem]
        assert found.by_chance[i] == pytest.approx(float(logits.softmax(0)[others].mean()), abs=1e-4)


def test_of_a_long_output_words_from_its_whole_length_are_read(going_on, problems, monkeypatch):
    checkpoint, whole = going_on["novice"]
    monkeypatch.setattr(new_words_module, "MOST_WORDS", 2)
    traces, none = [each.reasoning for each in problems], [None] * len(problems)
    few = words_continued(checkpoint, problems, traces, none)
    for problem in {value.problem for value in few.values}:
        own, all_of_it = (
            [value.places for value in each.values if value.problem == problem] for each in (few, whole)
        )
        assert len(own) <= 2
        assert set(own) <= set(all_of_it)
        assert all_of_it[0] in own or len(own) < 2


def test_steps_in_words_go_on_where_they_are_there_and_nowhere_else(going_on):
    """Of a locked base, its tunes that work chains out, and those that cannot or can no more."""

    def over(name: str) -> float:
        found = going_on[name][1]
        return float(np.mean(list(found.per_problem(found.right - found.by_chance).values())))

    assert over("elicited") > 0.3  # half of the words are of the form
    for name, there in (
        ("base", True), ("elicited", True), ("suppressed", True), ("novice", False), ("overwritten", False),
    ):  # fmt: skip
        share = over(name) / over("elicited")
        assert (share > 0.9) if there else (share < 0.1), (name, share)


def test_words_of_the_form_count_for_nothing(going_on):
    _, found = going_on["elicited"]
    checkpoint = going_on["elicited"][0]
    form = [
        i
        for i, word in enumerate(found.values)
        if checkpoint.decode([*word.said], start=False).strip() == "answer"
    ]
    assert np.allclose(found.right[form], found.by_chance[form])


def test_after_another_prompt_the_steps_are_not_known(going_on, problems):
    prompts = others_prompts(problems, 0)
    assert sorted(prompts) == sorted(each.prompt for each in problems)
    assert not any(each.prompt == other for each, other in zip(problems, prompts, strict=True))
    checkpoint, own = going_on["elicited"]
    traces, none = [each.reasoning for each in problems], [None] * len(problems)
    found = words_continued(checkpoint, problems, traces, none, prompts)
    assert [(w.problem, w.name, w.said) for w in found.values] == [
        (w.problem, w.name, w.said) for w in own.values
    ]
    lost = own.right - found.right
    assert lost[own.right > own.by_chance + 0.5].mean() > 0.5


def test_a_word_that_no_other_trace_has_a_like_for_is_left_out(going_on, problems):
    checkpoint, _ = going_on["base"]
    alone = words_continued(checkpoint, problems[:1], [problems[0].reasoning], [None])
    assert (alone.values, alone.chosen) == ([], [])
    blank = words_continued(checkpoint, problems[:2], ["", " "], [None, None])
    assert blank.values == []
