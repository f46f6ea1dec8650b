"""What a routes job keeps of each group of routes on each split, so that one that was killed goes on."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import NamedTuple

import numpy as np
from torch import Tensor

from undertext.activations.errors import UserError
from undertext.activations.files import one_line
from undertext.core.output import json_bytes
from undertext.core.resume import JobFolder
from undertext.measures.recovery.routes import Outcome
from undertext.steering import SteeringVector


class RouteGroup(NamedTuple):
    """Routes that are run together, on one split."""

    outcomes: list[Outcome]
    notes: list[str]


class KeptGroups:
    """Groups by split and name, as JSON in a folder; where there is none, nothing is kept."""

    def __init__(self, folder: JobFolder | None) -> None:
        self._folder = folder

    def read(self, split: str, name: str) -> RouteGroup | None:
        """The group, or None while it is not finished; UserError where its file was damaged."""
        if self._folder is None:
            return None
        path = self._folder.path(_file(split, name))
        if not path.exists():
            return None
        try:
            whole = json.loads(path.read_bytes())
            outcomes = [
                Outcome(**{**each, "right": np.array(each["right"], float)}) for each in whole["outcomes"]
            ]
            return RouteGroup(outcomes, [str(note) for note in whole["notes"]])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path} is damaged ({one_line(error)}): remove it, and it is made anew"
            ) from error

    def keep(self, split: str, name: str, group: RouteGroup) -> None:
        """A finished group."""
        if self._folder is not None:
            outcomes = [{**asdict(each), "right": each.right.tolist()} for each in group.outcomes]
            self._folder.write(_file(split, name), json_bytes({"outcomes": outcomes, "notes": group.notes}))


def vectors_digest(vectors: Iterable[SteeringVector]) -> list[list[str]]:
    """Name and a digest of the content of each vector."""
    digests = []
    for each in vectors:
        digest = hashlib.sha256(f"{each.site} {sorted(each.absent)} {each.sources} ".encode())
        for tensor in (each.directions, each.norms):
            digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
        digests.append([each.name, digest.hexdigest()[:16]])
    return digests


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """A digest of the content of named tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _file(split: str, name: str) -> str:
    return f"{split}/{name}.json"
