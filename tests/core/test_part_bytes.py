"""Parts' work as bytes: what goes with it, what is opened again where it arrives, what is refused."""

import pickle
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.made_up_sae import sae_of
from tests.toys import tiny_folder, tiny_model, word_tokenizer
from undertext.activations import Checkpoint, UserError
from undertext.activations.random_init import random_init
from undertext.core import reopening
from undertext.core.config import PartsConfig
from undertext.core.engine import engine_of
from undertext.core.job import JobRun, job_run
from undertext.core.part_bytes import part_bytes
from undertext.core.ray_cluster import connected
from undertext.core.reopening import Kept
from undertext.core.resume import Done, Part
from undertext.core.shared import Shared
from undertext.jobs.probe.config import ProbeConfig
from undertext.jobs.probe.inputs import Sources
from undertext.measures.features.opening import OpenedSae

TEXTS = ["so a = 3 ;", "find b ;"]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    """What another process has opened: nothing yet."""
    fresh = Kept()
    monkeypatch.setattr(reopening, "kept", fresh)
    return fresh


@pytest.fixture
def opened(tmp_path: Path) -> Checkpoint:
    return Checkpoint.load(tiny_folder(tmp_path / "model"))


def logits(checkpoint: Checkpoint, _done: Done) -> torch.Tensor:
    with torch.no_grad():
        ids = torch.tensor(checkpoint.encode(TEXTS[:1]))
        return checkpoint.model(input_ids=ids).logits


def sent(make: Any) -> tuple[Any, set[str]]:
    data, sources = part_bytes(Part("a part", make), JobRun, "cpu")
    return pickle.loads(data), sources


def test_a_checkpoint_is_read_again_once_and_its_weights_do_not_travel(opened, kept):
    make = partial(logits, opened)
    data, sources = part_bytes(Part("a part", make), JobRun, "cpu")
    weights = sum(each.numel() * each.element_size() for each in opened.model.parameters())
    assert len(sources) == 1
    assert len(data) < weights / 2
    kept.begin("job", "cpu", sources)
    one, other = pickle.loads(data), pickle.loads(data)
    assert one.args[0].model is other.args[0].model
    assert one.args[0].model is not opened.model
    assert torch.equal(one(print), make(print))
    assert one.args[0].fingerprint == opened.fingerprint
    kept.begin("another job", "cpu", set())
    assert pickle.loads(data).args[0].model is not one.args[0].model


def test_another_checkpoint_in_the_folder_is_refused(opened, kept, tmp_path):
    data, _ = part_bytes(Part("a part", partial(logits, opened)), JobRun, "cpu")
    tiny_folder(tmp_path / "model", seed=5)
    with pytest.raises(UserError, match=r"holds other weights here .* than where the job was started"):
        pickle.loads(data)


def test_what_is_only_here_is_refused(opened, kept):
    tokenizer = word_tokenizer()
    live = Checkpoint.load(tiny_model("llama", len(tokenizer)), tokenizer=tokenizer)
    with pytest.raises(UserError, match="is a live model, which another machine cannot open: save it"):
        sent(partial(logits, live))
    with pytest.raises(UserError, match="live model"):  # the weights are not those of the folder
        sent(partial(logits, random_init(opened, seed=0)))
    with pytest.raises(UserError, match="the part a part holds a model"):
        sent(partial(print, live.model))
    with pytest.raises(UserError, match="the part a part cannot be sent to another machine"):
        sent(partial(print, threading.Lock()))


def test_what_is_shared_and_kept_on_the_way_stays_here(tmp_path, kept):
    with job_run("made up", PartsConfig(), tmp_path / "out", False) as run:
        run.begin()
        assert run.scratch("key") is not None
        make, _ = sent(partial(print, Shared(tmp_path), run.scratch))
    assert make.args[0] is None
    assert make.args[1]("key") is None


def test_a_closure_takes_what_it_holds_with_it(kept):
    found = {"a": torch.arange(3)}
    module = torch.nn.Linear(2, 2)

    def make(done: Done) -> tuple[Any, Any]:
        return found["a"] + 1, module.weight

    there, _ = sent(make)
    values, weight = there(print)
    assert values.tolist() == [1, 2, 3]
    assert torch.equal(weight, module.weight)
    assert weight is not module.weight


def test_an_sae_travels_whole(opened, kept):
    sae = sae_of(opened)
    there, _ = sent(partial(OpenedSae, sae))
    rows = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(there.args[0].encode(rows), sae.encode(rows))


def test_a_shipped_organism_travels_by_its_name(kept):
    from undertext.core.setup import open_checkpoint

    make, (source,) = sent(partial(logits, open_checkpoint("zoo:base")))
    assert "'zoo:base'" in source
    assert make.args[0].name == "zoo:base"


def test_sources_open_again_what_is_named_and_send_nothing_open(tmp_path, kept):
    given = {"base": tiny_folder(tmp_path / "base"), "tuned": tiny_folder(tmp_path / "tuned", seed=1)}
    sources = Sources(given, ProbeConfig())
    sources.open("base")
    make, needed = sent(sources.open)
    assert needed == set()
    assert make("tuned").fingerprint == Checkpoint.load(given["tuned"]).fingerprint


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"address": "here:6379"}, "expected engine ray beside the address here:6379, got engine local"),
        ({"engine": "ray", "device": "cuda:1"}, "expected device cpu, cuda or auto for engine ray"),
        ({"engine": "ray", "address": "here"}, "expected HOST:PORT of a Ray cluster's head, or local, got"),
        ({"engine": "ray", "address": "127.0.0.1:1"}, r"no Ray cluster at 127\.0\.0\.1:1 .*ray start --head"),
    ],
)
def test_an_engine_that_cannot_run_says_why(settings, says, tmp_path):
    with pytest.raises(UserError, match=says), job_run("x", PartsConfig(**settings), tmp_path / "out", False):
        pass
    assert not (tmp_path / "out").exists()


def test_without_ray_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[ray\]'"), connected("127.0.0.1:1"):
        pass


def test_a_plan_needs_no_cluster():
    from undertext.core.plan import planning

    token = planning.set(True)
    try:
        with engine_of(PartsConfig(engine="ray", address="127.0.0.1:1"), JobRun) as engine:
            assert engine is None
    finally:
        planning.reset(token)
