"""`undertext sae`: what its commands write; each mistake a user can make: one line, code 2, nothing left."""

import json
import os
import signal
import sys

import pyarrow.parquet as pq
import pytest
from sae_lens import StandardSAE, StandardSAEConfig

from undertext.core.config import read_config
from undertext.core.shipped import config_file
from undertext.jobs.sae_diff.command import DiffCommand
from undertext.jobs.sae_diff.config import DiffConfig
from undertext.jobs.sae_features.command import FeaturesCommand
from undertext.jobs.sae_features.config import FeaturesConfig
from undertext.jobs.sae_train.command import TrainCommand
from undertext.jobs.sae_train.config import TrainConfig
from undertext.saes.feed import Feed

SMALL = ["--layers", 1, "--d-sae", 64, "--k", 4, "--steps", 40, "--batch-size", 128]
SMALL += ["--held-out", 200, "--threads", 1]


@pytest.fixture(scope="module")
def trained(untrained, small_task, tmp_path_factory):
    """An SAE of the untrained `a`, by the command."""
    from undertext.__main__ import main

    out = tmp_path_factory.mktemp("trained") / "out"
    args = ["sae", "train", "--checkpoint", untrained / "a", "--task", small_task, "--out", out, *SMALL]
    with pytest.raises(SystemExit) as ended:
        main([str(arg) for arg in args])
    assert ended.value.code == 0
    return out


@pytest.mark.slow
def test_train_features_diff(cli, trained, untrained, small_task, tmp_path):
    assert json.loads((trained / "result.json").read_text())["loss"]["tokens"] > 0
    args = ["--sae", trained / "sae", "--task", small_task, "--pages", 2, "--threads", 1]
    code, stdout, _ = cli(
        "sae",
        "features",
        "--checkpoint",
        untrained / "a",
        *args,
        "--words",
        "answer",
        "--out",
        tmp_path / "f",
    )
    assert code == 0
    assert "features live" in stdout
    assert pq.read_table(tmp_path / "f" / "tables" / "features.parquet").num_rows == 64
    code, stdout, _ = cli(
        "sae", "diff", "--base", untrained / "a", "--tuned", untrained / "b", *args, "--effects", 1,
        "--effect-problems", 5, "--controls", 1, "--out", tmp_path / "d",
    )  # fmt: skip
    assert code == 0
    assert "matched in size: stable" in stdout
    shares = json.loads((tmp_path / "d" / "result.json").read_text())["fates"]
    assert sum(shares.values()) == pytest.approx(1)
    for folder in "fd":
        assert (tmp_path / folder / "report.html").read_text().count(">Feature ") == 2


@pytest.mark.parametrize(
    ("job", "config", "file"),
    [
        (TrainCommand, TrainConfig, "sae_chain"),
        (FeaturesCommand, FeaturesConfig, "features_chain"),
        (DiffCommand, DiffConfig, "diff_chain"),
    ],
)
def test_the_shipped_configs_hold_every_key(job, config, file):
    shipped = read_config(job, config_file(f"{file}.yaml"))
    assert set(config.model_fields) <= shipped.model_fields_set
    own = {
        "layers",
        "d_sae",
        "k",
        "steps",
        "batch_size",
        "lr",
        "held_out",
        "checkpoint_every",
        "words",
        "threads",
    }
    for name, value in config().model_dump().items():
        if name not in own:
            assert shipped.model_dump()[name] == value, name


@pytest.fixture
def mistake(cli, tmp_path):
    def run(*args: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        code, stdout, stderr = cli("sae", *args, "--out", tmp_path / "out")
        assert (code, stdout, stderr.count("\n")) == (2, "", 1), stderr
        assert stderr.startswith("undertext: ")
        assert sorted(tmp_path.rglob("*")) == before
        return str(stderr)

    return run


def test_an_sae_that_is_none_or_does_not_fit(mistake, untrained, small_task, trained, tmp_path_factory):
    base = ["--checkpoint", untrained / "a", "--task", small_task, "--words", "answer"]
    pair = ["--base", untrained / "a", "--tuned", untrained / "b", "--task", small_task]
    assert "could not load the SAE /nowhere: expected cfg.json" in mistake(
        "features", *base, "--sae", "/nowhere"
    )
    assert "could not load the SAE /nowhere: expected cfg.json" in mistake("diff", *pair, "--sae", "/nowhere")
    assert "/nowhere" in mistake("diff", *pair, "--crosscoder", "/nowhere")
    assert "was trained at blocks.1" in mistake("features", *base, "--sae", trained / "sae", "--layer", 2)
    narrow = tmp_path_factory.mktemp("narrow")
    sae = StandardSAE(StandardSAEConfig(d_in=32, d_sae=3))
    sae.cfg.metadata.hook_name = "blocks.1.hook_resid_post"
    sae.save_model(narrow)
    assert "width 32" in mistake("features", *base, "--sae", narrow)
    sae.cfg.metadata.hook_name = None
    sae.save_model(narrow)
    assert "does not say where it reads" in mistake("features", *base, "--sae", narrow)
    unknown = [*base[:4], "--sae", trained / "sae", "--words", "answer", "perchance"]
    assert "no tokens for the word 'perchance'" in mistake("features", *unknown)


def test_what_is_left_out_or_wrong(mistake, cli, untrained, small_task, monkeypatch, tmp_path):
    assert "--sae, --checkpoint, --task" in mistake("features")
    assert "--base, --tuned, --task" in mistake("diff")
    assert "got none" in mistake("train", "--checkpoint", untrained / "a")
    config = tmp_path / "c.yaml"
    config.write_text("kinds: sae\n")
    assert "unknown key 'kinds'" in mistake("train", "--config", config)
    config.write_text("kind: crosscoder\narchitecture: topk\n")
    assert "a crosscoder is batchtopk" in mistake("train", "--config", config)
    for args in ([], ["learn"]):
        code, _, stderr = cli("sae", *args)
        assert (code, stderr.count("\n")) == (2, 1)
        assert "expected one of: undertext sae train, undertext sae features, undertext sae diff" in stderr
    monkeypatch.setitem(sys.modules, "sae_lens", None)
    args = ["--checkpoint", untrained / "a", "--task", small_task]
    assert "pip install -e '.[saes]'" in mistake("train", *args)
    assert "pip install -e '.[saes]'" in mistake("features", *args, "--sae", "x", "--words", "answer")


@pytest.fixture
def signals():
    """Handlers put back: a command that was interrupted ignores what comes after."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_an_interrupt_is_one_line_and_it_goes_on(
    cli, signals, untrained, small_task, trained, tmp_path, monkeypatch
):
    following = Feed.__next__

    def interrupting(self):
        if self.taken == 30:
            os.kill(os.getpid(), signal.SIGINT)
        return following(self)

    args = ["sae", "train", "--checkpoint", untrained / "a", "--task", small_task, *SMALL]
    args += ["--checkpoint-every", 10, "--out", tmp_path / "out"]
    monkeypatch.setattr(Feed, "__next__", interrupting)
    code, stdout, stderr = cli(*args)
    assert (code, stdout) == (2, "")
    assert stderr == "undertext: interrupted; what was not finished was not written\n"
    assert not (tmp_path / "out" / "result.json").exists()
    assert not list((tmp_path / "out").rglob("*.partial"))
    monkeypatch.undo()
    assert cli(*args)[0] == 0
    weights = [
        (folder / "sae" / "sae_weights.safetensors").read_bytes() for folder in (trained, tmp_path / "out")
    ]
    assert weights[0] == weights[1]
