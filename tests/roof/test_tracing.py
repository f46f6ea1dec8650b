"""The answer along a trace: the table against a pass by hand, the figure against the table."""

import numpy as np
import pytest
import torch

from tests.probing.conftest import made_task
from tests.toys import tiny_model, word_tokenizer
from tests.unchecked import signatures_unchecked
from undertext import Checkpoint, read_trace
from undertext.activations import HookPoint, UserError, capture
from undertext.jobs.trace.job import READERS, TRACE, Traced
from undertext.probes import fit_select
from undertext.tasks.value_positions import answer_said, reading_text


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    tokenizer = word_tokenizer()
    return Checkpoint.load(tiny_model("llama", len(tokenizer)), tokenizer=tokenizer)


@pytest.fixture(scope="module")
def task():
    task = made_task(train=120, dev=40, test=30)
    rid = [p.model_copy(update={"steps": []}) for p in task.problems]  # so `answer A` is where it is said
    return task.model_copy(update={"problems": rid})


@pytest.fixture(scope="module")
def traced(checkpoint, task) -> Traced:
    return read_trace(checkpoint, task, layers=(0, 2), readers=("probe", "logit_lens"), problems=20)


def test_where_the_answer_is_said(task):
    for problem in task.split("test"):
        at = answer_said(problem)
        assert at is not None
        assert f" {problem.trace}"[:at].endswith("answer ")
        assert f" {problem.trace}"[at] == problem.answer
    stepped = made_task().problems[0]
    last = stepped.model_copy(update={"answer": str(stepped.steps[-1].values["b"])})
    at = answer_said(last)
    assert at is not None
    assert f" {last.trace}"[:at].endswith("b = ")
    assert answer_said(last.model_copy(update={"answer": "nowhere"})) is None


def test_the_table_is_that_of_a_pass_by_hand(traced, checkpoint, task):
    points = [HookPoint(layer, "resid_post") for layer in (0, 2)]

    def at(split: str, offset: int | None = None):
        problems = task.split(split)[: 20 if split == "test" else None]
        ids = checkpoint.encode([reading_text(p) for p in problems])
        n = len(ids[0])
        where = range(11, n) if offset is None else [n - 1 + offset]  # the prompt's last token is number 11
        X = capture(checkpoint, ids, points, [list(where)] * len(ids)).activations
        return X, torch.tensor([int(p.answer) for p in problems]), len(where)

    X, y, _ = at("train", -1)
    probe = fit_select(X, y, *at("dev", -1)[:2]).probe
    X, y, n = at("test")
    wanted = {"probe": probe.predict_proba(X)}
    digits = torch.tensor([checkpoint.encode([f"answer {k}"])[0][-1] for k in range(3)])
    with torch.no_grad():
        logits = checkpoint.model.lm_head(checkpoint.model.model.norm(X))
    wanted["logit_lens"] = logits[..., digits].softmax(-1)
    table = traced.table
    assert table.schema == TRACE
    assert len(table) == 2 * 2 * len(X[0])
    rows = table.to_pylist()
    for reader, share in wanted.items():
        for i, layer in enumerate((0, 2)):
            mine = [row for row in rows if (row["reader"], row["layer"]) == (reader, layer)]
            gold = share[i][torch.arange(len(share[i])), y.repeat_interleave(n)]
            assert [row["probability"] for row in mine] == pytest.approx(gold.tolist(), abs=1e-4)
            assert [row["token"] for row in mine] == list(range(n)) * len(y)
            assert [row["before"] for row in mine] == [n - 2 - k for k in range(n)] * len(y)
            right = (share[i].argmax(1) == y.repeat_interleave(n)).tolist()
            assert np.mean([row["right"] == told for row, told in zip(mine, right, strict=True)]) > 0.99


def test_the_figure_shows_the_shares(traced):
    figure = traced.figure(before=3)
    axes = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title("left") for axis in axes] == ["probe", "logit lens"]
    assert [label.get_text() for label in axes[0].get_xticklabels()] == ["−3", "−2", "−1", "0"]
    rows = traced.table.to_pylist()
    for axis, reader in zip(axes, ("probe", "logit_lens"), strict=True):
        cells = axis.images[0].get_array()
        for i, layer in enumerate((0, 2)):
            for j, before in enumerate((3, 2, 1, 0)):
                key = (reader, layer, before)
                told = [r["right"] for r in rows if (r["reader"], r["layer"], r["before"]) == key]
                assert cells[i, j] == pytest.approx(np.mean(told))


def test_the_base_tells_a_value_when_its_turn_comes():
    traced = read_trace("zoo:base", "zoo:chain", layers=(3,), problems=60)
    share = {
        (reader, before): np.mean(
            [r["right"] for r in traced.table.to_pylist() if (r["reader"], r["before"]) == (reader, before)]
        )
        for reader in READERS
        for before in (0, 2)
    }
    assert all(share[reader, 0] > 0.95 for reader in READERS), share
    assert all(share[reader, 2] < 0.5 for reader in READERS), share
    leads = traced.readings["probe"].leads(HookPoint(3, "resid_post"))
    assert len(leads.lead) == 60


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"readers": ()}, "got none"),
        ({"layers": (7,)}, "layers from 0 to 2"),
        ({"split": "odd"}, "no split 'odd'"),
    ],
)
def test_mistakes(checkpoint, task, changes, said):
    with pytest.raises(UserError, match=said):
        read_trace(checkpoint, task, **changes)


def test_a_reader_there_is_none_of(checkpoint, task):
    with signatures_unchecked(), pytest.raises(UserError, match="probe, logit_lens, tuned_lens, got magic"):
        read_trace(checkpoint, task, readers=("magic",))  # type: ignore[arg-type]


def test_a_task_without_traces(checkpoint, task):
    bare = [p.model_copy(update={"trace": None}) for p in task.problems]
    with pytest.raises(UserError, match="answers that traces of train and dev say, got 0"):
        read_trace(checkpoint, task.model_copy(update={"problems": bare}))
