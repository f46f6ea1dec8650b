"""Running rows of settings and prompts, each once, in batches that share their prompts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from undertext.activations.checkpoint import Checkpoint
from undertext.activations.choices import preferred, score_choices
from undertext.activations.errors import UserError
from undertext.activations.generation import generate
from undertext.activations.interventions import Intervention
from undertext.steering.settings import Interventions, Readout, Setting
from undertext.steering.steering_vector import SteeringVector, digest, tensor_bytes


class Key(NamedTuple):
    """Which row: indices of its setting and its prompt."""

    setting: int
    prompt: int


class Row(NamedTuple):
    """What was written under one setting from one prompt."""

    text: str
    touched: int
    """Number of tokens, of prompt and text, at which something was changed."""
    written: int
    """Number of whole tokens of the text."""
    steered: int
    """Number of generated tokens that were chosen in a steered pass."""
    produced: int
    """Number of generated tokens, those that ended the text among them."""

    @property
    def cut(self) -> bool:
        """Whether the text was cut at `max_new_tokens`: nothing ended it."""
        return self.written == self.produced


@runtime_checkable
class RowStore(Protocol):
    """Keeps the rows of one sweep, so that a sweep that was killed goes on from them."""

    def open(self, sweep: Mapping[str, Any]) -> Mapping[Key, Row]:
        """The rows kept so far of the sweep that these plain values describe.

        UserError where rows of another sweep are kept, or damaged ones.
        """

    def writing(self) -> AbstractContextManager[Mapping[Key, Row]]:
        """The body as the only one that adds rows, with the rows there are then."""

    def add(self, rows: Mapping[Key, Row]) -> None:
        """Keep more rows: all of them, or none when killed."""


Grade = Callable[[int, str, bool], tuple[bool, bool]]
"""`grade(i, text, cut)`: whether a text is right for prompt `i`, strictly and leniently; `cut` says that the
text was cut at `max_new_tokens`."""


class Offered(NamedTuple):
    """Choices in place of writing: a row's text is the one that is likeliest after its prompt."""

    texts: Sequence[Sequence[str]]
    """Each prompt's choices."""
    continuations: Sequence[Sequence[str]]
    """As they are read after the prompt."""
    normalise: str
    """As `activations.choices.preferred` takes."""


@dataclass(frozen=True)
class Options:
    """How texts are written: greedily, and so."""

    max_new_tokens: int
    stop: tuple[str, ...] = ()
    batch_size: int = 512
    keep: RowStore | None = None
    """Keeps rows as they come; None keeps nothing."""
    progress: Callable[[int], None] | None = None
    """Called with the number of rows there since its last call, those already kept among them."""
    offered: Offered | None = None
    """Where texts are chosen and not written."""


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
        self._prompts, self._encoded = prompts, checkpoint.encode(prompts, room=options.max_new_tokens)
        for setting in settings:
            self._interventions.of(setting)
        self._graded: dict[Key, tuple[bool, bool]] = {}
        self.rows: dict[Key, Row] = {}
        if options.keep is not None:
            self.rows |= options.keep.open(
                {
                    "checkpoint": checkpoint.fingerprint,
                    "prompts": digest(str(ids) for ids in self._encoded),
                    "vectors": {vector.name: vector.fingerprint for vector in vectors},
                    "thresholds": {
                        name: digest(map(tensor_bytes, readout))
                        for name, readout in (thresholds or {}).items()
                    },
                    "generation": {"max_new_tokens": options.max_new_tokens, "stop": list(options.stop)}
                    | ({} if options.offered is None else {"offered": digest([repr(options.offered)])}),
                    "settings": [_plain(setting) for setting in settings],
                }
            )

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
        keep = self._options.keep
        with keep.writing() if keep is not None and missing else nullcontext({}) as rows:
            self.rows |= rows
            for start in range(0, len(missing), self._options.batch_size):
                self._run(missing[start : start + self._options.batch_size])

    def _run(self, keys: Sequence[Key]) -> None:
        acting = [self._interventions.of(self._settings[key.setting]) for key in keys]
        rows = self._written(keys, acting) if self._options.offered is None else self._chosen(keys, acting)
        if self._options.keep is not None:
            self._options.keep.add(rows)
        self.rows |= rows

    def _written(self, keys: Sequence[Key], acting: Sequence[Sequence[Intervention]]) -> dict[Key, Row]:
        out = generate(
            self._checkpoint,
            [self._encoded[key.prompt] for key in keys],
            max_new_tokens=self._options.max_new_tokens,
            stop=self._options.stop,
            interventions=acting,
            batch_size=self._options.batch_size,
            progress=self._options.progress,
        )
        return {
            key: Row(out.texts[i], out.touched[i], len(out.tokens[i]), out.steered[i], out.produced[i])
            for i, key in enumerate(keys)
        }

    def _chosen(self, keys: Sequence[Key], acting: Sequence[Sequence[Intervention]]) -> dict[Key, Row]:
        offered = self._options.offered
        assert offered is not None, "asked where there are choices"
        texts = [offered.texts[key.prompt] for key in keys]
        scores = score_choices(
            self._checkpoint,
            [self._prompts[key.prompt] for key in keys],
            [offered.continuations[key.prompt] for key in keys],
            acting,
            progress=self._options.progress,
        )
        rows = {}
        for i, (key, own) in enumerate(zip(keys, preferred(scores, texts, offered.normalise), strict=True)):
            best = int(own.argmax())
            where, size = scores.touched[i][best], scores.sizes[i][best]
            rows[key] = Row(texts[i][best], where.all, size, min(where.choosing, size), size)
        return rows

    def passes(self, key: Key) -> int:
        """How many tokens of a row that is there were read: those of prompt and text but for the last one."""
        return len(self._encoded[key.prompt]) + self.rows[key].produced - 1

    def grade(self, key: Key, grade: Grade) -> tuple[bool, bool]:
        """Strict and lenient grade of a row that is there; asked for once."""
        if key not in self._graded:
            self._graded[key] = grade(key.prompt, self.rows[key].text, self.rows[key].cut)
        return self._graded[key]


def _plain(setting: Setting) -> dict[str, Any]:
    """A setting as JSON."""
    plain = asdict(setting)
    tokens = setting.gate.tokens
    plain["gate"]["tokens"] = None if tokens is None else sorted(tokens)
    return plain
