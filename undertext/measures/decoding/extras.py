"""Description length of a value's labels, and what is read once the value is erased, layer by layer."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.core.terms import FIT
from undertext.measures.decoding.config import DecodingConfig, ProbeKind
from undertext.measures.decoding.controls import Arm
from undertext.measures.decoding.readings import read_arm
from undertext.measures.decoding.values import Value
from undertext.probes import leace, online_code

CODE_SEED = 16
"""Added to the job's seed."""


def description_length(value: Value, arm: Arm, config: DecodingConfig) -> Float[Tensor, " layer"]:
    """Bits that the label of one row of train takes, on average, once the activations are known.

    The length of the online code of Voita and Titov (arXiv 2003.12298) with logistic probes of the strengths
    of `config`, over the number of rows. A uniform code takes log2(classes) bits a row; fewer bits mean that
    the value is read well, and from few examples.
    """
    rows = value.labelled(FIT, arm.X[FIT], arm.y[FIT])
    code = online_code(
        rows, classes=range(len(value.classes)), Cs=config.strengths, seed=config.seed + CODE_SEED
    )
    return code.length / len(rows)


def erased_accuracy(
    kind: ProbeKind, value: Value, arm: Arm, config: DecodingConfig
) -> Mapping[str, Float[Tensor, " layer"]]:
    """By split: accuracy of a fresh probe of the same kind once LEACE has erased the value.

    The eraser (Belrose et al., arXiv 2306.03819) is fitted on train; the fresh probe is fitted, chosen and
    read as every probe is, on what is left. On train no linear probe reads more than the classes' frequencies
    then; what is read on other splits shows how well the erasure holds there.
    """
    X = {split: torch.empty_like(each) for split, each in arm.X.items()}
    for layer, activations in enumerate(arm.X[FIT]):
        try:
            eraser = leace(activations, arm.y[FIT])
        except UserError:  # activations that do not vary hold nothing to erase
            for split, each in arm.X.items():
                X[split][layer] = each[layer]
            continue
        for split, each in arm.X.items():
            X[split][layer] = eraser.apply(each[layer])
    reading = read_arm(kind, value, arm._replace(X=X), config)
    return {split: right.double().mean(1) for split, right in reading.right.items()}
