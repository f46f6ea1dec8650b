"""Fitted probes as safetensors files, which anything that reads safetensors can use."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import safe_open
from safetensors.torch import save

from undertext.activations.errors import UserError
from undertext.activations.files import check_safetensors, one_line
from undertext.activations.hookpoint import HookPoint
from undertext.activations.store.disk import replace_file
from undertext.probes.estimator import Classifier, Linear
from undertext.probes.lda import LDAProbe
from undertext.probes.logistic import LogisticProbe
from undertext.probes.logistic_cv import LogisticProbeCV
from undertext.probes.low_rank import LowRankProbe
from undertext.probes.means import MeansProbe
from undertext.probes.ridge import RidgeProbe, RidgeProbeCV

CARD = "undertext.probe"
"""The key in a file's header under which stands, as JSON, what is no tensor."""
KINDS: dict[str, type[Linear]] = {
    kind.__name__: kind
    for kind in (
        LDAProbe,
        LogisticProbe,
        LogisticProbeCV,
        LowRankProbe,
        MeansProbe,
        RidgeProbe,
        RidgeProbeCV,
    )
}


class _Card(BaseModel):
    """What a file says of a probe beside its tensors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    params: dict[str, Any]
    points: tuple[str, ...]
    """Names of the hook points of the slices."""
    axes: tuple[int, ...]
    """Sizes of the axes of the intercept after those of the slices."""
    counts: dict[str, int]
    """Fitted attributes that are whole numbers, by name."""


class SavedProbe(NamedTuple):
    """What `load_probe` reads."""

    probe: Linear
    """Of the class that was saved, fitted."""
    points: tuple[HookPoint, ...]
    """Whose activations it reads: one for each place of the first axis of slices, or one alone."""


def save_probe(probe: Linear, points: Sequence[HookPoint], path: str | Path) -> None:
    """Write a fitted probe to `path` (.safetensors), with the hook points whose activations it reads.

    The file holds `coef` [*slice, *output, d] on raw activations, `intercept` [*slice, *output], `classes`
    [class] for a classifier, and the other fitted tensors under their names without the underscore at the
    end. It is whole or not there.

    Args:
        probe: a fitted probe of this package.
        points: one for each place of the first axis of slices; one alone for a probe without slices.
        path: the file.

    Raises:
        UserError: for a probe that is not fitted, another number of points, a name that does not end in
            .safetensors, and where the disk refuses.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise UserError(f"a probe is saved as .safetensors, got {path.name!r}")
    kind = type(probe).__name__
    if KINDS.get(kind) is not type(probe):
        raise UserError(f"expected a probe of undertext ({', '.join(KINDS)}), got {kind}")
    if not hasattr(probe, "coef_"):
        raise UserError(f"this {kind} is not fitted yet: call fit first")
    _check_points(len(points), probe, "")
    fitted = {name[:-1]: value for name, value in vars(probe).items() if name.endswith("_")}
    card = _Card(
        kind=kind,
        params=probe.get_params(),
        points=tuple(str(HookPoint.parse(str(point))) for point in points),
        axes=probe._axes,
        counts={name: value for name, value in fitted.items() if isinstance(value, int)},
    )
    tensors = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in fitted.items()
        if isinstance(value, torch.Tensor)
    }
    content = save(tensors, {CARD: card.model_dump_json()})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, [content])
    except OSError as error:
        raise UserError(f"cannot write {path}: {one_line(error)}") from error


def load_probe(path: str | Path) -> SavedProbe:
    """The probe that `save_probe` wrote; UserError when the file is damaged or holds something else."""
    path = Path(path)
    names = check_safetensors(path)
    with safe_open(path, framework="pt") as opened:
        header = (opened.metadata() or {}).get(CARD)
        tensors = {name: opened.get_tensor(name) for name in names}
    if header is None:
        raise UserError(f"{path} is no probe: its header has no {CARD!r}")
    try:
        card = _Card.model_validate_json(header)
    except ValidationError as error:
        raise UserError(f"the card in {path} cannot be read: {one_line(error)}") from error
    if card.kind not in KINDS:
        raise UserError(f"{path} holds a {card.kind!r}: known probes are {', '.join(KINDS)}")
    kind = KINDS[card.kind]
    _check_tensors(path, kind, card, tensors)
    params = dict(card.params)
    try:
        if isinstance(weights := params.get("class_weight"), dict):  # JSON has texts alone for keys
            params["class_weight"] = {int(label): float(weight) for label, weight in weights.items()}
        probe = kind(**params)
    except (TypeError, ValueError) as error:
        raise UserError(f"the card in {path} cannot be read: {one_line(error)}") from error
    for name, value in (*card.counts.items(), *tensors.items()):
        setattr(probe, f"{name}_", value)
    probe._axes = card.axes
    _check_points(len(card.points), probe, f"{path}: ")
    return SavedProbe(probe, tuple(map(HookPoint.parse, card.points)))


def _check_points(count: int, probe: Linear, where: str) -> None:
    """UserError unless there is a point for each place of the first axis of slices, or one alone."""
    lead = probe.intercept_.shape[: probe.intercept_.ndim - len(probe._axes)]
    wanted = lead[0] if lead else 1
    if count != wanted:
        raise UserError(
            f"{where}expected {wanted} hook points, one for each place of the first axis of a probe with "
            f"slices {list(lead)}, got {count}"
        )


def _check_tensors(path: Path, kind: type[Linear], card: _Card, tensors: dict[str, torch.Tensor]) -> None:
    """UserError unless the tensors are those of a probe of this kind, and of one shape."""
    wanted = {"coef", "intercept"} | ({"classes"} if issubclass(kind, Classifier) else set())
    known = {name[:-1] for each in kind.__mro__ for name in vars(each).get("__annotations__", {})}
    if not wanted <= set(tensors) or not {*tensors, *card.counts} <= known:
        raise UserError(
            f"{path} should hold the fitted tensors of a {kind.__name__} ({', '.join(sorted(wanted))}), "
            f"it holds {', '.join(sorted({*tensors, *card.counts})) or 'nothing'}"
        )
    coef, intercept = tensors["coef"], tensors["intercept"]
    if (
        coef.ndim == 0
        or not coef.is_floating_point()
        or coef.dtype != intercept.dtype
        or coef.shape[:-1] != intercept.shape
        or intercept.shape[intercept.ndim - len(card.axes) :] != card.axes
        or card.counts.get("n_features_in") != coef.shape[-1]
        or ("classes" in wanted and card.axes[-1:] != tensors["classes"].shape)
    ):
        raise UserError(f"the tensors in {path} do not go together: coef {list(coef.shape)}, intercept "
                        f"{list(intercept.shape)}, axes {list(card.axes)}")  # fmt: skip
    if not bool(coef.isfinite().all()) or bool(intercept.isnan().any()):
        raise UserError(f"{path} holds NaN or infinity")
