"""What tokens are labelled with, by hand."""

import pytest
import torch

from tests.saes.planted_words import toy_checkpoint
from undertext.activations import UserError
from undertext.measures.features.labels import label_texts, left_out, tokens_of
from undertext.tasks import Problem
from undertext.tasks.task import Step

PROBLEM = Problem(
    id="1",
    split="test",
    prompt="a = 3 ; find b :",
    answer="5",
    trace="a = 3 ; so b = 5 ; answer 5",
    steps=[Step(text="a = 3 ;", values={"a": 3}, valid=False), Step(text="b = 5 ;", values={"b": 5})],
)
OTHER = PROBLEM.model_copy(
    update={
        "prompt": "a = 4 ; find b :",
        "trace": "a = 4 ; so b = 6 ; answer 6",
        "answer": "6",
        "steps": [
            PROBLEM.steps[0].model_copy(update={"text": "a = 4 ;", "values": {"a": 4}}),
            PROBLEM.steps[1].model_copy(update={"text": "b = 6 ;", "values": {"b": 6}}),
        ],
    }
)


def named(labels, row):
    index = int(labels.rows[row])
    return None if index < 0 else labels.classes[index]


def test_every_token_has_the_label_that_one_would_give_it_by_hand():
    found = label_texts(toy_checkpoint(), [PROBLEM, OTHER], skip=0, max_classes=20)
    by = {(each.kind, each.name): each for each in found.labels}
    assert list(by) == [("value", "a"), ("value", "b"), ("part", "part"), ("valid", "valid")]
    words = ["<bos>", *f"{PROBLEM.prompt} {PROBLEM.trace}".split()]
    assert len(found.tokens[0]) == len(words) == 19
    said = {i: named(by["value", "a"], i) for i in range(19)}
    assert [i for i, value in said.items() if value] == [9]  # the `=` before the 3 that the step says
    assert (words[9], said[9]) == ("=", "3")
    at = [i for i in range(19) if named(by["value", "b"], i)]
    assert [(words[i], words[i + 1]) for i in at] == [("=", "5")]
    parts = [named(by["part", "part"], i) for i in range(19)]
    assert parts == ["prompt"] * 8 + ["step"] * 4 + ["rest"] + ["step"] * 4 + ["rest"] * 2
    valid = [named(by["valid", "valid"], i) for i in range(19)]
    assert valid == [None] * 8 + ["invalid"] * 4 + [None] + ["valid"] * 4 + [None] * 2


def test_skipped_tokens_take_their_labels_with_them():
    checkpoint = toy_checkpoint()
    whole = label_texts(checkpoint, [PROBLEM, OTHER], skip=0, max_classes=20)
    some = label_texts(checkpoint, [PROBLEM, OTHER], skip=3, max_classes=20)
    lengths = [len(ids) for ids in tokens_of(checkpoint, [PROBLEM, OTHER])]
    kept = torch.cat([torch.arange(n) >= 3 for n in lengths])
    for all_, few in zip(whole.labels, some.labels, strict=True):
        assert torch.equal(all_.rows[kept], few.rows)


def test_another_split_is_labelled_alike():
    checkpoint = toy_checkpoint()
    first = label_texts(checkpoint, [PROBLEM, OTHER], skip=0, max_classes=20)
    alone = label_texts(checkpoint, [OTHER], skip=0, max_classes=20, like=first.labels)
    assert [each.classes for each in alone.labels] == [each.classes for each in first.labels]
    assert int(alone.labels[0].rows.max()) == 1  # `4`, the second of the classes
    unseen = label_texts(checkpoint, [OTHER], skip=0, max_classes=20, like=first.labels[:1])
    assert len(unseen.labels) == 1
    with pytest.raises(UserError, match="nothing is left when 30 are skipped"):
        label_texts(checkpoint, [PROBLEM], skip=30, max_classes=20)


def test_values_of_too_many_classes_are_told():
    checkpoint = toy_checkpoint()
    assert left_out(checkpoint, [PROBLEM, OTHER], 2) == []
    assert left_out(checkpoint, [PROBLEM, OTHER], 1) == [
        f"{name} is not measured: 2 distinct values are more than max_classes (1)" for name in "ab"
    ]
    found = label_texts(checkpoint, [PROBLEM, OTHER], skip=0, max_classes=1)
    assert [each.kind for each in found.labels] == ["part", "valid"]
