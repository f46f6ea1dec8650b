"""Sparse autoencoders and crosscoders, trained with sae-lens and used as plain tensors.

An SAE reads activations `[n, d_model]` at one hook point and explains each as a sum of few of its `d_sae`
features; a crosscoder reads base and tuned together and writes in both. What leaves this wing is a tensor:
`encode` gives how strongly each feature fires, and a row of `decoder_directions` is a vector like any other,
which steering can add and probes can be compared with.

sae-lens is an extra: `pip install undertext[saes]`. It is loaded when an SAE is, not when `saes` is
imported; the names below load what they need when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from saes.autoencoder import decoder_directions, encode, load_sae

if TYPE_CHECKING:
    from saes.config import SaeConfig, Training
    from saes.crosscoder import Crosscoder
    from saes.crosscoder_training import TrainedCrosscoder, load_crosscoder, train_crosscoder
    from saes.feed import Rows
    from saes.loss import LossRecovered, loss_recovered
    from saes.measuring import Fidelity, fidelity
    from saes.pairs import difference
    from saes.scaling import Scaling, latent_scaling
    from saes.sorting import Cuts, Sorted, relative_norm, sort_by_norm, sort_latents
    from saes.training import TrainedSae, train_sae

_HOMES = {
    "Crosscoder": "crosscoder",
    "Cuts": "sorting",
    "Fidelity": "measuring",
    "LossRecovered": "loss",
    "Rows": "feed",
    "SaeConfig": "config",
    "Scaling": "scaling",
    "Sorted": "sorting",
    "TrainedCrosscoder": "crosscoder_training",
    "TrainedSae": "training",
    "Training": "config",
    "difference": "pairs",
    "fidelity": "measuring",
    "latent_scaling": "scaling",
    "load_crosscoder": "crosscoder_training",
    "loss_recovered": "loss",
    "relative_norm": "sorting",
    "sort_by_norm": "sorting",
    "sort_latents": "sorting",
    "train_crosscoder": "crosscoder_training",
    "train_sae": "training",
}

__all__ = [
    "Crosscoder",
    "Cuts",
    "Fidelity",
    "LossRecovered",
    "Rows",
    "SaeConfig",
    "Scaling",
    "Sorted",
    "TrainedCrosscoder",
    "TrainedSae",
    "Training",
    "decoder_directions",
    "difference",
    "encode",
    "fidelity",
    "latent_scaling",
    "load_crosscoder",
    "load_sae",
    "loss_recovered",
    "relative_norm",
    "sort_by_norm",
    "sort_latents",
    "train_crosscoder",
    "train_sae",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module 'saes' has no attribute {name!r}")
    value = getattr(import_module(f"saes.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
