"""Whether another engine does under interventions what the reference does: equal, or refused, one by one.

The worst that an engine can do is to write without an intervention and not say so: text then looks as if the
intervention had no effect. That has a name of its own here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from undertext.activations.capture import capture
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.generation_engine import GenerationEngine, ReferenceEngine, Refused, Written
from undertext.activations.hookpoint import HookPoint
from undertext.activations.interventions import Intervention, Threshold
from undertext.activations.operators import ON_SUBSPACES, OPERATORS, WITH_CENTRE, Operator

Outcome = Literal["equal", "refused", "unsteered", "differs"]
"""`unsteered`: written as without the intervention, or no token counted, where the reference was changed."""
READ, MIXED = "read", "mixed"
"""Rows of the check that are of no one operator: residuals, and a batch of all interventions and of none."""
TOLERANCE = 1e-3
"""Largest relative difference of residuals that counts as equal."""
DOSES: Mapping[Operator, float] = {
    "add": 2.0, "ablate": 1.0, "clamp": 2.0, "affine": 1.0, "rotate": 0.6, "replace": 1.0,
}  # fmt: skip
"""Strong enough to change what is written; of `add` and `clamp` in residual norms."""


class Checked(NamedTuple):
    """What came of one kind of intervention."""

    operator: str
    gate: str
    outcome: Outcome
    unlike: int
    """Rows that differ from the reference."""
    rows: int


def check_engine(
    engine: GenerationEngine,
    checkpoint: Checkpoint,
    prompts: Sequence[str],
    *,
    layer: int | None = None,
    max_new_tokens: int = 8,
    seed: int = 0,
) -> list[Checked]:
    """Hold an engine against the reference, for every operator under every gate, at a layer's `resid_post`.

    An engine is accepted where every row is `equal` or `refused`. Tokens must be equal and so must the number
    of tokens at which interventions acted: so both must write greedily and in float32.

    Args:
        engine: what is checked; it must run the same weights.
        checkpoint: the reference's model.
        prompts: some texts, of unlike lengths.
        layer: where interventions act; None takes the one in the middle.
        max_new_tokens: tokens that each row writes.
        seed: random seed of the directions.

    Raises UserError where there are no prompts; what an engine raises other than Refused goes through.
    """
    if not prompts:
        raise UserError("expected prompts to check an engine on, got none")
    point = HookPoint(checkpoint.n_layers // 2 if layer is None else layer, "resid_post")
    ids = checkpoint.encode(prompts, room=max_new_tokens)
    reference = ReferenceEngine(checkpoint)
    plain = [None] * len(ids)
    theirs = engine.generate(ids, max_new_tokens=max_new_tokens, interventions=plain)
    ours = reference.generate(ids, max_new_tokens=max_new_tokens, interventions=plain)
    made = [_read(engine, reference, ids, point), _written("none", "none", theirs, ours, theirs, ours)]
    tried = interventions(checkpoint, ids, point, seed)
    carried: list[Intervention] = []
    for (operator, gate), each in tried.items():
        rows = [each] * len(ids)
        wanted = reference.generate(ids, max_new_tokens=max_new_tokens, interventions=rows)
        try:
            got = engine.generate(ids, max_new_tokens=max_new_tokens, interventions=rows)
        except Refused:
            made.append(Checked(operator, gate, "refused", 0, len(ids)))
            continue
        carried.append(each)
        made.append(_written(operator, gate, got, wanted, theirs, ours))
    mixed = [None, *carried]
    of_rows = [ids[k % len(ids)] for k in range(len(mixed))]
    wanted = reference.generate(of_rows, max_new_tokens=max_new_tokens, interventions=mixed)
    try:
        got = engine.generate(of_rows, max_new_tokens=max_new_tokens, interventions=mixed)
    except Refused:
        made.append(Checked(MIXED, MIXED, "refused", 0, len(mixed)))
        return made
    spread = [
        Written([each.tokens[k % len(ids)] for k in range(len(mixed))], [0] * len(mixed))
        for each in (theirs, ours)
    ]
    made.append(_written(MIXED, MIXED, got, wanted, *spread))
    return made


def interventions(
    checkpoint: Checkpoint, ids: Sequence[Sequence[int]], point: HookPoint, seed: int
) -> dict[tuple[Operator, str], Intervention]:
    """An intervention of every operator under every gate."""
    generator = torch.Generator().manual_seed(seed)
    width = checkpoint.d_model
    residuals = capture(checkpoint, [list(each) for each in ids], [point], "all")[point]
    norm = float(residuals.norm(dim=-1).mean())

    def direction(*shape: int) -> Tensor:
        vectors = torch.randn(*shape, width, generator=generator)
        return vectors / vectors.norm(dim=-1, keepdim=True)

    gates: dict[str, dict[str, Any]] = {
        "last_prompt": {"at": "last_prompt"},
        "prompt": {"at": "prompt"},
        "generated": {"at": "generated"},
        "all": {"at": "all"},
        "indices": {"at": (0, -1)},
        "first": {"at": "all", "first": 2},
        "decay": {"at": "all", "decay": 0.5},
        "tokens": {"at": "all", "tokens": frozenset(list(ids[0])[-1:])},
        "pattern": {"at": "all", "pattern": r"\S"},
        "threshold": {"at": "all", "threshold": Threshold(direction())},
    }
    made: dict[tuple[Operator, str], Intervention] = {}
    for operator in OPERATORS:
        for gate, options in gates.items():
            several = operator in ON_SUBSPACES
            vector = direction(width // 2) if several else direction()
            made[operator, gate] = Intervention(
                point,
                vector * (norm if operator in ("add", "replace") else 1.0),
                DOSES[operator] * (norm if operator == "clamp" else 1.0),
                operator=operator,
                centre=direction() * norm if operator in WITH_CENTRE else None,
                **options,
            )
    return made


def _read(
    engine: GenerationEngine, reference: ReferenceEngine, ids: Sequence[Sequence[int]], point: HookPoint
) -> Checked:
    pairs = zip(engine.read(ids, [point]), reference.read(ids, [point]), strict=True)
    unlike = sum(
        got.shape != wanted.shape or float((got - wanted).norm()) > TOLERANCE * float(wanted.norm())
        for got, wanted in pairs
    )
    return Checked(READ, str(point), "differs" if unlike else "equal", unlike, len(ids))


def _written(
    operator: str, gate: str, got: Written, wanted: Written, plain: Written, reference: Written
) -> Checked:
    """The outcome of one batch; `plain` is what the engine writes unsteered, `reference` what ours does."""
    rows = range(len(wanted.tokens))
    unlike = [k for k in rows if got.tokens[k] != wanted.tokens[k] or got.touched[k] != wanted.touched[k]]
    ignored = [
        k
        for k in unlike
        if wanted.touched[k]
        and (
            not got.touched[k]
            or (got.tokens[k] == plain.tokens[k] and wanted.tokens[k] != reference.tokens[k])
        )
    ]
    outcome: Outcome = "equal" if not unlike else "unsteered" if ignored else "differs"
    return Checked(operator, gate, outcome, len(unlike), len(rows))
