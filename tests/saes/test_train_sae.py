"""Training: what comes out opens with sae-lens, and a run that is killed ends where it would have ended."""

import json
import os
import resource
import signal

import pytest
import torch
from pydantic import ValidationError
from sae_lens import SAE, JumpReLUSAE, TopKSAE

from tests.killing import forked, killed_when
from tests.saes.planted import superposition
from undertext.activations.errors import UserError
from undertext.activations.hookpoint import HookPoint
from undertext.activations.store import Store, StoreWriter
from undertext.saes import load_sae
from undertext.saes.config import SaeConfig
from undertext.saes.feed import Feed, Rows, rows_of
from undertext.saes.measuring import fidelity
from undertext.saes.training import train_sae

SMALL = {"d_sae": 48, "k": 3, "steps": 60, "batch_size": 256, "lr": 2e-3, "held_out": 500, "dead_after": 20}
KINDS = {
    "topk": ({}, TopKSAE),
    "batchtopk": ({}, JumpReLUSAE),
    "jumprelu": ({}, JumpReLUSAE),
    "matryoshka": ({"matryoshka_widths": (8, 24)}, JumpReLUSAE),
}


def config(architecture="batchtopk", **changes):
    return SaeConfig(architecture=architecture, **SMALL | KINDS[architecture][0] | changes)


@pytest.fixture(scope="module")
def activations():
    return superposition()


@pytest.mark.parametrize("architecture", KINDS)
def test_what_is_trained_opens_with_plain_sae_lens(architecture, activations, tmp_path):
    point = HookPoint(2, "resid_post")
    trained = train_sae(activations, config(architecture), folder=tmp_path / "run", point=point)
    assert type(trained.sae) is KINDS[architecture][1]
    plain, ours = SAE.load_from_disk(tmp_path / "run"), load_sae(tmp_path / "run")
    assert plain.cfg.metadata.hook_name == str(point)
    assert plain.cfg.normalize_activations == "none"  # folded in
    expected = trained.sae(activations)
    for sae in (plain, ours):
        assert torch.equal(sae(activations), expected)
    assert trained.fidelity.explained_variance > 0.1
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "cfg.json", "sae_weights.safetensors", "training.json",
    ]  # fmt: skip


@pytest.mark.slow
def test_longer_training_recovers_what_was_planted(activations):
    trained = train_sae(activations, config(steps=1000))
    assert trained.fidelity.explained_variance > 0.8
    assert trained.fidelity.l0 == pytest.approx(3, abs=0.4)


def test_fidelity_is_what_its_definitions_say(activations):
    sae = train_sae(activations, config(steps=30)).sae
    with torch.no_grad():
        sae.b_enc[:5] = -100.0  # dead
    rows = activations[:3000]
    latents, told = sae.encode(rows), sae(rows)
    measured = fidelity(sae, rows)
    around = rows - rows.mean(dim=0)
    expected = 1 - (told - rows).pow(2).sum() / around.pow(2).sum()
    assert measured.explained_variance == pytest.approx(expected.item(), abs=1e-5)
    assert measured.l0 == pytest.approx((latents > 0).sum(dim=1).float().mean().item())
    assert measured.dead_share == pytest.approx((~(latents > 0).any(dim=0)).float().mean().item())
    assert measured.dead_share >= 5 / 48


class Killed(Exception):
    pass


def dying(activations, after):
    """Rows that can be read `after` times more."""
    left = [after]

    def take(rows):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return activations[rows]

    return Rows(len(activations), take)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("architecture", KINDS)
def test_a_killed_run_ends_with_the_same_weights(architecture, normalize, activations, tmp_path):
    settings = config(architecture, normalize=normalize, checkpoint_every=10)
    whole = train_sae(activations, settings)
    folder = tmp_path / "run"
    for after in (30 + 17 * normalize, 25):  # first from nothing, then from its checkpoint
        with pytest.raises(Killed):
            train_sae(dying(activations, after), settings, folder=folder)
        assert len(list(folder.glob("step-*"))) == 1
    resumed = train_sae(activations, settings, folder=folder)
    for name, weight in whole.sae.state_dict().items():
        assert torch.equal(resumed.sae.state_dict()[name], weight), name
    assert resumed.fidelity == whole.fidelity
    assert not list(folder.glob("step*"))


def test_a_run_killed_outright_goes_on(activations, tmp_path):
    settings = config(checkpoint_every=5)
    whole = train_sae(activations, settings)

    folder = tmp_path / "run"

    def work(step):
        def take(rows):
            step()
            return activations[rows]

        train_sae(Rows(len(activations), take), settings, folder=folder)

    killed_when(work, lambda _: bool(list(folder.glob("step-*"))))
    resumed = train_sae(activations, settings, folder=folder)
    assert torch.equal(resumed.sae.W_dec, whole.sae.W_dec)
    assert torch.equal(resumed.sae.threshold, whole.sae.threshold)


def test_chunks_resume_as_rows_do(activations, tmp_path):
    settings = config(steps=15, checkpoint_every=5, normalize=False)

    def chunks(until=None):
        yield from activations[:until].split(100)
        if until:
            raise Killed

    whole = train_sae(chunks(), settings)
    with pytest.raises(Killed):
        train_sae(chunks(500 + 9 * 256), settings, folder=tmp_path / "run")
    resumed = train_sae(chunks(), settings, folder=tmp_path / "run")
    assert whole.fidelity.rows == 500
    assert torch.equal(resumed.sae.W_dec, whole.sae.W_dec)


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(activations, tmp_path, monkeypatch):
    settings = config(checkpoint_every=10)
    whole = train_sae(activations, settings)

    from sae_lens.training.sae_trainer import SAETrainer

    saved = SAETrainer.save_trainer_state

    def cut(trainer, path):
        if trainer.n_training_steps == 20:
            raise Killed
        saved(trainer, path)

    monkeypatch.setattr(SAETrainer, "save_trainer_state", cut)
    with pytest.raises(Killed):
        train_sae(activations, settings, folder=tmp_path / "run")
    monkeypatch.undo()
    assert [p.name for p in (tmp_path / "run").glob("step-*")] == ["step-10"]
    resumed = train_sae(activations, settings, folder=tmp_path / "run")
    assert torch.equal(resumed.sae.W_dec, whole.sae.W_dec)


def test_a_finished_run_is_read_not_trained(activations, tmp_path):
    trained = train_sae(activations, config(), folder=tmp_path / "run")
    again = train_sae(dying(activations, 1), config(), folder=tmp_path / "run")  # the rows held out, no more
    assert torch.equal(again.sae.W_enc, trained.sae.W_enc)
    assert again.fidelity == trained.fidelity


def test_another_config_in_the_folder_is_refused(activations, tmp_path):
    train_sae(activations, config(), folder=tmp_path / "run")
    with pytest.raises(UserError, match=r"holds a run with k 3.0, not 4.0.*another folder"):
        train_sae(activations, config(k=4), folder=tmp_path / "run")


def test_a_folder_with_other_things_is_refused(activations, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        train_sae(activations, config(), folder=tmp_path)


@pytest.mark.parametrize("left", ["", "{"])
def test_what_a_kill_left_before_the_first_file_was_whole_is_no_stranger_s(activations, tmp_path, left):
    (tmp_path / "training.json.tmp").write_text(left)
    assert train_sae(activations, config(steps=10), folder=tmp_path).folder == tmp_path


@pytest.mark.parametrize("limit", [0, 300, 2000, 9000])
def test_a_disk_that_is_full_is_one_line_and_training_goes_on_once_it_is_not(activations, tmp_path, limit):
    """A limit on the size of files, in another process, stands for a full disk."""
    wanted = train_sae(activations, config(steps=30)).sae.state_dict()
    read, told = os.pipe()
    kept = config(steps=30, checkpoint_every=10)

    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            train_sae(activations, kept, folder=tmp_path / "run", progress=False)
        except UserError as error:
            os.write(told, str(error).encode())

    _, status = os.waitpid(forked(work), 0)
    os.close(told)
    said = os.read(read, 10_000).decode()
    os.close(read)
    assert status == 0
    assert said.startswith("cannot write to ")
    assert "\n" not in said
    again = train_sae(activations, kept, folder=tmp_path / "run", progress=False)
    for name, weights in again.sae.state_dict().items():
        assert torch.equal(weights, wanted[name])
    assert len(list((tmp_path / "run").iterdir())) == 3


def test_a_spoilt_checkpoint_is_one_line(activations, tmp_path):
    with pytest.raises(Killed):
        train_sae(dying(activations, 50), config(checkpoint_every=10), folder=tmp_path / "run")
    (folder,) = (tmp_path / "run").glob("step-*")
    (folder / "feed.json").write_text("{}")
    with pytest.raises(UserError, match=f"cannot go on from {folder}") as caught:
        train_sae(activations, config(checkpoint_every=10), folder=tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_a_store_is_read_as_its_tensor(activations, tmp_path):
    point = HookPoint(1, "resid_post")
    with StoreWriter(tmp_path / "store", [point], activations.shape[1]) as writer:
        writer.append(activations[None], {"problem": ["p"] * len(activations)})
    trained = train_sae(Store.open(tmp_path / "store"), config())
    assert trained.sae.cfg.metadata.hook_name == str(point)
    assert torch.equal(trained.sae.W_dec, train_sae(activations, config()).sae.W_dec)


def test_held_out_rows_come_in_no_batch_and_all_others_come():
    rows = torch.arange(103.0)[:, None]
    feed = Feed(rows_of(rows), batch_size=10, held_out=13, seed=4)
    epochs = [torch.cat([next(feed) for _ in range(9)]) for _ in range(2)]
    for epoch in epochs:
        assert sorted(torch.cat((epoch, feed.held_out)).flatten().tolist()) == list(range(103))
    assert not torch.equal(epochs[0], epochs[1])
    other = Feed(rows_of(rows), batch_size=10, held_out=13, seed=4)
    other.skip(9)
    assert torch.equal(torch.cat([next(other) for _ in range(9)]), epochs[1])


def test_too_few_rows_say_how_many():
    with pytest.raises(UserError, match="at least 256 rows to train on and 500 held out, got 600"):
        train_sae(torch.randn(600, 4), config())
    with pytest.raises(
        UserError, match=r"ended: 256 more rows were wanted after \d+ batches of 256, 244 came"
    ):
        train_sae(iter(torch.randn(1000, 4).split(50)), config(normalize=False, steps=2))


def test_nan_is_refused(activations):
    spoilt = activations.clone()
    spoilt[:, 3] = torch.nan
    with pytest.raises(UserError, match="NaN"):
        train_sae(spoilt, config())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": 100}, "k .100. is at most d_sae"),
        ({"architecture": "topk", "k": 2.5}, "whole number"),
        ({"architecture": "matryoshka"}, "matryoshka_widths"),
        ({"matryoshka_widths": (3, 9)}, "belong to matryoshka"),
        ({"architecture": "matryoshka", "matryoshka_widths": (9, 3)}, "ascend"),
        ({"warm_up": 0.7, "decay": 0.7}, "overlap"),
        ({"learning_rate": 1}, "Extra inputs"),
    ],
)
def test_a_config_that_cannot_be_meant(changes, message):
    with pytest.raises(ValidationError, match=message):
        SaeConfig(**SMALL | changes)


def test_a_config_survives_json():
    settings = config("matryoshka")
    assert SaeConfig(**json.loads(settings.model_dump_json())) == settings
