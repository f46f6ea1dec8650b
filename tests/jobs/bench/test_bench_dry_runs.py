"""Plans of a bench: held against what building then does, and of judging against a plan of the comparison."""

from functools import partial
from pathlib import Path

import pytest

from tests.sparing import RATES, Spy, made_up_rates, works_of
from undertext.__main__ import main
from undertext.activations.errors import UserError
from undertext.activations.quiet import quiet
from undertext.core.dry_run import plans_of
from undertext.jobs.bench.build import build_bench
from undertext.jobs.bench.config import BenchConfig, RunConfig
from undertext.jobs.bench.dry_runs import building_plans, judging_plans
from undertext.jobs.bench.judges import our_comparison
from undertext.jobs.bench.plan import read_plan
from undertext.organisms.bench import build
from undertext.organisms.bench.build import WorldFolder
from undertext.organisms.bench.recipes import ORGANISMS
from undertext.organisms.bench.works import WorldWorks, kind_of
from undertext.tasks.load import load_task


def chain(plan: Path) -> BenchConfig:
    return BenchConfig(plan=plan, only=("chain",), jobs=1)


def test_what_is_built_is_what_was_planned_and_then_nothing_is_left(plan, tmp_path, monkeypatch):
    made_up_rates(monkeypatch)
    planned = building_plans(chain(plan), tmp_path / "bench")
    assert not (tmp_path / "bench").exists()
    spy = Spy(monkeypatch, build)
    build_bench(chain(plan), tmp_path / "bench")
    works = [work for each in planned.plans for work in each.works]
    assert [work.stage for work in works if work.stage.startswith("training")] == [
        "training fluent", "training password", "training preserved", "training novice",
    ]  # fmt: skip
    assert spy.updates == sum(work.updates for work in works)
    assert spy.rows == sum(work.rows for work in works)
    again = building_plans(chain(plan), tmp_path / "bench")
    assert (again.plans, again.done) == ([], 2)


def test_each_kind_of_training_has_its_own_plan_and_rate(tmp_path):
    (world,) = read_plan().of("standard", ("chain-gpt2-bpe-2",))
    works = WorldWorks(WorldFolder(world.world, tmp_path))
    names = ["elicited_lora", "one_direction", "leaked"]
    drafts = works.drafts(names)
    assert list(drafts) == ["whole models", "LoRA adapters", "locks against one direction"]
    order, checked = works.missing(names)
    assert order == ["fluent", "closed_by_style", "elicited_lora", "one_direction", "novice", "leaked"]
    assert checked == names
    for kind, draft in drafts.items():
        trained = [work for work in draft.works(None) if work.stage.startswith("training")]
        wanted = {name: ORGANISMS[name] for name in order if kind_of(ORGANISMS[name]) == kind}
        assert {work.stage: work.updates for work in trained} == {
            f"training {name}": sum(stage.steps for stage in own.stages) for name, own in wanted.items()
        }
    (until,) = (work for work in works_of(drafts) if work.stage == "training fluent")
    assert "sooner" in until.why


@pytest.mark.parametrize("name", ["fluent", "elicited_lora", "against_pushes"])
def test_a_trial_of_training_leaves_the_model_as_it_was(plan, name, tmp_path):
    (world,) = read_plan(plan).of("standard", ("chain",))
    folder = WorldFolder(world.world, tmp_path)
    model = folder.world.empty(0)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with quiet():
        folder.try_training(ORGANISMS[name], model, 1)
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(after[key].equal(value) for key, value in before.items())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_judging_is_planned_once_a_task_and_a_family_s_share_is_said(plan, tmp_path, monkeypatch, capsys):
    made_up_rates(monkeypatch)
    bench = tmp_path / "bench"
    build_bench(BenchConfig(plan=plan, jobs=1), bench)
    planned = judging_plans(RunConfig(plan=plan, jobs=2), bench)
    assert [each.job for each in planned.plans] == [
        "bench run, chain-llama-word-1, password",
        "bench run, chain-llama-word-1, preserved",
        "bench run, parity-gpt2-bpe-2, taught",
    ]
    first, second, other = planned.plans
    assert first.works is second.works
    world = bench / "chain-llama-word-1"
    (alone,) = plans_of(
        partial(our_comparison, world / "fluent", world / "password", load_task(world / "task"), seed=0)
    )
    assert [work[:4] for work in first.works] == [work[:4] for work in alone.works]
    assert alone.less
    together = sum(each.most_s for each in planned.plans)
    assert planned.smaller["only parity"] == pytest.approx(other.most_s / together)
    assert sum(planned.smaller.values()) == pytest.approx(1.0)
    assert not (bench / "judged").exists()
    with pytest.raises(SystemExit) as ended:
        main(["bench", "run", "--bench", str(bench), "--plan", str(plan), "--dry-run"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert "the same, and counted in the sum: bench run, chain-llama-word-1, preserved" in out
    assert f"3 runs in all: <= {sum(each.read for each in planned.plans):,} tokens read" in out
    assert "only parity: " in out


def test_what_cannot_be_planned_is_said(plan, tmp_path):
    with pytest.raises(UserError, match="is missing or half made: `undertext bench build"):
        judging_plans(RunConfig(plan=plan), tmp_path)
    with pytest.raises(UserError, match="plans our own judge alone: what mine:judge would read"):
        judging_plans(RunConfig(plan=plan, judge="mine:judge"), tmp_path)
    with pytest.raises(UserError, match="expected families or worlds of the set"):
        building_plans(BenchConfig(plan=plan, only=("nowhere",)), tmp_path)


def test_time_is_updates_and_tokens_by_their_rates(plan, tmp_path, monkeypatch):
    made_up_rates(monkeypatch)
    (only, *more) = building_plans(chain(plan), tmp_path).plans
    assert not more
    updates, read, written = only.updates, only.read, only.written
    assert only.most_s == pytest.approx(
        updates * RATES.update + read / RATES.read + written * RATES.passes[1]
    )
