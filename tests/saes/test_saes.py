"""The SAE wing against sae-lens itself, on tiny SAEs saved by sae-lens."""

import json
import sys

import pytest
import torch
from jaxtyping import TypeCheckError
from sae_lens import (
    BatchTopKTrainingSAE,
    BatchTopKTrainingSAEConfig,
    StandardSAE,
    StandardSAEConfig,
    TopKSAE,
    TopKSAEConfig,
)
from sae_lens.registry import SAE_CLASS_REGISTRY
from sae_lens.saes.sae import SAEMetadata

from tests.toys import tiny_model, word_tokenizer
from undertext.activations import Checkpoint, HookPoint
from undertext.activations.errors import UserError
from undertext.saes import decoder_directions, encode, load_sae, loss_recovered
from undertext.saes.checks import check_reads, trained_at

D_MODEL, D_SAE = 8, 20
SHAPE = {"d_in": D_MODEL, "d_sae": D_SAE}


def randomized(sae):
    """The same SAE with every parameter drawn anew: fresh biases are zero, which would hide mistakes."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        for parameter in sae.parameters():
            parameter.normal_()
    return sae


@pytest.fixture
def activations():
    return torch.randn(16, D_MODEL, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def standard():
    sae = randomized(StandardSAE(StandardSAEConfig(**SHAPE, normalize_activations="layer_norm")))
    sae.cfg.metadata.hook_name = "blocks.2.hook_resid_post"
    return sae


@pytest.fixture(params=["standard", "topk"])
def sae(request, standard):
    return standard if request.param == "standard" else randomized(TopKSAE(TopKSAEConfig(**SHAPE, k=3)))


def test_a_saved_sae_comes_back_with_equal_outputs(sae, activations, tmp_path):
    sae.save_model(tmp_path)
    loaded = load_sae(tmp_path)
    expected = sae.encode(activations)
    assert expected.count_nonzero() > 0
    torch.testing.assert_close(encode(loaded, activations), expected, rtol=0, atol=0)


def test_a_trained_sae_comes_back_with_equal_outputs(activations, tmp_path):
    trained = BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(**SHAPE, k=3))
    randomized(trained).topk_threshold.fill_(5.0)
    trained.save_inference_model(tmp_path)
    above = torch.relu((activations - trained.b_dec) @ trained.W_enc + trained.b_enc)
    above = above * trained.W_dec.norm(dim=1)  # sae-lens folds the rows' norms into the encoder when it saves
    expected = torch.where(above > 5.0, above, 0.0).detach()
    assert 0 < expected.count_nonzero() < above.count_nonzero()  # the threshold matters
    torch.testing.assert_close(encode(load_sae(tmp_path), activations), expected)


@pytest.mark.parametrize(
    ("kwargs", "refused"),
    [
        ({"center_writing_weights": False, "fold_ln": False}, None),
        ({"center_writing_weights": True}, r"rewrote \(center_writing_weights\)"),
        ({"fold_ln": True, "fold_value_biases": True}, r"rewrote \(fold_ln, fold_value_biases\)"),
        ("fold_ln", "must be a mapping, got 'fold_ln'"),
    ],
)
def test_an_sae_of_a_rewritten_model_is_refused(kwargs, refused, tmp_path):
    metadata = SAEMetadata(hook_name="blocks.1.hook_resid_post", model_from_pretrained_kwargs=kwargs)
    StandardSAE(StandardSAEConfig(**SHAPE, metadata=metadata)).save_model(tmp_path)
    if refused is None:
        load_sae(tmp_path)
    else:
        with pytest.raises(UserError, match=refused):
            load_sae(tmp_path)


KINDS = [
    *((name, {}) for name in sorted(SAE_CLASS_REGISTRY)),
    *((name, {"rescale_acts_by_decoder_norm": True}) for name in ("topk", "abstopk")),
    *(
        (name, {"normalize_activations": scaling})
        for name in sorted(SAE_CLASS_REGISTRY)
        for scaling in (
            "expected_average_only_in",
            "covariance_whitening",
            "layer_norm",
            "constant_norm_rescale",
        )
        if (name, scaling) != ("temporal", "covariance_whitening")
    ),
    *((name, {"reshape_activations": "hook_z"}) for name in ("standard", "gated", "jumprelu", "topk")),
    ("standard", {"apply_b_dec_to_input": False}),
]
"""Everything in sae-lens's table, with what its configs may say."""
REFUSED = {"abstopk", "temporal", "expected_average_only_in", "covariance_whitening"}


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_every_kind_that_sae_lens_loads_is_read_as_by_sae_lens_or_refused(
    kind, options, activations, tmp_path
):
    made, config = SAE_CLASS_REGISTRY[kind]
    options = {**SHAPE, **options}
    if "topk" in kind:
        options["k"] = 3
    if "transcoder" in kind:
        options |= {"d_out": D_MODEL, "apply_b_dec_to_input": False}
    if kind == "temporal":
        options |= {"n_heads": 2, "bottleneck_factor": 1}
    heads = "reshape_activations" in options
    name = "blocks.1.attn.hook_z" if heads else "blocks.1.hook_resid_post"
    theirs = randomized(made(config(**options, metadata=SAEMetadata(hook_name=name)))).eval()
    theirs.save_model(tmp_path)
    if REFUSED & {kind, *options.values()} or "transcoder" in kind:
        with pytest.raises(UserError, match=f"could not load the SAE {tmp_path}: ") as caught:
            load_sae(tmp_path)
        assert str(caught.value).isprintable()
        return
    shaped = activations.view(16, 2, D_MODEL // 2) if heads else activations
    with torch.no_grad():
        fired = theirs.encode(shaped)
        rebuilt = theirs.decode(fired).reshape(16, D_MODEL)
        theirs.encode(shaped)
        silent = theirs.decode(torch.zeros_like(fired)).reshape(16, D_MODEL)
    ours = load_sae(tmp_path)
    strengths = encode(ours, activations)
    assert fired.count_nonzero() > 0
    torch.testing.assert_close(strengths, fired)
    torch.testing.assert_close(ours.decode(ours.encode(activations)).detach(), rebuilt)
    if options.get("normalize_activations", "none") == "none":
        torch.testing.assert_close(
            strengths @ decoder_directions(ours), rebuilt - silent, rtol=1e-4, atol=1e-4
        )
    else:
        with pytest.raises(UserError, match="a length that differs from token to token"):
            decoder_directions(ours)
        written = strengths[:, :, None] * decoder_directions(ours, unit_norm=True)
        written = (written * theirs.W_dec.detach().norm(dim=1, keepdim=True)).sum(dim=1)
        assert torch.cosine_similarity(written, rebuilt - silent).min() > 0.9999


def test_unit_norm_directions(standard):
    with torch.no_grad():
        standard.W_dec[4] = 0
    rows = decoder_directions(standard, unit_norm=True)
    norms = torch.ones(D_SAE)
    norms[4] = 0
    torch.testing.assert_close(rows.norm(dim=1), norms)
    scaled = rows * standard.W_dec.detach().norm(dim=1, keepdim=True)
    torch.testing.assert_close(scaled, standard.W_dec.detach())


def test_directions_are_a_copy(standard):
    before = standard.W_dec.detach().clone()
    decoder_directions(standard, unit_norm=True).zero_()
    assert torch.equal(standard.W_dec, before)


def test_a_half_precision_sae_gives_float32(standard, activations):
    assert encode(standard.to(torch.bfloat16), activations).dtype == torch.float32


def test_a_wrong_width_names_both_and_the_hook_point(standard):
    with pytest.raises(UserError, match=r"\[n, 8\].*blocks\.2\.hook_resid_post, got \[3, 16\]"):
        encode(standard, torch.zeros(3, 16))


def test_a_wrong_path_says_what_is_missing(tmp_path):
    with pytest.raises(
        UserError, match=r"the SAE .*nowhere: expected cfg\.json and sae_weights\.safetensors"
    ):
        load_sae(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["cfg.json", "sae_weights.safetensors"])
def test_an_incomplete_folder_names_the_missing_file(standard, tmp_path, name):
    standard.save_model(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match=f"{name} not there"):
        load_sae(tmp_path)


def cut_weights(folder):
    weights = folder / "sae_weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def edit_config(folder, **changes):
    path = folder / "cfg.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    "spoil",
    [
        cut_weights,
        lambda folder: (folder / "cfg.json").write_text("{"),
        lambda folder: edit_config(folder, architecture="unheard-of"),
        lambda folder: edit_config(folder, d_sae=D_SAE + 1),
        lambda folder: edit_config(folder, d_sae=10**15),
        lambda folder: edit_config(folder, d_in="8"),
        lambda folder: edit_config(folder, metadata=[]),
        lambda folder: edit_config(folder, metadata={"hook_name": ["a"], "sae_lens_version": "6.0.0"}),
        lambda folder: edit_config(folder, metadata={"sae_lens_version": 6}),
        lambda folder: edit_config(folder, dtype="string"),
        lambda folder: edit_config(folder, architecture="topk", k=10**9),
        lambda folder: edit_config(folder, architecture="topk", k="3"),
        lambda folder: edit_config(folder, architecture="matching_pursuit", max_iterations=10**12),
        lambda folder: edit_config(folder, architecture="temporal", n_attn_layers=10**9),
        lambda folder: edit_config(folder, normalize_activations="never"),
        lambda folder: edit_config(folder, normalize_activations=[]),
        lambda folder: (folder / "cfg.json").write_text("[" * 10**5),
        lambda folder: (folder / "cfg.json").write_text('{"a":' * 200 + "1" + "}" * 200),
        lambda folder: (folder / "cfg.json").write_bytes(b"\xff\xfe\x00"),
    ],
)
def test_a_spoilt_sae_is_one_line(standard, tmp_path, spoil):
    standard.save_model(tmp_path)
    spoil(tmp_path)
    with pytest.raises(UserError, match=f"could not load the SAE {tmp_path}") as caught:
        load_sae(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_unknown_id_lists_those_of_the_release():
    with pytest.raises(UserError, match=r"gpt2-small-res-jb, blocks\.99: .*Valid IDs are .*blocks\.0\.hook"):
        load_sae("gpt2-small-res-jb", "blocks.99")


def test_without_sae_lens_the_extra_is_named(standard, tmp_path, monkeypatch):
    standard.save_model(tmp_path)
    monkeypatch.setitem(sys.modules, "sae_lens", None)  # importing it now fails as if it were not installed
    with pytest.raises(UserError, match=r"pip install -e '\.\[saes\]'"):
        load_sae(tmp_path)


def test_signatures_are_checked_while_tests_run(standard):
    """Not only here: this shows that the shapes in every signature of the packages are enforced in tests."""
    with pytest.raises(TypeCheckError, match="n d_model"):
        encode(standard, torch.zeros(D_MODEL))


@pytest.mark.parametrize("shape", ["llama", "gpt2"])
def test_a_hook_is_named_as_by_transformer_lens_or_as_by_hugging_face(shape, tmp_path):
    tokenizer = word_tokenizer()
    checkpoint = Checkpoint.load(tiny_model(shape, len(tokenizer)), tokenizer=tokenizer)
    block = {"llama": "model.layers.1", "gpt2": "transformer.h.1"}[shape]
    after = HookPoint(1, "resid_post")
    names = {
        None: None,
        block: after,
        block.partition(".")[2]: after,
        "blocks.1.hook_out": after,
        "blocks.2.hook_resid_pre": after,
        "blocks.0.hook_resid_pre": HookPoint(0, "resid_pre"),
        f"{block}.mlp": HookPoint(1, "mlp_out"),
        "blocks.1.hook_z": HookPoint(1, "z"),
    }
    width = checkpoint.d_model
    sae = StandardSAE(StandardSAEConfig(d_in=width, d_sae=2 * width))
    for name, point in names.items():
        sae.cfg.metadata.hook_name = name
        assert trained_at(sae, checkpoint) == point
        check_reads(sae, checkpoint, after if point is None else point)
    for name in ("blocks.1.ln2.hook_normalized", f"{block}.nothing", "\x1b[2J"):
        sae.cfg.metadata.hook_name = name
        with pytest.raises(UserError, match="this SAE says that it reads") as caught:
            trained_at(sae, checkpoint)
        assert str(caught.value).isprintable()
    sae.cfg.metadata.hook_name = block
    check_reads(sae, checkpoint, HookPoint(2, "resid_pre"))
    with pytest.raises(UserError, match=r"trained at blocks\.1\.hook_resid_post, not at blocks\.0"):
        check_reads(sae, checkpoint, HookPoint(0, "resid_post"))


def test_an_sae_of_heads_is_spliced_as_by_sae_lens(tmp_path):
    tokenizer = word_tokenizer()
    checkpoint, point = (
        Checkpoint.load(tiny_model("llama", len(tokenizer)), tokenizer=tokenizer),
        HookPoint(1, "z"),
    )
    width = checkpoint.width(point)
    config = StandardSAEConfig(
        d_in=width, d_sae=40, reshape_activations="hook_z", metadata=SAEMetadata(hook_name=str(point))
    )
    theirs = randomized(StandardSAE(config))
    theirs.save_model(tmp_path)
    ids = checkpoint.encode(["a = 3 ; find b :"])

    def put_in(module, args):
        heads = args[0].unflatten(-1, (checkpoint.n_heads, -1))
        return (theirs(heads).flatten(-2),)

    handle = checkpoint.layout.places[point].module.register_forward_pre_hook(put_in)
    with torch.no_grad():
        logits = checkpoint.model(torch.tensor(ids)).logits[0]
    handle.remove()
    expected = torch.nn.functional.cross_entropy(logits[:-1].double(), torch.tensor(ids[0][1:]))
    assert loss_recovered(load_sae(tmp_path), checkpoint, ids, point).spliced == pytest.approx(
        float(expected)
    )
