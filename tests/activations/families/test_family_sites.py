"""The sites of each family: what they hold, how wide they are, and that writing there works."""

import pytest
import torch
from torch.testing import assert_close

from tests.activations.families.by_hand import (
    NORMS_AFTER,
    PARALLEL,
    TEXTS,
    WINDOWS,
    bare,
    block,
    locate_values,
    passes,
    project,
)
from tests.toys import family_config, random_model
from undertext.activations import Checkpoint, HookPoint, UserError, hooked
from undertext.activations.random_init import random_init

ROUNDING = {torch.float32: 1e-6, torch.bfloat16: 2**-7}


@pytest.fixture
def ids(member):
    return torch.tensor(member.encode(TEXTS[2:3]))


def test_the_folder_is_of_the_family_and_longer_than_its_window(member, family, ids):
    config = member.model.config
    assert member.dtype in ROUNDING
    window = getattr(config, "sliding_window", None)
    assert (window is not None) == (family in WINDOWS)
    assert ids.shape[1] > 2 * (window or 4)


def test_reading_every_site_leaves_the_logits_as_they_are(member, family, ids):
    expected = bare(member, ids).logits
    seen, logits = passes(member, ids, locate_values(family))
    assert len(seen) == len(locate_values(family))
    assert torch.equal(logits, expected)


def test_the_stream_is_the_sum_of_its_parts(member, family, dtype, ids):
    seen, _ = passes(member, ids, locate_values(family))
    at = {(point.layer, point.site): activation.double() for point, activation in seen.items()}
    for layer in range(3):
        pre, post, attn, mlp = (at[layer, s] for s in ("resid_pre", "resid_post", "attn_out", "mlp_out"))
        slack = ROUNDING[dtype] * (pre.abs() + attn.abs() + mlp.abs())
        assert ((pre + attn + mlp - post).abs() <= 2 * slack).all()
        assert attn.norm() > 0.01 * pre.norm()  # parts too small to be seen would show nothing
        assert mlp.norm() > 0.01 * pre.norm()
        if family not in PARALLEL:
            assert ((pre + attn - at[layer, "resid_mid"]).abs() <= slack).all()
            assert ((at[layer, "resid_mid"] + mlp - post).abs() <= slack).all()


def test_z_gives_attn_out_through_the_output_projection(member, dtype, ids):
    points = [HookPoint(layer, site) for layer in range(3) for site in ("z", "attn_out")]
    seen, _ = passes(member, ids, points)
    for layer in range(3):
        with torch.no_grad():
            expected = project(member, layer, seen[HookPoint(layer, "z")])
        close = {torch.float32: 1e-5, torch.bfloat16: 2e-2}[dtype]
        assert_close(seen[HookPoint(layer, "attn_out")], expected, atol=close, rtol=close)


def test_sizes_are_those_of_the_config(member, family):
    config = member.model.config
    d_head = {"qwen3": 12, "gemma2": 12, "gemma3": 12}.get(family, 8)
    assert (member.n_heads, member.d_head, member.d_model) == (4, d_head, 32)
    assert (config.num_attention_heads, getattr(config, "head_dim", None) or 8) == (4, d_head)
    for point in locate_values(family):
        assert member.width(point) == (4 * d_head if point.site == "z" else 32)


def test_sites_are_as_wide_as_they_say(member, family, ids):
    seen, _ = passes(member, ids, locate_values(family))
    for point, activation in seen.items():
        assert activation.shape == (1, ids.shape[1], member.width(point))
        assert activation.dtype == member.dtype


def test_every_site_is_transformer_lenss(exact, family):
    ids = exact.encode(TEXTS[2:3])
    seen, _ = passes(exact, torch.tensor(ids), locate_values(family))
    _, cache = exact.bridge().run_with_cache(torch.tensor(ids))
    for point, activation in seen.items():
        # The bridge gives z as [row, position, head, d_head].
        assert_close(activation, cache[str(point)].flatten(2), atol=1e-5, rtol=1e-5)


def test_a_live_bridge_has_the_same_sites(exact, family):
    ids = torch.tensor(exact.encode(TEXTS[2:3]))
    loaded = Checkpoint.load(exact.bridge())
    found, expected = (passes(checkpoint, ids, locate_values(family))[0] for checkpoint in (loaded, exact))
    for point, activation in expected.items():
        assert loaded.width(point) == exact.width(point)
        assert_close(found[point], activation, atol=1e-5, rtol=1e-5)


def written(checkpoint: Checkpoint, point: HookPoint, shift: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad(), hooked(checkpoint, {point: lambda activation: activation + shift}):
        return checkpoint.model(input_ids=ids).logits


@pytest.mark.parametrize("layer", [0, 2])
def test_writing_goes_where_it_should(exact, family, layer):
    """Each site's write against another's, and the block's end against a plain hook of Hugging Face's."""
    ids = torch.tensor(exact.encode(TEXTS[2:3]))
    shift = torch.linspace(-1, 1, 32)
    found = {
        point.site: written(exact, point, shift, ids)
        for point in locate_values(family)
        if point.layer == layer and point.site != "z"
    }
    handle = block(exact, layer).register_forward_hook(
        lambda module, args, output: (
            (output[0] + shift, *output[1:]) if isinstance(output, tuple) else output + shift
        )
    )
    plain = bare(exact, ids).logits
    handle.remove()
    assert_close(found["resid_post"], plain, atol=1e-5, rtol=1e-5)
    assert_close(found["mlp_out"], plain, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(plain, bare(exact, ids).logits, atol=1e-2)
    if family in PARALLEL:
        # The MLP does not read what attention adds.
        assert_close(found["attn_out"], plain, atol=1e-5, rtol=1e-5)
    else:
        assert_close(found["attn_out"], found["resid_mid"], atol=1e-5, rtol=1e-5)
        assert not torch.allclose(found["attn_out"], plain, atol=1e-3)
    assert not torch.allclose(found["resid_pre"], plain, atol=1e-3)


@pytest.mark.parametrize("layer", [0, 2])
def test_a_value_written_at_z_goes_through_the_projection(exact, family, layer):
    ids = torch.tensor(exact.encode(TEXTS[2:3]))
    shift = torch.linspace(-1, 1, exact.width(HookPoint(layer, "z")))
    found = written(exact, HookPoint(layer, "z"), shift, ids)
    with torch.no_grad():
        before, _ = passes(exact, ids, [HookPoint(layer, "z"), HookPoint(layer, "attn_out")])
        z, attn = before.values()
        moved = project(exact, layer, z + shift) - attn
    assert_close(found, written(exact, HookPoint(layer, "attn_out"), moved, ids), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found, bare(exact, ids).logits, atol=1e-2)


@pytest.mark.parametrize("name", PARALLEL)
def test_a_parallel_block_has_no_stream_between_its_parts(zoo, name):
    checkpoint = zoo.load(name, torch.float32)
    with pytest.raises(
        UserError,
        match=r"has no blocks.1.hook_resid_mid: .* run side by side; "
        r"valid sites are resid_pre, resid_post, attn_out, mlp_out, z$",
    ):
        passes(checkpoint, torch.tensor([[1, 5]]), [HookPoint(1, "resid_mid")])


@pytest.mark.parametrize("name", NORMS_AFTER)
def test_norms_after_the_parts_are_within_them(zoo, name):
    """In Gemma the norms' outputs are what is added, and differ from what attention and MLP put out."""
    checkpoint = zoo.load(name, torch.float32)
    inner = block(checkpoint, 1)
    raw: dict[str, torch.Tensor] = {}
    handles = [
        inner.self_attn.register_forward_hook(lambda module, args, out: raw.update(attn_out=out[0])),
        inner.mlp.register_forward_hook(lambda module, args, out: raw.update(mlp_out=out)),
    ]
    seen, _ = passes(checkpoint, torch.tensor([[1, 5, 9]]), locate_values(name))
    for handle in handles:
        handle.remove()
    for site in ("attn_out", "mlp_out"):
        assert not torch.allclose(seen[HookPoint(1, site)], raw[site], atol=1e-2)


def test_mlp_out_of_a_mixture_is_the_experts_weighted_sum(zoo, dtype):
    """Each token and expert at a time, from the weights."""
    checkpoint = zoo.load("mixtral", dtype)
    ids = torch.tensor(checkpoint.encode(TEXTS[2:3]))
    mlp = block(checkpoint, 1).mlp
    read: dict[str, torch.Tensor] = {}
    handle = mlp.register_forward_pre_hook(lambda module, args: read.update(x=args[0][0].clone()))
    seen, _ = passes(checkpoint, ids, [HookPoint(1, "mlp_out")])
    handle.remove()
    used = set()
    for x, found in zip(read["x"], seen[HookPoint(1, "mlp_out")][0], strict=True):
        with torch.no_grad():
            odds = (mlp.gate.weight @ x).float().softmax(0)
            weights, chosen = odds.topk(2)
            total = torch.zeros(32)
            for weight, expert in zip(weights / weights.sum(), chosen.tolist(), strict=True):
                used.add(expert)
                gate, up = (mlp.experts.gate_up_proj[expert] @ x).chunk(2)
                out = mlp.experts.down_proj[expert] @ (torch.nn.functional.silu(gate) * up)
                total += weight * out.float()
        close = {torch.float32: 1e-5, torch.bfloat16: 3e-2}[dtype]
        assert_close(found.float(), total, atol=close, rtol=close)
    assert len(used) > 2


def test_a_model_that_was_never_saved_is_known_by_its_class(exact, family):
    model = random_model(family_config(family, exact.d_vocab))
    assert not model.config.architectures
    live = Checkpoint.load(model, tokenizer=exact.tokenizer)
    assert live.layout.architecture == type(model).__name__ == exact.layout.architecture
    assert live.fingerprint == exact.fingerprint
    assert model.config.architectures is None


def test_random_init_of_a_family(member, family, ids):
    fresh = random_init(member, seed=3)
    assert fresh.dtype == member.dtype
    assert fresh.fingerprint != member.fingerprint
    assert fresh.fingerprint == random_init(member, seed=3).fingerprint
    seen, logits = passes(fresh, ids, locate_values(family))
    assert len(seen) == len(locate_values(family))
    assert logits.isfinite().all()
    assert not torch.allclose(logits, bare(member, ids).logits, atol=1e-2)
