"""What `sae train` has made, as plain data."""

from dataclasses import dataclass, replace
from pathlib import Path

from undertext.core.result import Result
from undertext.core.views import typed
from undertext.saes import Fidelity, LossRecovered

SAE_FOLDER = "sae"


@dataclass(frozen=True, eq=False)
class TrainedDictionary(Result):
    """The answer of `train_dictionary`. Table `latents`: a row a latent, with the share of rows it fires
    at."""

    @property
    def folder(self) -> Path:
        """Where the SAE or crosscoder is saved, in sae-lens's format."""
        return Path(self.run["folder"])

    @property
    def points(self) -> tuple[str, ...]:
        """Hook points that it reads."""
        return tuple(self.summary["points"])

    @property
    def rows(self) -> int:
        """Rows of activations captured, those held out included."""
        return int(self.summary["rows"])

    @property
    def fidelity(self) -> Fidelity:
        """Measured on the rows held out."""
        fidelity: Fidelity = typed(Fidelity, self.summary["fidelity"])
        return fidelity

    @property
    def loss(self) -> LossRecovered | None:
        """On texts not trained on; None for a difference, a crosscoder and a store, which no one checkpoint
        reads."""
        loss = self.summary["loss"]
        measured: LossRecovered | None = None if loss is None else typed(LossRecovered, loss)
        return measured

    @classmethod
    def load(cls, folder: str | Path) -> "TrainedDictionary":
        """The result saved in `folder`, which may have been moved. UserError where there is none."""
        result = super().load(folder)
        own = Path(folder) / SAE_FOLDER
        return replace(result, run={**result.run, "folder": str(own)}) if own.is_dir() else result
