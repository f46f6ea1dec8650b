"""A bench worked on by several processes, and by a Ray cluster: what comes out is what one process makes."""

from dataclasses import replace

import pytest

from tests.jobs.bench.hardly import hardly_trained
from tests.ray_nodes import connected_nodes
from undertext.activations.errors import UserError
from undertext.core.job import JobRun
from undertext.jobs.bench import build
from undertext.jobs.bench.build import build_bench
from undertext.jobs.bench.config import BenchConfig, RunConfig
from undertext.jobs.bench.run import run_bench

JUDGE = f"{__name__}:judge"
in_full = build._build


def judge(base, tuned, task):
    """Says of which pair it was asked, in the form of a confidence."""
    said = {"verdict": "suppressed", "confidence": len(tuned.name) / 100}
    return dict.fromkeys(("test", "ood"), said)


def hardly(world, device, done):
    """Build a world in whichever process, hardly trained."""
    with hardly_trained():
        in_full(world, device, done)


@pytest.fixture(scope="module")
def alone(plan, tmp_path_factory):
    """What one process builds and judges."""
    out = tmp_path_factory.mktemp("alone")
    cases = build_bench(BenchConfig(plan=plan, jobs=1), out)
    return cases, run_bench(RunConfig(plan=plan, jobs=1, judge=JUDGE), out)


def same_as_alone(alone, plan, out, monkeypatch, **where):
    """Build and judge elsewhere, and compare, seconds aside."""
    monkeypatch.setattr(build, "_build", hardly)
    cases, judged = alone
    assert build_bench(BenchConfig(plan=plan, **where), out) == cases
    found = run_bench(RunConfig(plan=plan, judge=JUDGE, **where), out)
    assert [replace(each, seconds=0.0) for each in found] == [replace(each, seconds=0.0) for each in judged]
    assert {each.confidence for each in found} == {len(each.case.organism) / 100 for each in judged}


@pytest.mark.slow
def test_in_two_processes(alone, plan, tmp_path, monkeypatch):
    same_as_alone(alone, plan, tmp_path / "bench", monkeypatch, jobs=2)


@pytest.mark.slow
def test_on_a_cluster_of_two_nodes(alone, plan, tmp_path, monkeypatch):
    with connected_nodes(2) as cluster:
        where = {"engine": "ray", "address": cluster.address}
        same_as_alone(alone, plan, tmp_path / "bench", monkeypatch, **where)


def test_what_a_machine_wrote_elsewhere_is_missed(alone, plan, tmp_path, monkeypatch):
    monkeypatch.setattr(JobRun, "make", lambda run, parts: [None for _ in parts])
    with pytest.raises(UserError, match=r"is missing or half made.*; machines of a cluster must all reach"):
        build_bench(BenchConfig(plan=plan), tmp_path)
    monkeypatch.undo()
    build_bench(BenchConfig(plan=plan, only=("chain",), jobs=1), tmp_path)
    monkeypatch.setattr(JobRun, "make", lambda run, parts: [None for _ in parts])
    with pytest.raises(UserError, match=r"a machine of the cluster wrote .*json, and it is not here"):
        run_bench(RunConfig(plan=plan, only=("chain",), judge=JUDGE), tmp_path)
