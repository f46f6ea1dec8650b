"""The probe that is read at every token of outputs: of a value that `decodable` rests on, as it read it."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from undertext.activations.hookpoint import HookPoint
from undertext.core.terms import CHOOSE, OTHER, ROLES, Role
from undertext.jobs.compare.config import Rule
from undertext.jobs.compare.evidence import carried_values
from undertext.measures.decoding.readings import CHECKPOINTS, Readings
from undertext.measures.trace.output_tokens import TokenProbe


class ValueProbe(NamedTuple):
    """A value, and each checkpoint's own probe of it."""

    name: str
    probes: Mapping[Role, TokenProbe]
    classes: Mapping[Role, Sequence[str]]
    """What each of a probe's classes is."""
    labels: Mapping[str, Mapping[int, str]]
    """By split: the true value of each problem that has one, by its index; the last, where it has several."""

    def wanted(self, role: Role, split: str, problems: Sequence[int]) -> list[int | None]:
        """The class of each of these problems; None where train never showed it, or the problem has none."""
        index: dict[str | None, int] = {label: k for k, label in enumerate(self.classes[role])}
        return [index.get(self.labels[split].get(problem)) for problem in problems]

    def digest(self, role: Role, wanted: Sequence[int | None]) -> str:
        """Of all that a checkpoint's readings depend on beside the outputs."""
        probe = self.probes[role]
        weights = b"".join(each.cpu().numpy().tobytes() for each in (probe.coef, probe.intercept))
        return sha256(repr((str(probe.point), list(wanted))).encode() + weights).hexdigest()[:32]


def value_probe(
    measured: Mapping[Role, Readings], points: Sequence[HookPoint], splits: Sequence[str], rule: Rule
) -> tuple[ValueProbe | None, str]:
    """The probe of the value that both checkpoints' probes read best on dev, and why there is none.

    `measured` is by the weaker checkpoint, at `points`, and `splits` are judged. Values count that the
    stronger carries, as for `decodable`; of equals the last one is taken, which is nearest to the answer.
    """
    why = "no checkpoint counts as the weaker one, and no probe was fitted"
    for weaker in (role for role in ROLES if role in measured):
        readings = measured[weaker]
        labels = {name: _labels(readings, splits, name) for name in readings.classes}
        carried = carried_values(readings, rule.readable_above)
        names = [name for name in carried if any(labels[name].values())]
        if names:
            best = max(reversed(names), key=lambda name: _on_dev(readings, name))
            return _of(readings, weaker, points, best, labels[best]), ""
        why = "no probe can be fitted to a value of the task"
        if readings.classes:
            why = "no value is read far enough over the nulls on dev, as `decodable` asks"
        if carried:
            why = "no problem that is judged has a value that is read on dev"
    return None, why


def _on_dev(readings: Readings, name: str) -> float:
    return sum(readings.accuracy(name, CHOOSE, source) for source in CHECKPOINTS)


def _labels(readings: Readings, splits: Sequence[str], name: str) -> dict[str, dict[int, str]]:
    """By split, the last label of each problem."""
    labels = {}
    for split in splits:
        sites = readings.sites[split]
        rows = sites.rows(name)
        labels[split] = {
            problem: sites.label[row]
            for problem, row in zip(sites.problem[rows].tolist(), rows.tolist(), strict=True)
        }
    return labels


def _of(
    readings: Readings,
    weaker: Role,
    points: Sequence[HookPoint],
    name: str,
    labels: Mapping[str, Mapping[int, str]],
) -> ValueProbe:
    probes, classes = {}, {}
    for source, role in zip(CHECKPOINTS, (weaker, OTHER[weaker]), strict=True):
        fitted = readings.probes[name, source]
        at = points[readings.chosen[name, source]]
        probes[role] = TokenProbe(at, fitted.coef[0], fitted.intercept[0])
        classes[role] = [readings.classes[name][k] for k in fitted.classes.tolist()]
    return ValueProbe(name, probes, classes, labels)
