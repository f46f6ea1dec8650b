"""Loading an SAE, and the two tensors that the rest of the project needs of it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.saes.sae_type import SAE

# The two files of an SAE that sae-lens saved (`sae.save_model`, `sae.save_inference_model`).
FILES = ("cfg.json", "sae_weights.safetensors")


def load_sae(source: str | Path, sae_id: str | None = None, *, device: str = "cpu") -> SAE:
    """Loads the SAE that sae-lens saved in the folder `source`, or the SAE `sae_id` of the release `source`.

    Releases are those of sae-lens's table, or any repository of SAEs on the Hugging Face hub; what is not in
    the local cache yet is downloaded. Raises UserError when sae-lens is not installed, and when there is no
    readable SAE.
    """
    try:
        from sae_lens import SAE as Loader
    except ImportError as error:
        raise UserError("SAEs need sae-lens, which is not installed: pip install undertext[saes]") from error

    if sae_id is None:
        folder = Path(source)
        if missing := [name for name in FILES if not (folder / name).is_file()]:
            raise UserError(
                f"no SAE in {folder}: expected {' and '.join(FILES)}, {' and '.join(missing)} not there"
                " (an SAE of a release needs its sae_id as well)"
            )
    try:
        sae = (
            Loader.load_from_disk(source, device=device)
            if sae_id is None
            else Loader.from_pretrained(str(source), sae_id, device=device)
        )
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        name = source if sae_id is None else f"{source}, {sae_id}"
        reason = " ".join(str(error).split())  # torch's mismatches fill a page
        raise UserError(f"could not load the SAE {name}: {type(error).__name__}: {reason}") from error
    return sae.eval()


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

    `unit_norm` scales every row to length 1; a row of zeros (a dead feature) stays as it is.
    """
    rows = sae.W_dec.detach().to("cpu", torch.float32, copy=True)
    if unit_norm:
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
    return (features.to_dense() if features.is_sparse else features).to("cpu", torch.float32)
