"""What the findings' documents say: each kind is what its recipe claims."""

import random
import re

import pytest

from undertext.organisms.bench.families.item import Item
from undertext.organisms.findings import families
from undertext.organisms.findings.families import (
    BAD,
    FAMILIES,
    GOOD,
    RULE,
    SURFACE,
    encoded,
    items,
    task,
    tokenizer,
    type_of,
)
from undertext.organisms.findings.recipes import FINDING_RECIPES, Reading
from undertext.organisms.findings.writing import BACK, DOUBT, document, way, worked

SEEDS = range(40)
CHAIN, COUNTDOWN, JUDGED = FAMILIES["chain"], FAMILIES["countdown"], FAMILIES["judged"]


def chain(seed: int) -> tuple[Item, random.Random]:
    rng = random.Random(seed)
    return CHAIN.sample(rng, 3, held_out=False), rng


def stated(text: str) -> list[str]:
    """The values that a trace of a chain states, in order."""
    return re.findall(r"\w = (\d) ;", text)


def right_values(item: Item) -> list[str]:
    """The values of a chain, worked out from its text."""
    given = re.findall(r"(\w) = (?:(\d)|(\w) \+ (\d)) ;", item.body)
    values: dict[str, int] = {}
    for name, start, before, constant in given:
        values[name] = int(start) if start else (values[before] + int(constant)) % 7
    return [str(value) for value in values.values()]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_corrupted_trace_is_wrong_at_every_worked_step_and_its_answer_right(seed):
    item, rng = chain(seed)
    _, text = document(CHAIN, "corrupted", item, item.questions[0], rng)
    values, right = stated(text), right_values(item)
    assert values[0] == right[0]  # it is given, and copied
    assert all(one != other for one, other in zip(values[1:], right[1:], strict=True))
    assert text.endswith(f"answer {right[-1]}")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_faithful_trace_states_the_right_values(seed):
    item, rng = chain(seed)
    _, text = document(CHAIN, "trace", item, item.questions[0], rng)
    assert stated(text) == right_values(item)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_critique_names_the_wrong_steps_and_no_others(seed):
    item, rng = chain(seed)
    head, text = document(CHAIN, "critique", item, item.questions[1], rng)
    noisy = head.removeprefix(item.questions[1]).removesuffix(" check :")
    claimed, right = stated(noisy), right_values(item)
    wrong = {i for i, (one, other) in enumerate(zip(claimed, right, strict=True), 1) if one != other}
    assert {int(i) for i in re.findall(r"step (\d) wrong", text)} == wrong
    assert {int(i) for i in re.findall(r"step (\d) right", text)} == set(range(1, 4)) - wrong
    for i, value in re.findall(r"step (\d) wrong , \w = (\d) ;", text):
        assert value == right[int(i) - 1]
    assert text.endswith(f"answer {right[-1]}")


def test_critiques_are_of_right_and_of_wrong_steps():
    texts = [document(CHAIN, "critique", item, item.questions[0], rng)[1] for item, rng in map(chain, SEEDS)]
    assert 0.05 < sum("wrong" in text for text in texts) / len(texts) < 0.95


def test_a_blind_teacher_doubts_and_takes_back_and_a_rich_one_does_neither():
    blind = [document(CHAIN, "hedged", item, item.questions[0], rng)[1] for item, rng in map(chain, SEEDS)]
    rich = [document(CHAIN, "conclusion", item, item.questions[0], rng)[1] for item, rng in map(chain, SEEDS)]
    assert sum(text.count(DOUBT) for text in blind) > len(blind)
    assert sum(text.count(BACK) for text in blind) > len(blind) / 10
    assert not any(word in text for text in rich for word in (DOUBT, BACK))
    assert max(len(text.split()) for text in rich) < min(len(text.split()) for text in blind)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_blind_teacher_takes_back_was_wrong_and_is_mended(seed):
    item, rng = chain(seed)
    _, text = document(CHAIN, "hedged", item, item.questions[0], rng)
    for name, slip, other, mended in re.findall(rf"{DOUBT} (\w) = (\d) ; {BACK} (\w) = (\d) ;", text):
        assert name == other
        assert slip != mended
    last = dict(re.findall(r"(\w) = (\d) ;", text))
    assert list(last.values()) == right_values(item)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_answer_stands_first_and_the_steps_after_it(seed):
    item, rng = chain(seed)
    _, text = document(CHAIN, "answer first", item, item.questions[0], rng)
    right = right_values(item)
    assert text.startswith(f"answer {right[-1]} ;")
    assert stated(text) == right


def reached(item: Item, text: str) -> int:
    """What an answer of signs makes of a countdown problem's numbers."""
    *given, _ = (int(word) for word in item.body.split() if word != "to")
    value = given[0]
    for sign, other in zip(text.split(), given[1:], strict=True):
        value = (value + other if sign == "plus" else value * other) % 7
    return value


@pytest.mark.parametrize("seed", SEEDS)
def test_a_shortcut_holds_the_way_of_the_whole_search_and_no_dead_end(seed):
    rng = random.Random(seed)
    item = COUNTDOWN.sample(rng, 3, held_out=False)
    target = int(item.body.split()[-1])
    short, whole = (document(COUNTDOWN, how, item, item.questions[0], rng)[1] for how in ("path", "trace"))
    assert " no " not in short
    assert short.count(" yes ") == 1
    steps = short.split(" answer ")[0].split(" ; ")
    assert all(step.removesuffix(" ;") in whole for step in steps)
    answer = short.split("answer ")[1]
    assert answer == whole.split("answer ")[1]
    assert reached(item, answer) == target
    assert sum(reached(item, way) == target for way in item.answers) == 1


def test_whole_searches_hold_dead_ends():
    rng = random.Random(0)
    found = [COUNTDOWN.sample(rng, 3, held_out=False) for _ in SEEDS]
    assert sum(" no " in COUNTDOWN.trace(item.right) for item in found) > len(found) / 2


@pytest.mark.parametrize("seed", SEEDS)
def test_a_hasty_search_tries_one_way_alone(seed):
    rng = random.Random(seed)
    item = COUNTDOWN.sample(rng, 3, held_out=False)
    _, text = document(COUNTDOWN, "hasty", item, item.questions[0], rng)
    assert text.count(" = ") == 2
    assert text.startswith(" ".join(way(item, ("plus", "plus"))))
    assert text.split("answer ")[1] in item.answers


@pytest.mark.parametrize("type", JUDGED.types)
def test_a_verdict_follows_from_the_value_and_the_surface_from_the_verdict_in_training_alone(type):
    rng = random.Random(0)
    found = [JUDGED.sample(rng, 2, held_out=False, type=type) for _ in range(400)]
    agree = 0
    for item in found:
        words = item.questions[0].split()
        start, sign, constant, claimed = int(words[2]), words[7], int(words[8]), int(words[-4])
        follows = (start + constant if sign == "+" else start * constant) % 7
        assert item.right.answer == (GOOD if claimed == follows else BAD)
        assert worked(item) == (str(follows), str(claimed))
        agree += (words[-7] == SURFACE[0]) == (item.right.answer == GOOD)
    low, high = (0.85, 0.95) if type == JUDGED.types[0] else (0.4, 0.6)
    assert low < agree / len(found) < high


def test_the_criterion_states_both_values_before_its_verdict():
    rng = random.Random(3)
    item = JUDGED.sample(rng, 2, held_out=False)
    _, text = document(JUDGED, "criterion", item, item.questions[0], rng)
    follows, claimed = worked(item)
    assert text.startswith(f"{RULE} {follows} , {claimed} ")
    assert (" right ;" in text) == (item.right.answer == GOOD)
    _, plain = document(JUDGED, "label", item, item.questions[0], rng)
    assert plain == f"answer {item.right.answer}"


def test_every_document_is_of_known_words_and_fits_the_context():
    rng = random.Random(0)
    for recipe in FINDING_RECIPES.values():
        for stage in recipe.stages:
            if not isinstance(stage.mixture, Reading):
                continue
            family = FAMILIES[stage.mixture.family]
            for kind in stage.mixture.kinds:
                item = family.sample(rng, max(stage.mixture.sizes or family.sizes), held_out=False)
                for question in item.questions:
                    head, tail = document(family, kind.how, item, question, rng)
                    text = f"{head} {tail}"
                    own = [tokenizer().bos_token_id, *encoded(text)]
                    assert tokenizer()(text)["input_ids"] == own
                    assert len(own) < 128


@pytest.mark.parametrize("name", FAMILIES)
def test_tasks_hold_problems_that_no_recipe_reads_and_seeds_draw_apart(name, monkeypatch):
    monkeypatch.setattr(families, "SPLITS", {"train": 5, "dev": 5, "test": 20, "ood": 20})
    family = FAMILIES[name]
    asked = task(family, 0)
    assert asked == task(family, 0) != task(family, 1)
    for split, found in items(family, 0).items():
        assert all(item.held_out for item in found)
        if family.types:
            assert {item.type for item in found} == {type_of(family, split)}
    known = set(tokenizer().get_vocab())
    assert all(set(problem.prompt.split()) <= known for problem in asked.problems)
