"""Running rows of settings and prompts, each once, in batches that share their prompts."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.errors import UserError
from undertext.activations.generation import generate
from undertext.steering.kept import Kept, Key, Row
from undertext.steering.settings import Interventions, Readout, Setting
from undertext.steering.steering_vector import SteeringVector

Grade = Callable[[int, str], tuple[bool, bool]]
"""Whether a text is right for the prompt of this index, strictly and leniently."""


@dataclass(frozen=True)
class Options:
    """How texts are written: greedily, and so."""

    max_new_tokens: int
    stop: tuple[str, ...] = ()
    batch_size: int = 512
    keep: Path | None = None
    """A folder in which rows are kept as they come; None keeps nothing."""
    progress: Callable[[int], None] | None = None
    """Called with the number of rows there since its last call, those already kept among them."""


class SweepRunner:
    """The rows there are, and a way to run others."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        prompts: Sequence[str],
        settings: Sequence[Setting],
        vectors: Sequence[SteeringVector],
        thresholds: Mapping[str, Readout] | None,
        options: Options,
    ) -> None:
        """UserError for a setting that cannot be, one that occurs twice, or a folder of another sweep."""
        self._checkpoint, self._options, self._settings = checkpoint, options, settings
        if len(set(settings)) < len(settings):
            twice = next(each for each in settings if settings.count(each) > 1)
            raise UserError(f"each setting may occur once, this one does not: {twice}")
        for vector in vectors:
            vector.check_fits(checkpoint)
        self._interventions = Interventions(vectors, thresholds)
        self._encoded = checkpoint.encode(prompts, room=options.max_new_tokens)
        for setting in settings:
            self._interventions.of(setting, self._encoded[0] if self._encoded else [0])
        self._graded: dict[Key, tuple[bool, bool]] = {}
        self.rows: dict[Key, Row] = {}
        self._kept: Kept | None = None
        if options.keep is not None:
            identity = {
                "checkpoint": checkpoint.fingerprint,
                "prompts": _digest(str(ids) for ids in self._encoded),
                "vectors": {each.name: _digest(_content(each)) for each in vectors},
                "thresholds": {
                    name: _digest([_bytes(each) for each in readout])
                    for name, readout in (thresholds or {}).items()
                },
                "generation": {"max_new_tokens": options.max_new_tokens, "stop": list(options.stop)},
            }
            self._kept = Kept(options.keep, identity, [_plain(setting) for setting in settings])
            self.rows = self._kept.rows

    def run(self, wanted: Iterable[Key]) -> None:
        """Have all these rows, running those that are not there yet."""
        wanted = list(wanted)
        # Rows of one prompt meet in a batch and share what they read of it; long prompts come first.
        missing = sorted(
            (key for key in wanted if key not in self.rows),
            key=lambda key: (-len(self._encoded[key.prompt]), key.prompt, key.setting),
        )
        progress = self._options.progress
        if progress is not None and len(missing) < len(wanted):
            progress(len(wanted) - len(missing))
        with self._kept.writing() if self._kept is not None and missing else nullcontext():
            for start in range(0, len(missing), self._options.batch_size):
                self._run(missing[start : start + self._options.batch_size])

    def _run(self, keys: Sequence[Key]) -> None:
        out = generate(
            self._checkpoint,
            [self._encoded[key.prompt] for key in keys],
            max_new_tokens=self._options.max_new_tokens,
            stop=self._options.stop,
            interventions=[
                self._interventions.of(self._settings[key.setting], self._encoded[key.prompt]) for key in keys
            ],
            batch_size=self._options.batch_size,
            progress=self._options.progress,
        )
        rows = {
            key: Row(out.texts[i], out.touched[i], len(out.tokens[i]), out.steered[i], out.produced[i])
            for i, key in enumerate(keys)
        }
        if self._kept is None:
            self.rows.update(rows)
        else:
            self._kept.add(rows)

    def passes(self, key: Key) -> int:
        """How many tokens of a row that is there were read: those of prompt and text but for the last one."""
        return len(self._encoded[key.prompt]) + self.rows[key].produced - 1

    def grade(self, key: Key, grade: Grade) -> tuple[bool, bool]:
        """Strict and lenient grade of a row that is there; asked for once."""
        if key not in self._graded:
            self._graded[key] = grade(key.prompt, self.rows[key].text)
        return self._graded[key]


def _plain(setting: Setting) -> dict[str, Any]:
    """A setting as JSON."""
    plain = asdict(setting)
    tokens = setting.where.tokens
    plain["where"]["tokens"] = None if tokens is None else sorted(tokens)
    return plain


def _content(vector: SteeringVector) -> list[bytes]:
    centre = [] if vector.centre is None else [_bytes(vector.centre)]
    return [vector.site.encode(), _bytes(vector.directions), _bytes(vector.norms), *centre]


def _bytes(tensor: Tensor) -> bytes:
    flat = tensor.detach().cpu().to(torch.float32).contiguous().numpy().tobytes()
    return f"{list(tensor.shape)}".encode() + flat


def _digest(parts: Iterable[str] | Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        whole = part.encode() if isinstance(part, str) else part
        digest.update(f"{len(whole)} ".encode() + whole)
    return digest.hexdigest()[:16]
