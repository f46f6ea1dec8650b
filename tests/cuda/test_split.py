"""A model whose blocks are on two devices, one of them the CPU."""

from typing import Any

import accelerate  # type: ignore[import-untyped]
import pytest
import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module  # type: ignore[import-untyped]

from tests.activations.made_interventions import DOSES, intervention, vector
from tests.activations.reference import PROMPTS
from tests.cuda.both import GPU, Both, alike, near
from tests.toys import tiny_folder
from undertext.activations import (
    SITES,
    Branch,
    Checkpoint,
    HookPoint,
    RecordSpec,
    Threshold,
    UserError,
    capture,
    generate,
    next_tokens,
    score_branches,
)
from undertext.steering import fit_vector

POINTS = [HookPoint(layer, site) for layer in range(3) for site in SITES]
ENDS = ("model.embed_tokens", "model.rotary_emb", "model.norm", "lm_head")
LAYERS = {"model.layers.0": GPU, "model.layers.1": "cpu", "model.layers.2": GPU}


@pytest.fixture(scope="module", params=[GPU, "cpu"])
def two(request, tmp_path_factory) -> Both:
    """By accelerate's own hooks, each module run where it is put; the ends are on either device."""
    folder = tiny_folder(tmp_path_factory.mktemp("split") / "made")
    whole, loaded = Checkpoint.load(folder), Checkpoint.load(folder)
    model: Any = loaded.model
    for name, device in {**LAYERS, **dict.fromkeys(ENDS, request.param)}.items():
        hook = AlignDevicesHook(execution_device=torch.device(device), place_submodules=True)
        add_hook_to_module(model.get_submodule(name).to(device), hook)
    add_hook_to_module(
        model, AlignDevicesHook(execution_device=torch.device(request.param), io_same_device=True)
    )
    split = Checkpoint.load((model, loaded.tokenizer))
    assert {each.device.type for each in model.parameters()} == {"cuda", "cpu"}
    return Both(whole, split)


def test_captures(two):
    found, wanted = (capture(each, PROMPTS, POINTS, "all") for each in (two.gpu, two.cpu))
    for point in POINTS:
        near(found[point], wanted[point])
    assert two.gpu.fingerprint == two.cpu.fingerprint


@pytest.mark.parametrize("operator", DOSES)
def test_interventions(two, operator):
    acting = [
        [intervention(operator, row, at="all", threshold=Threshold(vector(7), 0.5))]
        for row in range(len(PROMPTS))
    ]
    options: dict[str, Any] = {
        "max_new_tokens": 9,
        "interventions": acting,
        "record": RecordSpec(POINTS, "all"),
    }
    alike(*(generate(each, PROMPTS, batch_size=3, **options) for each in (two.gpu, two.cpu)))


def test_readings(two):
    found, wanted = (next_tokens(each, PROMPTS, 3).log_probs for each in (two.gpu, two.cpu))
    near(found, wanted)
    trunks = two.cpu.encode(PROMPTS)
    branches = [[Branch(len(ids), [5, 6])] for ids in trunks]
    for method in ("packed", "cached", "naive"):
        found, wanted = (
            score_branches(each, trunks, branches, method=method).tokens for each in (two.gpu, two.cpu)
        )
        near(found, wanted)


def test_a_fitted_vector(two):
    targets = ["answer"] * len(PROMPTS)
    found, wanted = (
        fit_vector(each, list(PROMPTS), targets, torch.full((3,), 4.0), steps=3, lr=0.1)
        for each in (two.gpu, two.cpu)
    )
    near(found, wanted, 0.01)


def test_a_map_to_gpu_and_cpu_is_split_or_refused_in_a_line(tmp_path):
    """accelerate takes the CPU beside a GPU for a place to fetch weights from, which is not supported."""
    folder = tiny_folder(tmp_path / "made")
    device: Any = {**LAYERS, **dict.fromkeys(ENDS, GPU)}
    try:
        split = Checkpoint.load(folder, device=device)
    except UserError as error:
        assert "of its weights are on no device" in str(error)  # noqa: PT017
    else:
        alike(
            generate(split, PROMPTS, max_new_tokens=5),
            generate(Checkpoint.load(folder), PROMPTS, max_new_tokens=5),
        )


def test_what_accelerate_fetches_in_each_pass_is_refused(tmp_path):
    folder = tiny_folder(tmp_path / "made")
    loaded = Checkpoint.load(folder)
    model = accelerate.dispatch_model(loaded.model, {**LAYERS, **dict.fromkeys(ENDS, GPU)})
    with pytest.raises(UserError, match="of its weights are on no device"):
        Checkpoint.load((model, loaded.tokenizer))
