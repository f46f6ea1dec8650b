"""Loading, and every way of reading texts."""

from typing import Any

import pytest
import torch

from tests.activations.reference import PROMPTS
from tests.cuda.both import GPU, Both, near, shapes
from tests.toys import SHAPES, Shape, tiny_folder
from undertext.activations import (
    SITES,
    Branch,
    Checkpoint,
    HookPoint,
    Intervention,
    Store,
    capture,
    capture_pair_to_store,
    capture_to_store,
    forward_texts,
    next_tokens,
    score_branches,
    unembed,
)
from undertext.activations.choices import score_choices
from undertext.activations.forced import forced
from undertext.activations.random_init import random_init

POINTS = [HookPoint(layer, site) for layer in range(3) for site in SITES]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[Shape, Both]:
    return shapes(tmp_path_factory.mktemp("made"))


@pytest.fixture(params=SHAPES)
def two(made, request) -> Both:
    return made[request.param]


def test_float32_is_float32():
    """Nothing here turns TF32 on, which rounds to 10 bits: figures depend on what the caller has set."""
    import undertext.activations.checkpoint
    import undertext.saes  # noqa: F401

    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("device", [GPU, f"{GPU}:0", "auto", "balanced", torch.device(GPU), {"": 0}])
def test_every_way_to_name_the_gpu(tmp_path, device: Any):
    folder = tiny_folder(tmp_path / "made")
    found, wanted = Checkpoint.load(folder, device=device), Checkpoint.load(folder)
    assert found.device.type == "cuda"
    assert {each.device.type for each in found.model.parameters()} == {"cuda"}
    assert found.fingerprint == wanted.fingerprint
    point = HookPoint(1, "resid_post")
    near(capture(found, PROMPTS, [point])[point], capture(wanted, PROMPTS, [point])[point])


def test_every_site_is_what_it_is_on_the_cpu(two):
    found, wanted = (capture(each, PROMPTS, POINTS, "all", batch_tokens=40) for each in two)
    for point in POINTS:
        assert found[point].device.type == "cpu"
        near(found[point], wanted[point])
    assert torch.equal(found.rows, wanted.rows)


def test_what_is_kept_on_the_gpu(two):
    point = HookPoint(2, "mlp_out")
    kept = capture(two.gpu, PROMPTS, [point], "all", device=GPU, dtype=torch.bfloat16)[point]
    assert (kept.device.type, kept.dtype) == ("cuda", torch.bfloat16)
    assert torch.equal(kept.cpu(), capture(two.gpu, PROMPTS, [point], "all", dtype=torch.bfloat16)[point])
    near(unembed(two.gpu, kept.float()), unembed(two.cpu, kept.float().cpu()))
    near(unembed(two.gpu, kept.float().cpu()), unembed(two.cpu, kept.float().cpu()))


def test_next_tokens_and_forced(two):
    found, wanted = (next_tokens(each, PROMPTS, 5) for each in two)
    assert torch.equal(found.ids.cpu(), wanted.ids)
    near(found.log_probs, wanted.log_probs)
    texts = [f"{prompt} so answer" for prompt in PROMPTS]
    one, other = (forced(each, texts, [[1, 2]] * len(texts)) for each in two)
    assert one.chosen == other.chosen
    for scores, right in zip(one.log_probs, other.log_probs, strict=True):
        near(scores, right)


@pytest.mark.parametrize("method", ["packed", "cached", "naive", None])
def test_branches(two, method):
    trunks = two.cpu.encode(PROMPTS)
    branches = [[Branch(at, [5, 6 + at]) for at in sorted({1, len(ids)})] for ids in trunks]
    found, wanted = (score_branches(each, trunks, branches, method=method) for each in two)
    assert found.methods == wanted.methods
    near(found.tokens, wanted.tokens)


def test_choices_with_and_without_interventions(two):
    prompts, choices = list(PROMPTS[:3]), [[" 3", " 4 ; so"], [" b"], [" 5", " c ?"]]
    vector = torch.randn(32, generator=torch.Generator().manual_seed(0))
    acting = [[Intervention(HookPoint(0, "resid_post"), vector, 2.0, at="all")]] * 3
    every: list[dict[str, Any]] = [{}, {"interventions": acting}]
    for options in every:
        found, wanted = (score_choices(each, prompts, choices, **options) for each in two)
        for one, other in zip(found.log_probs, wanted.log_probs, strict=True):
            near(one, other)
        assert found.touched == wanted.touched


def test_logits_of_whole_texts(two):
    encoded = two.cpu.encode(PROMPTS)
    found, wanted = (forward_texts(each, encoded) for each in two)
    for row, ids in enumerate(encoded):
        near(found.logits[row, : len(ids)], wanted.logits[row, : len(ids)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_store_holds_what_was_captured(two, tmp_path, dtype):
    prompts, points = dict(enumerate(PROMPTS)), POINTS[:2]
    stores = [
        capture_to_store(each, prompts, points, "all", tmp_path / name, dtype=dtype, unit=3)
        for name, each in zip(("cpu", "gpu"), two, strict=True)
    ]
    near(stores[1].read().float(), stores[0].read().float(), 1e-4 if dtype == torch.float32 else 0.01)
    assert stores[0].meta == stores[1].meta
    # What was begun on one device goes on, and is whole, on the other.
    again = capture_to_store(two.cpu, prompts, points, "all", tmp_path / "gpu", dtype=dtype, unit=3)
    assert again.read().equal(stores[1].read())


def test_a_pair_is_captured_one_at_a_time(tmp_path):
    folders = [tiny_folder(tmp_path / name, seed=seed) for seed, name in enumerate(("base", "tuned"))]
    prompts = dict(enumerate(PROMPTS))
    found, wanted = (
        capture_pair_to_store(
            folders[0], folders[1], prompts, points=POINTS[:2], positions="all", folder=tmp_path / device,
            load={"device": device},
        )
        for device in (GPU, "cpu")
    )  # fmt: skip
    near(found.base.read(), wanted.base.read())
    near(found.tuned.read(), wanted.tuned.read())
    assert isinstance(found.base, Store)


@pytest.mark.parametrize(("dtype", "share"), [(torch.bfloat16, 0.05), (torch.float16, 0.01)])
def test_short_formats(tmp_path, dtype, share):
    folder = tiny_folder(tmp_path / "made")
    found, wanted = Checkpoint.load(folder, device=GPU, dtype=dtype), Checkpoint.load(folder)
    assert found.dtype == dtype
    for point, kept in ((each, capture(found, PROMPTS, [each], "all")[each]) for each in POINTS):
        near(kept, capture(wanted, PROMPTS, [point], "all")[point], share)
    one, other = (next_tokens(each, PROMPTS, 1).log_probs for each in (found, wanted))
    near(one, other, 0.2)


def test_another_start_is_on_the_device_of_the_first(made):
    drawn = random_init(made["llama"].gpu, seed=0)
    assert drawn.device.type == "cuda"
    near(
        capture(drawn, PROMPTS, POINTS[:2])[POINTS[0]],
        capture(random_init(made["llama"].cpu, seed=0), PROMPTS, POINTS[:2])[POINTS[0]],
    )


def test_the_bridge_is_on_the_device_of_the_model(made):
    two = made["llama"]
    ids = torch.tensor(two.cpu.encode(PROMPTS[:1]))
    with torch.no_grad():
        found, wanted = two.gpu.bridge()(ids.to(GPU)), two.cpu.bridge()(ids)
    near(found, wanted)
