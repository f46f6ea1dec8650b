"""The plan of `measure` beside what it then reads and writes."""

import pytest

from tests.planned import agrees
from tests.trails_task import toy, whole_task
from undertext import MeasureConfig, measure

CONFIG = MeasureConfig(problems=12, fit_problems=20, layers=(2,), threads=1, templates=("so {prompt}",))
BASE, TUNED = toy(), toy(seed=1)


def test_a_pair_stays_within_its_plan(monkeypatch):
    plan = agrees(monkeypatch, lambda **more: measure(BASE, TUNED, whole_task(), config=CONFIG, **more), BASE)
    stages = [work.stage for work in plan.works]
    assert stages[:2] == ["base answers", "base along traces"]
    assert "token shift" in stages
    assert "problems 6" in plan.less
    assert plan.disk


@pytest.mark.parametrize("name", ["style", "information", "faithfulness"])
def test_one_checkpoint_and_one_measure_stay_within_their_plan(monkeypatch, name):
    config = CONFIG.model_copy(update={"names": (name,)})
    plan = agrees(monkeypatch, lambda **more: measure(BASE, None, whole_task(), config=config, **more), BASE)
    assert not plan.less.keys() & {"fit_problems 10", "names style"}
    (answers, *_) = plan.works
    assert (answers.rows, answers.why) == (12, "")


def test_a_model_whose_prefixes_cannot_be_shared_reads_each_text_for_itself(monkeypatch):
    monkeypatch.setattr("undertext.activations.branch_plan.windows_of", lambda checkpoint: None)
    monkeypatch.setattr("undertext.measures.trace.along_works.windows_of", lambda checkpoint: None)
    config = CONFIG.model_copy(update={"names": ("information",)})
    base = toy("gpt2")
    agrees(monkeypatch, lambda **more: measure(base, None, whole_task(), config=config, **more), base)
