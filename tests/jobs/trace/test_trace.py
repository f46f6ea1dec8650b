"""The answer along a trace: the table against a pass by hand, the figure against the table."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.reading_task import made_task
from tests.toys import tiny_model, word_tokenizer
from undertext import Checkpoint, TraceConfig, TraceResult, read_trace
from undertext.activations import HookPoint, UserError, capture
from undertext.core.config import read_config
from undertext.core.shipped import config_file
from undertext.core.terms import READERS
from undertext.jobs.trace.command import TraceCommand, run
from undertext.measures.trace.lens import READINGS
from undertext.probes import fit_select
from undertext.tasks.draws import drawn
from undertext.tasks.value_positions import answer_said, reading_text

CONFIG = TraceConfig(layers=(0, 2), readers=("probe", "logit_lens"), problems=20, threads=1)


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
def traced(checkpoint, task) -> TraceResult:
    return read_trace(checkpoint, task, config=CONFIG)


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
        problems = task.split(split)
        problems = drawn(problems, CONFIG.seed, 20) if split == "test" else problems
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
    table = traced.tables["readings"]
    assert table.schema == READINGS
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
    figure = traced.heatmap(before=3)
    axes = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title("left") for axis in axes] == ["probe", "logit lens"]
    assert [label.get_text() for label in axes[0].get_xticklabels()] == ["−3", "−2", "−1", "0"]
    rows = traced.tables["readings"].to_pylist()
    for axis, reader in zip(axes, ("probe", "logit_lens"), strict=True):
        cells = axis.images[0].get_array()
        for i, layer in enumerate((0, 2)):
            for j, before in enumerate((3, 2, 1, 0)):
                key = (reader, layer, before)
                told = [r["right"] for r in rows if (r["reader"], r["layer"], r["before"]) == key]
                assert cells[i, j] == pytest.approx(np.mean(told))


@pytest.mark.slow
def test_the_base_holds_a_value_when_its_turn_comes():
    traced = read_trace("zoo:base", "zoo:chain", config=TraceConfig(layers=(3,), problems=60, threads=1))
    for lead in traced.by_layer:
        assert (lead.layer, lead.problems) == (3, 60)
        assert lead.right_when_said is not None
        assert lead.right_when_said > 0.95
        right = [
            row["right"]
            for row in traced.tables["readings"].to_pylist()
            if (row["reader"], row["before"]) == (lead.reader, 2)
        ]
        assert np.mean(right) < 0.5
    assert [lead.reader for lead in traced.by_layer] == list(READERS)


def test_leads_are_those_of_the_tokens(traced):
    rows = traced.tables["readings"].to_pylist()
    for lead in traced.by_layer:
        leads = traced.leads(lead.reader, lead.layer)
        assert len(leads.lead) == 20
        mine = [row for row in rows if (row["reader"], row["layer"]) == (lead.reader, lead.layer)]
        for problem, found in zip(dict.fromkeys(row["problem"] for row in mine), leads.lead, strict=True):
            column = {row["before"]: row["right"] for row in mine if row["problem"] == problem}
            stays = [k for k in range(column.__len__()) if all(column.get(j, False) for j in range(k + 1))]
            assert found == (max(k for k in stays if k in column) if stays else None)
        assert lead.early == leads.share
    with pytest.raises(UserError, match="tuned_lens at layer 0 was not read; there are: probe at layer 0"):
        traced.leads("tuned_lens", 0)


@pytest.mark.slow
def test_it_writes_its_files_and_loads_again_alike(traced, tmp_path):
    traced.save(tmp_path / "out")
    again = TraceResult.load(tmp_path / "out")
    assert again.by_layer == traced.by_layer
    assert again.files() == traced.files()
    assert sorted(again.files()) == [
        "figures/trace.pdf", "figures/trace.png", "figures/trace.svg", "report.html", "result.json",
        "run.json", "tables/readings.parquet",
    ]  # fmt: skip
    assert "right when said" in traced._repr_html_()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"layers": (7,)}, "layers from 0 to 2"),
        ({"split": "odd"}, "no split 'odd'"),
    ],
)
def test_mistakes(checkpoint, task, changes, said):
    with pytest.raises(UserError, match=said):
        read_trace(checkpoint, task, config=TraceConfig(**changes))


def test_a_task_without_traces(checkpoint, task):
    bare = [p.model_copy(update={"trace": None}) for p in task.problems]
    with pytest.raises(UserError, match="answers that traces of train and dev say, got 0"):
        read_trace(checkpoint, task.model_copy(update={"problems": bare}))


def test_every_column_is_documented():
    page = (Path(__file__).parents[3] / "docs" / "probes.md").read_text().split("## Along a trace")[1]
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == READINGS.names


def test_the_shipped_config_is_the_defaults():
    shipped = read_config(TraceCommand, config_file("trace_chain.yaml"))
    for name, value in TraceConfig(threads=1).model_dump().items():
        assert getattr(shipped, name) == value, name


def test_the_command(tmp_path, capsys):
    flags = ["--checkpoint", "zoo:base", "--task", "zoo:chain", "--layers", "3", "--readers", "logit_lens"]
    assert run([*flags, "--problems", "20", "--threads", "1", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    (lead,) = TraceResult.load(tmp_path / "out").by_layer
    assert f"logit lens, layer 3: right when said {lead.right_when_said:.2f}, early {lead.early:.2f}" in said
    with pytest.raises(UserError, match="expected --checkpoint, --task, --out"):
        run([])
