"""Whole jobs on a Ray cluster of several nodes: what comes out is what comes out of one process."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.made_up_sae import sae_of
from tests.made_up_task import task_of, two_splits, with_gap
from tests.ray_nodes import Doom, Nodes, connected_nodes
from tests.reading_task import made_task
from tests.toys import tiny_folder
from tests.trails_task import whole_task
from undertext import (
    CompareConfig,
    DiffConfig,
    FeaturesConfig,
    MeasureConfig,
    ProbeConfig,
    RoutesConfig,
    SteerConfig,
    TraceConfig,
    compare,
    feature_diff,
    feature_table,
    measure,
    probe,
    read_trace,
    routes,
    steer,
)
from undertext.activations import Checkpoint
from undertext.core.job import JobRun
from undertext.core.result import Result
from undertext.tasks import Task

pytestmark = pytest.mark.slow

QUICK: dict[str, Any] = {
    "doses": (1.0,), "positions": ("last_prompt",), "random_directions": 1, "search_problems": 4,
    "vector_problems": 8, "max_layers": 1, "threads": 1, "batch_size": 16,
}  # fmt: skip
TRAINING: dict[str, Any] = {"budget": 2, "fit_steps": 2, "rlvr_steps": 1, "rlvr_prompts": 2}
READING: dict[str, Any] = {
    "positions": (0,), "layers": (0, 2), "controls": ("control", "random_init"), "strengths": (0.05,),
    "draws": 1, "transfer": ("checkpoint", "layer"), "threads": 1,
}  # fmt: skip
Where = dict[str, Any]
Job = Callable[[str, str, Path | None, Where], Result]


def run_steer(weaker: str, stronger: str, out: Path | None, where: Where) -> Result:
    config = SteerConfig(**QUICK, **where)
    return steer(weaker, task_of(n=8), stronger=stronger, config=config, out=out, progress=False)


def run_routes(weaker: str, stronger: str, out: Path | None, where: Where) -> Result:
    config = RoutesConfig(**QUICK, **TRAINING, **where)
    return routes(weaker, stronger, task_of(n=8), config=config, out=out, progress=False)


def run_probe(weaker: str, stronger: str, out: Path | None, where: Where) -> Result:
    config, given = ProbeConfig(**READING, **where), {"base": weaker, "tuned": stronger}
    return probe(given, {"made": made_task()}, config=config, out=out, progress=False)


def run_trace(weaker: str, stronger: str, out: Path | None, where: Where) -> Result:
    config = TraceConfig(layers=(0, 2), readers=("probe", "logit_lens"), problems=8, threads=1, **where)
    return read_trace(weaker, made_task(), config=config, out=out, progress=False)


def run_measure(weaker: str, stronger: str, out: Path | None, where: Where) -> Result:
    config = MeasureConfig(problems=6, fit_problems=20, layers=(0,), threads=1, **where)
    return measure(weaker, stronger, whole_task(), config=config, out=out, progress=False)


def run_compare(weaker: str, stronger: str, out: Path | None, where: Where) -> Result:
    """Of a task whose answers are what the stronger one writes, so that there is a gap to be measured."""
    config = CompareConfig(**QUICK, samples=2, **where)
    return compare(weaker, stronger, gap_task(weaker, stronger), config=config, out=out, progress=False)


def run_features(weaker: str, stronger: str, out: Path | None, where: Where) -> Result:
    config = FeaturesConfig(pages=1, words=("so", "answer"), threads=1, **where)
    return feature_table(weaker, made_task(), sae_folder(weaker), config=config, out=out, progress=False)


def run_diff(weaker: str, stronger: str, out: Path | None, where: Where) -> Result:
    config = DiffConfig(pages=1, effects=1, controls=1, effect_problems=4, threads=1, **where)
    task, sae = made_task(), sae_folder(weaker)
    return feature_diff(weaker, stronger, task, sae=sae, config=config, out=out, progress=False)


def sae_folder(of: str) -> str:
    folder = Path(of).parent / "sae"
    if not folder.exists():
        sae_of(Checkpoint.load(of)).save_model(folder)
    return str(folder)


def gap_task(weaker: str, stronger: str) -> Task:
    return with_gap(two_splits(), Checkpoint.load(weaker), Checkpoint.load(stronger))


JOBS: list[Job] = [
    run_compare,
    run_steer,
    run_routes,
    run_probe,
    run_trace,
    run_measure,
    run_features,
    run_diff,
]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Folders of two checkpoints."""
    folder = tmp_path_factory.mktemp("pair")
    return str(tiny_folder(folder / "weaker", seed=0)), str(tiny_folder(folder / "stronger", seed=1))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    with connected_nodes(2) as started:
        yield started


def check(found: Result, whole: Result) -> None:
    assert found.summary == whole.summary
    assert set(found.tables) == set(whole.tables)
    for name in found.tables:
        # As text, in which floats are written out whole and NaN is like NaN.
        assert repr(found.tables[name].to_pylist()) == repr(whole.tables[name].to_pylist()), name


@pytest.mark.parametrize("job", JOBS)
def test_a_job_on_a_cluster_ends_as_in_one_process(job, pair, cluster, tmp_path):
    out = tmp_path / "out"
    found = job(*pair, out, {"engine": "ray", "address": cluster.address})
    check(found, job(*pair, None, {}))
    assert not (out / "parts").exists()


def test_with_a_node_killed_in_the_middle_and_parts_in_a_store(pair, cluster, tmp_path, monkeypatch):
    weaker, stronger = pair
    whole = run_compare(weaker, stronger, None, {})
    doom, make, calls = Doom(tmp_path), JobRun.make, 0

    def middle(run, parts):
        nonlocal calls
        calls += 1
        return make(run, [doom.over(part) for part in parts] if calls >= 3 else parts)

    monkeypatch.setattr(JobRun, "make", middle)
    killing = doom.await_with(cluster.kill)
    store = f"file://{tmp_path}/store"
    where = {"engine": "ray", "address": cluster.address, "store": store}
    found = run_compare(weaker, stronger, tmp_path / "out", where)
    killing.join()
    cluster.add()
    assert doom.came
    assert calls > 5
    check(found, whole)
    (folder,) = (tmp_path / "store").iterdir()
    assert folder.name.startswith("compare-")
    check(type(found).load(folder), whole)
    assert not [path for path in folder.rglob("*") if path.name.startswith(".") or path.suffix == ".part"]
