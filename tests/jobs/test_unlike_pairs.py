"""Pairs as tuning leaves them: an adapter whose base has moved, a vocabulary that grew; in every job."""

import html
import json
from typing import Any

import pytest
from peft import LoraConfig, get_peft_model

from tests.made_up_sae import sae_of
from tests.sums import blank, tokenizer_for, worked_problems, write_by_hand
from tests.toys import save_folder
from undertext import (
    CompareConfig,
    DiffConfig,
    ProbeConfig,
    RoutesConfig,
    SteerConfig,
    TrainConfig,
    compare,
    feature_diff,
    probe,
    routes,
    steer,
    train_dictionary,
)
from undertext.activations import Checkpoint
from undertext.activations.quiet import quiet

SEARCH = {"doses": (1.0,), "random_directions": 1, "search_problems": 4, "vector_problems": 8}
GROWN = "the tuned checkpoint alone has the tokens '<think>'"
MOVED = "names the base /home/other/base, which is not here: it is merged into"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A task, a base, and an adapter on the base that learnt a new token; its config names another place."""
    root, problems = tmp_path_factory.mktemp("unlike"), worked_problems()
    tokenizer = tokenizer_for(problems)
    task = write_by_hand(root / "task", problems, 4)
    base = save_folder(root / "base", blank(tokenizer, 0), tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<think>"]})
    with quiet():
        model = blank(tokenizer_for(problems), 0)
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
        get_peft_model(model, config).save_pretrained(root / "tuned", save_embedding_layers=True)
    tokenizer.save_pretrained(root / "tuned")
    file = root / "tuned" / "adapter_config.json"
    file.write_text(
        json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": "/home/other/base"})
    )
    sae_of(Checkpoint.load(base), width=64).save_model(root / "sae")
    return {"task": task, "base": base, "tuned": root / "tuned", "sae": root / "sae"}


JOBS: dict[str, Any] = {
    "compare": lambda f, out: compare(
        f["base"], f["tuned"], f["task"], config=CompareConfig(**SEARCH, splits=["test"]), out=out
    ),
    "compare, turned": lambda f, out: compare(
        f["tuned"], Checkpoint.load(f["base"]).model, f["task"], config=CompareConfig(**SEARCH), out=out
    ),
    "routes": lambda f, out: routes(
        f["base"],
        f["tuned"],
        f["task"],
        config=RoutesConfig(**SEARCH, budget=2, fit_steps=2, rlvr_steps=0),
        out=out,
    ),
    "steer": lambda f, out: steer(
        f["base"], f["task"], stronger=f["tuned"], config=SteerConfig(**SEARCH), out=out
    ),
    "probe": lambda f, out: probe(
        {"base": f["base"], "tuned": f["tuned"]},
        {"task": f["task"]},
        config=ProbeConfig(layers=(1,), positions=(0,), controls=(), strengths=(0.03,)),
        out=out,
    ),
    "sae diff": lambda f, out: feature_diff(
        f["base"], f["tuned"], f["task"], sae=f["sae"], config=DiffConfig(effects=0, pages=1), out=out
    ),
    "sae train": lambda f, out: train_dictionary(
        f["base"],
        f["tuned"],
        task=f["task"],
        config=TrainConfig(kind="crosscoder", d_sae=8, k=2, steps=4, batch_size=64, held_out=64),
        out=out,
    ),
}


QUICK = ("compare", "compare, turned", "steer", "sae diff")


@pytest.mark.parametrize(
    "job", [pytest.param(job, marks=[pytest.mark.slow] * (job not in QUICK)) for job in JOBS]
)
def test_every_job_takes_the_pair_and_says_how_it_differs(folders, job, tmp_path):
    result = JOBS[job](folders, tmp_path / "out")
    notes = json.loads((tmp_path / "out" / "run.json").read_text())["notes"]
    grown = GROWN.replace("tuned checkpoint", "base") if "turned" in job else GROWN
    assert any(MOVED in note for note in notes)
    assert any(grown in note for note in notes)
    page = html.unescape((tmp_path / "out" / "report.html").read_text())
    assert all(note in page for note in notes)
    if job.startswith("compare"):
        assert all(set(notes) <= set(split["flags"]) for split in result.summary["splits"].values())
