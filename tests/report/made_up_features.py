"""An SAE and a crosscoder in a comparison made up for these tests: every figure is invented."""

from typing import Any

import numpy as np
import pyarrow as pa

from undertext.core.terms import ROLES
from undertext.measures.features.columns import rows_table

FEATURE = 12
HOSTILE_VALUE = "<b onclick=\"alert('ran')\">value</b>"
LATENTS = 60
KEEPS = 0.8


def summary() -> dict[str, Any]:
    """`sae` and `crosscoder` of a summary: the SAE keeps too little of the tuned."""
    kept = {"explained_variance": 0.95, "loss_recovered": 0.9}
    return {
        "sae": {
            "source": f"saes/{HOSTILE_VALUE}",
            "hook_point": "blocks.2.hook_resid_post",
            "features": 64,
            "scales": {"base": 1.0, "tuned": 2.5},
            "fates": {"stable": 0.5, "moved": 0.25, "silenced": 0.125, "new": 0.125},
            "retained": {"stable": 3, "of": 4},
            "token_feature": FEATURE,
            "tokens": 2000,
            "kept": {"base": kept, "tuned": {"explained_variance": 0.41, "loss_recovered": None}},
            "notes": ["a note on the SAE"],
        },
        "crosscoder": {
            "source": "runs/crosscoder",
            "hook_points": ["blocks.1.hook_resid_post", "blocks.2.hook_resid_post"],
            "latents": LATENTS,
            "kinds": {
                "norm": {"base_only": 0.2, "shared": 0.6, "tuned_only": 0.2},
                "scaling": {"base_only": 0.1, "shared": 0.8, "tuned_only": 0.1},
            },
            "tokens": 2000,
            "kept": {role: {"explained_variance": 0.9, "loss_recovered": None} for role in ROLES},
            "notes": [],
        },
    }


def tables() -> dict[str, pa.Table]:
    features = [
        {
            "feature": feature, "chosen_by": "steered with: ReasonScore", "fate": "stable",
            "predicts": f"{HOSTILE_VALUE} = 3", "auroc_base": 0.9, "frequency_base": 0.1,
            "strength_base": 1.5, "auroc_tuned": None, "frequency_tuned": 0.0, "strength_tuned": None,
        }
        for feature in (FEATURE, 7)
    ]  # fmt: skip
    shown = [
        {
            "latent": 5, "chosen_by": "predicts a value", "predicts": "v = 1", "auroc": 0.8,
            "frequency": 0.05, "relative_norm": 0.5, "cosine": 0.9, "norm": "shared", "scaling": "tuned_only",
        }
    ]  # fmt: skip
    pages = [{"of": "sae", **_page(feature, 2)} for feature in (FEATURE, 7)]
    return {
        "features": rows_table(features),
        "latents": pa.Table.from_pylist(latents()),
        "latents_shown": rows_table(shown),
        "pages": rows_table([*pages, {"of": "crosscoder", **_page(5, 1)}]),
    }


def latents() -> list[dict[str, Any]]:
    """Ten of the base alone, ten of the tuned alone, ten dead, and the rest shared."""
    rng = np.random.default_rng(5)
    rows = []
    for k in range(LATENTS):
        kind = ["base_only", "tuned_only", "dead", "shared", "shared", "shared"][k % 6]
        place = {"base_only": 0.02, "tuned_only": 0.98}.get(kind, 0.5)
        rows.append(
            {
                "latent": k, "kind_by_scaling": kind,
                "frequency": 0.0 if kind == "dead" else float(rng.uniform(0.001, 0.3)),
                "relative_norm": place + float(rng.normal(0, 0.01)),
                "cosine": float(rng.uniform(-0.2, 1)) if kind == "shared" else 0.0,
            }
        )  # fmt: skip
    return rows


def _page(feature: int, checkpoints: int) -> dict[str, Any]:
    both = range(checkpoints)
    added = [{"token": HOSTILE_VALUE, "value": 0.5}]
    return {
        "feature": feature,
        "names": [f"checkpoint {k}" for k in both],
        "rows": 2000,
        "frequency": [0.1 for _ in both],
        "contexts": [
            {
                "text": 0,
                "start": 0,
                "peak": 1,
                "tokens": ["a", HOSTILE_VALUE],
                "strengths": [[0.0, 1.5] for _ in both],
            }
        ],
        "histogram": {"edges": [0.0, 1.0, 2.0], "counts": [[3, 4] for _ in both]},
        "logits": [{"raised": added, "lowered": added} for _ in both],
    }
