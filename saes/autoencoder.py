"""Loading an SAE, and the two tensors that the rest of the project needs of it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import safe_open
from torch import Tensor

from undertext.activations.errors import UserError, install, shown
from undertext.activations.files import check_safetensors, entry, is_file, one_line, read_json
from undertext.activations.quiet import quiet
from undertext.saes.sae_type import SAE

# The two files of an SAE that sae-lens saved (`sae.save_model`, `sae.save_inference_model`).
FILES = ("cfg.json", "sae_weights.safetensors")
NORMALISATION = "normalisation.safetensors"
"""Beside these two in the folder of a crosscoder."""


_PER_TOKEN = ("layer_norm", "constant_norm_rescale")
"""Scalings of the inputs that an SAE undoes in what it writes, so that a row is no longer what is written."""
_NOT_FOLDED = ("expected_average_only_in", "covariance_whitening")
"""Scalings that sae-lens applies in training alone, and folds into the weights when training ends."""
_NO_SAE = {
    "temporal": "reads whole texts at once, and what fires at a token depends on the tokens before it",
    "abstopk": "has features that fire below zero",
    **dict.fromkeys(
        ("transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder"),
        "reads one hook point and writes at another",
    ),
}
"""Architectures of sae-lens whose features are not those of an SAE, and why."""
_REWRITING = ("center_writing_weights", "fold_ln", "fold_value_biases", "refactor_factored_attn_matrices")
"""Options of TransformerLens that rewrite a model's weights, after which its hook points hold others."""
_MOST_ITERATIONS = 100_000
_ENTRIES: dict[str, type] = {"architecture": str, "d_in": int, "d_sae": int, "dtype": str, "metadata": dict}


def load_sae(source: str | Path, sae_id: str | None = None, *, device: str = "cpu") -> SAE:
    """Loads the SAE that sae-lens saved in the folder `source`, or the SAE `sae_id` of the release `source`.

    Releases are those of sae-lens's table, or any repository of SAEs on the Hugging Face hub; what is not in
    the local cache yet is downloaded. An SAE of `hook_z` takes and gives the heads side by side, `[n, d_in]`.

    Raises UserError when sae-lens is not installed, when there is no readable SAE, and for what sae-lens
    loads that could not be read rightly: transcoders, features that fire below zero or depend on other
    tokens, inputs that want a scaling which the weights do not hold, and inputs from rewritten models.
    """
    try:
        from sae_lens import SAE as Loader
    except ImportError as error:
        raise UserError(f"SAEs need sae-lens, which is not installed: {install('saes')}") from error

    name = shown(source if sae_id is None else f"{source}, {sae_id}")
    try:
        if sae_id is None:
            _check_folder(Path(source))
        with quiet():
            sae: SAE = (
                Loader.load_from_disk(source, device=device)
                if sae_id is None
                else Loader.from_pretrained(str(source), sae_id, device=device)
            )
        _check_kind(sae.cfg.architecture())
        if (scaling := sae.cfg.normalize_activations) in _NOT_FOLDED:
            raise UserError(
                f"its inputs want a scaling ({scaling}) that its weights do not hold: fold it in with "
                "sae-lens (fold_activation_norm_scaling_factor, fold_activation_whitening) and save it again"
            )
        _check_model(sae.cfg.metadata.model_from_pretrained_kwargs)
        sae.turn_off_forward_pass_hook_z_reshaping()
        with torch.no_grad():  # whatever else its config says is put to use once
            trial = sae.decode(sae.encode(torch.ones(1, sae.cfg.d_in).to(sae.W_dec)))
        hook = sae.cfg.metadata.hook_name
        if trial.shape != (1, sae.cfg.d_in) or not isinstance(hook, str | None):
            raise UserError(f"its hook_name is {shown(repr(hook), 60)} and it writes {list(trial.shape)}")
    except Exception as error:
        # sae-lens raises whatever its config and weights run into: all of it is about this SAE.
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        raise UserError(f"could not load the SAE {name}: {kind}{one_line(error)}") from error
    return sae.eval()


def _check_folder(folder: Path) -> None:
    """UserError for a folder that sae-lens could not read, or not within bounds."""
    if missing := [name for name in FILES if not is_file(folder / name)]:
        raise UserError(
            f"expected {' and '.join(FILES)}, {' and '.join(missing)} not there"
            " (an SAE of a release needs its sae_id as well)"
        )
    config, weights = (folder / name for name in FILES)
    content = read_json(config)
    for key, kind in _ENTRIES.items():
        entry(content, config, key, kind)
    _check_kind(content.get("architecture"))
    if (turns := entry(content, config, "max_iterations", int)) and turns > _MOST_ITERATIONS:
        raise UserError(f"{shown(config)}: max_iterations must be at most {_MOST_ITERATIONS}, got {turns}")
    check_safetensors(weights)
    # Built before its weights are read, an SAE of the sizes that a damaged config gives may not fit anywhere.
    with safe_open(weights, framework="pt") as opened:
        shapes = {key: tuple(opened.get_slice(key).get_shape()) for key in opened.keys()}  # noqa: SIM118
    if shapes.get("W_dec") != (content.get("d_sae"), content.get("d_in")):
        raise UserError(
            f"its config says W_dec is {shown([content.get(key) for key in ('d_sae', 'd_in')], 60)}, "
            f"its weights {shown(shapes.get('W_dec'), 60)}"
        )


def _check_kind(architecture: object) -> None:
    if isinstance(architecture, str) and architecture in _NO_SAE:
        raise UserError(f"a {architecture} {_NO_SAE[architecture]}: expected an SAE")


def _check_model(options: object) -> None:
    """UserError where the SAE was trained on a model whose activations are not the checkpoint's own."""
    if options is not None and not isinstance(options, Mapping):
        raise UserError(f"model_from_pretrained_kwargs must be a mapping, got {shown(repr(options), 60)}")
    if rewritten := [name for name in _REWRITING if (options or {}).get(name)]:
        raise UserError(
            f"it was trained on a model whose weights TransformerLens rewrote ({', '.join(rewritten)}): "
            "the checkpoint's own activations are not its inputs"
        )


def fingerprint(weights: Mapping[str, Tensor]) -> str:
    """16 hex digits of a SHA-256 over the name, type, shape and bytes of each tensor, as `sae.state_dict()`
    has them."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def decoder_directions(sae: SAE, *, unit_norm: bool = False) -> Float[Tensor, "d_sae d_model"]:
    """What each feature writes when it fires with strength 1: one row per feature, a float32 copy on the CPU.

    `unit_norm` scales every row to length 1; a row of zeros (a dead feature) stays as it is. Raises UserError
    for an SAE that scales each token by itself (layer norm), unless lengths are not asked for: how much its
    features write differs from token to token.
    """
    scaling = sae.cfg.normalize_activations
    if scaling in _PER_TOKEN and not unit_norm:
        raise UserError(
            f"this SAE scales each token's activations by itself ({scaling}): what a feature of strength 1 "
            "writes has a direction, and a length that differs from token to token"
        )
    rows = sae.W_dec.detach().to("cpu", torch.float32, copy=True)
    if unit_norm or getattr(sae.cfg, "rescale_acts_by_decoder_norm", False):
        norms = rows.norm(dim=1, keepdim=True)
        rows = rows / torch.where(norms == 0, 1.0, norms)
    return rows


@torch.no_grad()
def encode(sae: SAE, activations: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_sae"]:
    """How strongly each feature fires at each activation: dense float32 on the CPU, n * d_sae * 4 bytes.

    The activations must come from the hook point that the SAE was trained at (`sae.cfg.metadata.hook_name`).
    The scaling of inputs that belongs to the SAE is applied here. Raises UserError when the widths differ.
    """
    width = sae.cfg.d_in
    if activations.shape[1] != width:
        where = sae.cfg.metadata.hook_name or "an unnamed hook point"
        raise UserError(
            f"expected activations [n, {width}], which this SAE reads at {where},"
            f" got {list(activations.shape)}"
        )
    features = sae.encode(activations.to(sae.W_dec.device, sae.W_dec.dtype))
    for kept in ("x_norm_coeff", "ln_mu", "ln_std"):  # what a decode would undo: none follows
        sae.__dict__.pop(kept, None)
    return (features.to_dense() if features.is_sparse else features).to("cpu", torch.float32)
