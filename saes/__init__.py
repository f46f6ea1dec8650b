"""Sparse autoencoders and crosscoders, trained with sae-lens and used as plain tensors.

An SAE reads activations `[n, d_model]` at one hook point and explains each as a sum of few of its `d_sae`
features; a crosscoder reads base and tuned together and writes in both. What leaves this wing is a tensor:
`encode` gives how strongly each feature fires, and a row of `decoder_directions` is a vector like any other,
which steering can add and probes can be compared with.

sae-lens is an extra: `pip install -e '.[saes]'` in the clone. It is loaded when an SAE is, not when `saes` is
imported; the names below load what they need when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from undertext.saes.autoencoder import NORMALISATION, decoder_directions, encode, fingerprint, load_sae

if TYPE_CHECKING:
    from undertext.saes.association import LabelAssociation, label_association
    from undertext.saes.config import SaeConfig, Training
    from undertext.saes.crosscoder import Crosscoder
    from undertext.saes.crosscoder_training import TrainedCrosscoder, load_crosscoder, train_crosscoder
    from undertext.saes.effects import Effects, Matched, feature_effects, match_controls
    from undertext.saes.falsifying import Falsification, Shift, ShiftCuts, falsify, inject, shift
    from undertext.saes.fates import FATES, FateCuts, Fates, SortedFates, follow, sort_fates
    from undertext.saes.feed import Rows
    from undertext.saes.firings import Firings, PairFirings, read_pair
    from undertext.saes.loss import LossRecovered, loss_recovered
    from undertext.saes.measuring import Fidelity, fidelity, firing_shares
    from undertext.saes.pages import Context, FeaturePage, Histogram, LogitEffects, feature_page
    from undertext.saes.pairs import difference
    from undertext.saes.reason_score import ReasonScore, score_reasoning
    from undertext.saes.scaling import Scaling, ScalingCuts, latent_scaling
    from undertext.saes.sorting import LatentCuts, SortedLatents, relative_norm, sort_by_norm, sort_latents
    from undertext.saes.texts import TextFirings, read_texts
    from undertext.saes.training import TrainedSae, train_sae

_HOMES = {
    "Context": "pages",
    "Crosscoder": "crosscoder",
    "Effects": "effects",
    "FATES": "fates",
    "Falsification": "falsifying",
    "FateCuts": "fates",
    "Fates": "fates",
    "FeaturePage": "pages",
    "Fidelity": "measuring",
    "Firings": "firings",
    "Histogram": "pages",
    "LabelAssociation": "association",
    "LatentCuts": "sorting",
    "LogitEffects": "pages",
    "LossRecovered": "loss",
    "Matched": "effects",
    "PairFirings": "firings",
    "ReasonScore": "reason_score",
    "Rows": "feed",
    "SaeConfig": "config",
    "Scaling": "scaling",
    "ScalingCuts": "scaling",
    "Shift": "falsifying",
    "ShiftCuts": "falsifying",
    "SortedFates": "fates",
    "SortedLatents": "sorting",
    "TextFirings": "texts",
    "TrainedCrosscoder": "crosscoder_training",
    "TrainedSae": "training",
    "Training": "config",
    "difference": "pairs",
    "falsify": "falsifying",
    "feature_effects": "effects",
    "feature_page": "pages",
    "fidelity": "measuring",
    "firing_shares": "measuring",
    "follow": "fates",
    "inject": "falsifying",
    "label_association": "association",
    "latent_scaling": "scaling",
    "load_crosscoder": "crosscoder_training",
    "loss_recovered": "loss",
    "match_controls": "effects",
    "read_pair": "firings",
    "read_texts": "texts",
    "relative_norm": "sorting",
    "score_reasoning": "reason_score",
    "shift": "falsifying",
    "sort_by_norm": "sorting",
    "sort_fates": "fates",
    "sort_latents": "sorting",
    "train_crosscoder": "crosscoder_training",
    "train_sae": "training",
}

__all__ = [
    "FATES",
    "NORMALISATION",
    "Context",
    "Crosscoder",
    "Effects",
    "Falsification",
    "FateCuts",
    "Fates",
    "FeaturePage",
    "Fidelity",
    "Firings",
    "Histogram",
    "LabelAssociation",
    "LatentCuts",
    "LogitEffects",
    "LossRecovered",
    "Matched",
    "PairFirings",
    "ReasonScore",
    "Rows",
    "SaeConfig",
    "Scaling",
    "ScalingCuts",
    "Shift",
    "ShiftCuts",
    "SortedFates",
    "SortedLatents",
    "TextFirings",
    "TrainedCrosscoder",
    "TrainedSae",
    "Training",
    "decoder_directions",
    "difference",
    "encode",
    "falsify",
    "feature_effects",
    "feature_page",
    "fidelity",
    "fingerprint",
    "firing_shares",
    "follow",
    "inject",
    "label_association",
    "latent_scaling",
    "load_crosscoder",
    "load_sae",
    "loss_recovered",
    "match_controls",
    "read_pair",
    "read_texts",
    "relative_norm",
    "score_reasoning",
    "shift",
    "sort_by_norm",
    "sort_fates",
    "sort_latents",
    "train_crosscoder",
    "train_sae",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"undertext.saes.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
