"""Models over several devices: accelerate's own hooks, and meta as a second device."""

from typing import Any

import accelerate  # type: ignore[import-untyped]
import pytest
import torch

from tests.activations.made_interventions import DOSES, intervention, vector
from tests.activations.reference import PROMPTS
from undertext.activations import (
    Checkpoint,
    HookPoint,
    Intervention,
    RecordSpec,
    UserError,
    capture,
    generate,
)
from undertext.activations.activation_recording import Recorder
from undertext.activations.capture import _keepers
from undertext.activations.groups import Part
from undertext.activations.interventions import Threshold
from undertext.activations.operators import Operator
from undertext.activations.placement import parse_placement
from undertext.activations.steered_rows import SteeredRows

POINT = HookPoint(1, "resid_post")


@pytest.fixture(scope="module")
def spread(folders) -> Checkpoint:
    """A llama that accelerate runs by its hooks, block by block, as a model over several devices."""
    loaded = Checkpoint.load(folders["llama"])
    names = ["model.embed_tokens", "model.rotary_emb", "model.norm", "lm_head"]
    device_map = dict.fromkeys([*names, *(f"model.layers.{layer}" for layer in range(3))], "cpu")
    model: Any = accelerate.dispatch_model(loaded.model, device_map, force_hooks=True)
    assert hasattr(model.model.layers[1], "_hf_hook")
    return Checkpoint.load((model, loaded.tokenizer))


def test_captures_and_interventions_with_accelerates_hooks_are_those_without(spread, llama):
    points = [
        HookPoint(layer, site) for layer in range(3) for site in ("resid_pre", "attn_out", "resid_mid", "z")
    ]
    one, other = (capture(each, PROMPTS, points, "all") for each in (llama, spread))
    for point in points:
        assert torch.equal(one[point], other[point])
    acting = [
        Intervention(HookPoint(row % 3, "resid_mid"), vector(row), 3.0, "all") for row in range(len(PROMPTS))
    ]
    options: Any = {"max_new_tokens": 9, "interventions": acting, "record": RecordSpec([POINT], "all")}
    written, there = (generate(each, PROMPTS, **options) for each in (llama, spread))
    assert (written.tokens, written.touched) == (there.tokens, there.touched)
    assert written.captured
    assert there.captured
    assert torch.equal(written.captured[POINT], there.captured[POINT])
    assert spread.fingerprint == llama.fingerprint


@pytest.mark.parametrize("operator", DOSES)
def test_what_acts_in_a_layer_acts_on_its_device(llama, operator: Operator):
    """The tokens are read on one device; a layer's activations come on another, and stay there."""
    prompts = llama.encode(PROMPTS)
    each = intervention(operator, 1, at="all", point=POINT, threshold=Threshold(vector(7), 0.5))
    steered = SteeredRows(llama, [(each,)] * len(prompts), prompts, lambda row: [])
    lengths = torch.tensor([len(ids) for ids in prompts])
    width = int(lengths.max())
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    steered.begin(Part(ids, tuple(range(len(prompts))), torch.zeros(len(prompts), dtype=torch.long), lengths))
    steered._changed = steered._changed.to("meta")  # nothing comes back from meta, which holds no values
    there = torch.empty(len(prompts), width, llama.d_model, device="meta")
    changed = steered.hooks[POINT](there)
    assert changed is not None
    assert changed.is_meta


def test_what_is_kept_of_a_layer_is_taken_on_its_device(llama):
    prompts = llama.encode(PROMPTS[:2])
    lengths = torch.tensor([len(ids) for ids in prompts])
    ids = torch.zeros(2, int(lengths.max()), dtype=torch.long)
    recorder = Recorder(RecordSpec([POINT], "all"), lengths.tolist())
    recorder.begin(Part(ids, (0, 1), torch.zeros(2, dtype=torch.long), lengths), [0, 1], [0, 1])
    seen: dict[HookPoint, torch.Tensor] = {}
    at = (torch.tensor([0, 1]), torch.tensor([2, 0]))
    last = HookPoint(2, "resid_post")
    keepers = _keepers([POINT, last], seen, at, torch.float32)
    there = torch.empty(*ids.shape, llama.d_model, device="meta")
    recorder.hooks[POINT](there)
    keepers[POINT](there)
    kept = recorder._seen[POINT]
    assert kept.device == seen[POINT].device == there.device
    assert kept.shape == (int(lengths.sum()), llama.d_model)
    assert seen[POINT].shape == (2, llama.d_model)


@pytest.mark.parametrize("way", ["auto", "balanced", "sequential"])
def test_a_way_to_spread_takes_the_devices_that_there_are(folders, llama, way):
    found = Checkpoint.load(folders["llama"], device=way)
    assert found.device == torch.device("cpu")
    assert (
        generate(found, PROMPTS, max_new_tokens=5).tokens == generate(llama, PROMPTS, max_new_tokens=5).tokens
    )


@pytest.mark.parametrize(
    ("device", "says"),
    [
        ({"model": "nowhere"}, "device 'nowhere' cannot be used here"),
        ({"": 7}, "device 'cuda:7' cannot be used here"),
        ({}, "a device map names modules, each with its device"),
        ("everywhere", "device 'everywhere' cannot be used here"),
    ],
)
def test_a_device_that_is_not_there_is_refused(device, says):
    with pytest.raises(UserError, match=says):
        parse_placement(device)


def test_weights_that_are_on_no_device_are_refused(folders):
    """As accelerate leaves them where a model does not fit: fetched from elsewhere in each pass."""
    model = Checkpoint.load(folders["llama"]).model
    accelerate.cpu_offload(model)
    with pytest.raises(UserError, match="of its weights are on no device"):
        Checkpoint.load((model, Checkpoint.load(folders["llama"]).tokenizer))
