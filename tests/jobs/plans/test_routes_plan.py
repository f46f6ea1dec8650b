"""The plan of `routes` beside what it then reads, writes and trains on."""

import pytest

from tests.made_up_task import CONFIG, STRONGER, WEAKER, task_of
from tests.planned import agrees
from undertext import RoutesConfig, routes
from undertext.tasks import Contrast

CONTRAST = Contrast(name="so", positive="so {prompt}", negative="answer {prompt}")
ROUTES = RoutesConfig(
    **CONFIG.model_dump() | {"positions": CONFIG.positions[:1]},
    budget=2,
    fit_steps=5,
    rlvr_steps=2,
    rlvr_prompts=4,
)


@pytest.mark.parametrize("rlvr_steps", [0, 2])
def test_routes_stay_within_their_plan(monkeypatch, rlvr_steps):
    config, task = ROUTES.model_copy(update={"rlvr_steps": rlvr_steps}), task_of([CONTRAST])
    plan = agrees(monkeypatch, lambda **more: routes(WEAKER, STRONGER, task, config=config, **more), WEAKER)
    works = {work.stage: work for work in plan.works}
    assert works["both checkpoints on test"].read == 2 * works["sampling on test"].read / 2
    assert works["sampling on test"].rows == 2 * 30
    assert works["fitted"].learnt
    assert ("rlvr" in works) == bool(rlvr_steps)
    weights = sum(each.numel() for each in WEAKER.model.parameters())
    assert plan.memory.training == (16 * weights if rlvr_steps else 0)
    assert ("rlvr_steps 0" in plan.less) == bool(rlvr_steps)
