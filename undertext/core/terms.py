"""The project's own words, as the types that hold them."""

from typing import Literal, get_args

Verdict = Literal["elicited", "composed", "taught", "suppressed", "overwritten", "preserved", "undetermined"]
Says = Literal["latent", "absent", "unclear"]
"""What a line of evidence says of the capability in the weaker checkpoint."""
LineName = Literal[
    "behaviour",
    "rephrased",
    "prompted",
    "prefilled",
    "noised",
    "continued",
    "stated",
    "decodable",
    "transported",
    "used",
    "recovered",
    "undone",
    "retained",
]
Role = Literal["base", "tuned"]
ROLES: tuple[Role, ...] = get_args(Role)
OTHER: dict[Role, Role] = {"base": "tuned", "tuned": "base"}

Access = Literal[
    "none", "weaker only", "the trace", "stronger's activations", "stronger in the loop", "stronger's weights"
]
"""Access level: what a measurement was allowed to know of the two checkpoints."""
ACCESS_LEVELS: tuple[Access, ...] = get_args(Access)
"""From the least knowledge to the most."""

ControlKind = Literal["random directions", "shuffled labels", "random positions", "random features"]
"""What stands beside steering vectors under the same search."""
CONTROL_KINDS: tuple[ControlKind, ...] = get_args(ControlKind)

Prompts = Literal["own", "same"]
"""Prompts of a pair: each by the task's form for its role, or both by the base's form."""
ReaderKind = Literal["probe", "logit_lens", "tuned_lens"]
"""What reads the answer along a trace."""
READERS: tuple[ReaderKind, ...] = get_args(ReaderKind)
FeatureOperator = Literal["ablate", "clamp"]
"""What is done to a feature of an SAE, to see its effect."""

HALFWAY = 0.5
"""The share of a tune that `undone` undoes."""

FIT, CHOOSE = "train", "dev"
"""Splits that probes and vectors are fitted on, and that layer, strength and setting are chosen on."""
