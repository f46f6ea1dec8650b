"""Training by a job: what is read, what is written, what it equals, and going on after a kill."""

import json
import random
import sys
import weakref
from pathlib import Path

import pytest
import torch
from sae_lens import SAE

from tests.killing import killed_at_step
from undertext.activations import Checkpoint, HookPoint, UserError, capture
from undertext.activations.store import Store, open_pair
from undertext.core.resume import JobFolder
from undertext.core.setup import open_checkpoint
from undertext.jobs.sae_train.config import TrainConfig
from undertext.jobs.sae_train.job import train_dictionary
from undertext.jobs.sae_train.result import TrainedDictionary
from undertext.saes import difference, load_sae, loss_recovered, train_sae
from undertext.saes.feed import Feed
from undertext.tasks import drawn
from undertext.tasks.open import open_task

CONFIG = TrainConfig(
    d_sae=24, k=3, layers=(1,), steps=40, batch_size=64, held_out=100, lr=3e-3, threads=1, checkpoint_every=10
)
POINT = HookPoint(1, "resid_post")


def train(folders, out, *, kind="sae", config=CONFIG, **source):
    config = config.model_copy(update={"kind": kind})
    tuned = folders["tuned"] if kind != "sae" and "store" not in source else None
    return train_dictionary(
        None if "store" in source else folders["base"],
        tuned,
        config=config,
        out=out,
        progress=False,
        **source,
    )


@pytest.fixture(scope="module")
def trained(folders, task_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("train") / "out"
    return train(folders, out, task=task_folder), out


def test_it_is_the_sae_of_the_task_s_texts(trained, folders, task):
    result, out = trained
    base = Checkpoint.load(folders["base"])
    texts = [f"{p.prompt} {p.trace}" for p in open_task(task).split("train")]
    rows = capture(base, texts, [POINT], "all")[POINT]
    torch.testing.assert_close(
        Store.open(out / "activations").select(layers=[1]).read(torch.arange(len(rows)))[0], rows
    )
    alone = train_sae(rows, CONFIG.training(), point=POINT)
    plain = SAE.load_from_disk(out / "sae")
    assert plain.cfg.metadata.hook_name == str(POINT)
    torch.testing.assert_close(plain.W_dec, alone.sae.W_dec, rtol=1e-3, atol=1e-4)
    assert result.fidelity.explained_variance == pytest.approx(alone.fidelity.explained_variance, abs=1e-3)
    held = [f"{p.prompt} {p.trace}" for p in drawn(task.split("dev"), CONFIG.seed, CONFIG.loss_texts)]
    assert result.loss == loss_recovered(load_sae(out / "sae"), base, held, POINT)
    written = json.loads((out / "result.json").read_text())
    assert written["fidelity"]["l0"] == result.fidelity.l0
    assert written["loss"]["recovered_from_mean"] == result.loss.recovered_from_mean
    assert written["rows"] == len(rows)
    loaded = TrainedDictionary.load(out)
    assert (loaded.fidelity, loaded.loss, loaded.folder) == (result.fidelity, result.loss, out / "sae")
    assert loaded.files() == result.files()
    assert "explained variance" in loaded._repr_html_()
    assert "Loss recovered" in (out / "report.html").read_text()
    assert list(loaded.figures()) == ["firing"]
    frequency = result.table("latents").frequency
    assert frequency.sum() == pytest.approx(result.fidelity.l0, rel=1e-5)
    assert (frequency == 0).mean() == result.fidelity.dead_share


@pytest.mark.slow
def test_killed_it_goes_on_to_the_same_weights(trained, folders, task_folder, tmp_path, monkeypatch, capfd):
    following = Feed.__next__

    def dying(self):
        if self.taken == 47:  # some batches go to the scale of the inputs, before the first step
            raise KeyboardInterrupt
        return following(self)

    monkeypatch.setattr(Feed, "__next__", dying)
    with pytest.raises(KeyboardInterrupt):
        train(folders, tmp_path / "out", task=task_folder)
    assert not (tmp_path / "out" / "result.json").exists()
    assert list((tmp_path / "out" / "sae").glob("step-*"))
    monkeypatch.undo()
    result = train(folders, tmp_path / "out", task=task_folder)
    for name, weights in load_sae(trained[1] / "sae").state_dict().items():
        assert torch.equal(load_sae(tmp_path / "out" / "sae").state_dict()[name], weights)
    assert result.summary == trained[0].summary
    assert result.tables["latents"].equals(trained[0].tables["latents"])
    assert not list((tmp_path / "out").glob("parts*"))
    assert capfd.readouterr().err == ""  # no bar of sae-lens's where none is wanted
    with pytest.raises(UserError, match=r"report of other settings: config\.k was 3\.0, is 2\.0"):
        train(folders, tmp_path / "out", task=task_folder, config=CONFIG.model_copy(update={"k": 2.0}))


CALLS = (40_000, 60_000, 200)
"""Calls and returns within which a stretch of the work, from one part's file to the next, has not ended."""


def random_moments(count: int) -> list[tuple[int, int]]:
    """Parts that were written, and calls and returns after that."""
    draw = random.Random(7)
    parts = [draw.randrange(len(CALLS)) for _ in range(count)]
    return [(part, draw.randrange(CALLS[part])) for part in parts]


@pytest.mark.parametrize(
    ("parts", "events"),
    [(2, 200), *(pytest.param(*each, marks=pytest.mark.slow) for each in random_moments(12))],
)
def test_killed_outright_it_goes_on_to_the_same_weights(
    trained, folders, task_folder, tmp_path, monkeypatch, parts, events
):
    out, write = tmp_path / "out", JobFolder.write

    def work(step):
        def stepping(self, key, value):
            write(self, key, value)
            step()

        monkeypatch.setattr(JobFolder, "write", stepping)
        train(folders, out, task=task_folder)

    killed_at_step(work, parts, events=events)
    result = train(folders, out, task=task_folder)
    assert result.summary == trained[0].summary
    expected = load_sae(trained[1] / "sae").state_dict()
    for name, weights in load_sae(out / "sae").state_dict().items():
        assert torch.equal(expected[name], weights)
    names = {path.relative_to(out).as_posix() for path in out.rglob("*")}
    assert names == {path.relative_to(trained[1]).as_posix() for path in trained[1].rglob("*")}


@pytest.mark.slow
def test_of_a_pair_of_names_one_is_in_memory_and_live_ones_are_used_as_they_are(
    folders, task_folder, tmp_path, monkeypatch
):
    given: list[weakref.ref[Checkpoint]] = []
    most = 0

    def counting(source, **options):
        nonlocal most
        opened = open_checkpoint(source, **options)
        given.append(weakref.ref(opened))
        most = max(most, len({id(one()) for one in given if one() is not None}))
        return opened

    monkeypatch.setattr("undertext.jobs.sae_train.inputs.open_checkpoint", counting)
    train(folders, tmp_path / "names", kind="difference", task=task_folder)
    assert (len(given), most) == (4, 1)
    live = {name: Checkpoint.load(folders[name]) for name in ("base", "tuned")}
    result = train(live, tmp_path / "live", kind="difference", task=task_folder)
    assert torch.equal(load_sae(result.folder).W_dec, load_sae(tmp_path / "names" / "sae").W_dec)


@pytest.mark.slow
def test_a_store_in_place_of_a_task_and_what_tuning_added(trained, folders, task_folder, tmp_path):
    result, out = trained
    again = train(folders, tmp_path / "again", store=out / "activations")
    assert torch.equal(load_sae(tmp_path / "again" / "sae").W_dec, load_sae(out / "sae").W_dec)
    assert (again.loss, again.fidelity) == (None, result.fidelity)
    train(folders, tmp_path / "added", kind="difference", task=task_folder)
    pair = open_pair(
        tmp_path / "added" / "activations" / "base", tmp_path / "added" / "activations" / "tuned"
    )
    config = CONFIG.training()
    plain = train_sae(difference(pair), config, progress=False)
    saved = load_sae(tmp_path / "added" / "sae")
    assert torch.equal(plain.sae.W_dec, saved.W_dec)
    assert saved.cfg.metadata.hook_name is None  # it reads no checkpoint's own activations


@pytest.mark.slow
def test_a_file_of_texts_is_cut_to_the_context(folders, tmp_path):
    file: Path = tmp_path / "texts.txt"
    lines = ["a b c " * 60, "", *(f"so find {i % 10} answer {i % 7}" for i in range(60))]
    file.write_text("\n".join(lines))
    train(folders, tmp_path / "out", texts=file)
    keys = Store.open(tmp_path / "out" / "activations").rows["problem"].tolist()
    base = Checkpoint.load(folders["base"])
    ids = base.tokenizer.encode(lines[0])
    lengths = {key: keys.count(key) for key in dict.fromkeys(keys)}
    assert list(lengths.values())[:3] == [64, 64, len(ids) - 128]
    assert len(lengths) == 63 - 6  # a tenth is left to measure on


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "one of a task, a file of texts and a store, got none"),
        ({"task": "zoo:chain", "texts": "x"}, "got task and texts"),
        ({"texts": "/nowhere/texts"}, "cannot read the texts in /nowhere/texts"),
        ({"store": "/nowhere/store"}, "/nowhere/store"),
    ],
)
def test_mistakes(folders, tmp_path, given, said):
    with pytest.raises(UserError, match=said):
        train(folders, tmp_path / "out", **given)
    assert list(tmp_path.iterdir()) == []


def test_mistakes_with_a_task(folders, task_folder, tmp_path, monkeypatch):
    def run(**changes):
        train(folders, tmp_path / "out", task=task_folder, config=CONFIG.model_copy(update=changes))

    for changes, said in (
        ({"layers": (7,)}, "its layers are 0 to 2"),
        ({"splits": ("train", "dev")}, "'dev' is in splits"),
        ({"splits": ("odd",)}, "no split 'odd'"),
        ({"skip": 60}, "is left to train on"),
        ({"held_out": 5000}, "64 tokens to train on and 5000 held out, got"),
    ):
        with pytest.raises(UserError, match=said):
            run(**changes)
    with pytest.raises(UserError, match="expected a base and a tuned checkpoint"):
        train_dictionary(
            folders["base"],
            task=task_folder,
            config=CONFIG.model_copy(update={"kind": "difference"}),
            out=tmp_path / "out",
        )
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setitem(sys.modules, "sae_lens", None)
    with pytest.raises(UserError, match=r"sae-lens, which is not installed: pip install -e '\.\[saes\]'"):
        run()
