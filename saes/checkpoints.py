"""Checkpoints of a training run: each whole under its name, or not there."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors import SafetensorError

from undertext.activations.errors import UserError, shown
from undertext.activations.files import one_line, read_json
from undertext.activations.store.disk import replace_file
from undertext.saes.autoencoder import FILES, load_sae
from undertext.saes.config import Training
from undertext.saes.feed import Feed
from undertext.saes.sae_type import SAE

CONFIG = "training.json"
"""The config of the run, in its folder from the first moment."""
FEED = "feed.json"
"""In a checkpoint, beside sae-lens's files: how many batches had been taken."""


@dataclass
class Checkpoints:
    """The folder of a run. While it lasts: `training.json` and `step-N`, a checkpoint; afterwards the SAE."""

    folder: Path
    step: int = 0
    """Of the last checkpoint saved or read."""

    @classmethod
    def open(cls, folder: str | Path, config: Training) -> "Checkpoints":
        """Begin a run in `folder` or go on with it; UserError when another config's run is there."""
        folder = Path(folder)
        file, wanted = folder / CONFIG, config.model_dump(mode="json")
        if file.is_file():
            found = read_json(file)
            # Where a run happens and how often it is saved may change on the way.
            free = {"device", "checkpoint_every"}
            unlike = [key for key in found | wanted if key not in free and found.get(key) != wanted.get(key)]
            if unlike:
                shown = ", ".join(f"{key} {found.get(key)!r}, not {wanted.get(key)!r}" for key in unlike)
                raise UserError(f"{folder} holds a run with {shown}: give another folder, or that config")
        elif folder.is_dir() and {path.name for path in folder.iterdir()} - {f"{CONFIG}.tmp"}:
            raise UserError(f"{folder} is not empty and holds no run of training: give another folder")
        else:
            with _writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
                replace_file(file, [json.dumps(wanted, indent=1).encode() + b"\n"])
        return cls(folder)

    @property
    def finished(self) -> bool:
        """Whether the trained SAE is there."""
        return all((self.folder / name).is_file() for name in FILES)

    def save(self, trainer: Any, feed: Feed) -> None:
        """Save sae-lens's checkpoint of `trainer` and where `feed` is; the one before it goes."""
        self.step = trainer.n_training_steps
        partial, final = self.folder / "step.partial", self.folder / f"step-{self.step}"
        with _writing(self.folder):
            _remove(partial)
            trainer.save_checkpoint(partial.name, base_path=self.folder)
            replace_file(partial / FEED, [json.dumps({"taken": feed.taken}).encode() + b"\n"])
            partial.replace(final)
            self._clear(keep=final)

    def resume(self, trainer: Any, feed: Feed) -> None:
        """Put `trainer` and `feed` where the last checkpoint left them, if there is one."""
        saved = self._saved()
        if not saved:
            return
        self.step, last = max(saved.items())
        try:
            for file in last.iterdir():
                if not file.is_file():
                    raise ValueError(f"{file.name} is no file")
            trainer.sae.load_weights_from_checkpoint(last)
            trainer.load_trainer_state(last)
            feed.skip(int(read_json(last / FEED)["taken"]))
        except Exception as error:  # safetensors, pickle and torch raise types of their own
            raise UserError(
                f"cannot go on from {shown(last)}: {one_line(error)}. Delete it, and training begins anew"
            ) from error

    def publish(self, trained: Any) -> None:
        """Save sae-lens's inference SAE of `trained` in the folder, and remove the checkpoints."""
        partial = self.folder / "sae.partial"
        with _writing(self.folder):
            _remove(partial)
            trained.save_inference_model(partial)
            for name in sorted(FILES, reverse=True):  # the config last: without it there is no SAE
                (partial / name).replace(self.folder / name)
            self.tidy()

    def tidy(self) -> None:
        """Remove what a finished run needs no more, or a kill has left of it."""
        self._clear(keep=None)
        for partial in ("step.partial", "sae.partial"):
            _remove(self.folder / partial)

    def _saved(self) -> dict[int, Path]:
        found = {path.name.removeprefix("step-"): path for path in self.folder.glob("step-*")}
        return {int(number): path for number, path in found.items() if number.isdigit()}

    def _clear(self, keep: Path | None) -> None:
        for path in self._saved().values():
            if path != keep:
                _remove(path)


def _remove(path: Path) -> None:
    """Remove what is there under a name of ours, a folder or not."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn what a library raises where it cannot write (a full disk, no permission) into a UserError."""
    try:
        yield
    except UserError:
        raise
    except (OSError, SafetensorError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or one_line(error)
        raise UserError(
            f"cannot write to {shown(folder)}: {why}. The last checkpoint of the training is kept, and the "
            "same call goes on from there"
        ) from error


def trained_sae(run: Checkpoints | None, train: Callable[[], Any], device: str) -> SAE:
    """The inference SAE of what `train` returns, saved where there is a run; a finished run's SAE is read
    instead."""
    if run is None:
        with TemporaryDirectory() as scratch:
            train().save_inference_model(scratch)
            return load_sae(scratch, device=device)
    if run.finished:
        run.tidy()
    else:
        run.publish(train())
    return load_sae(run.folder, device=device)
