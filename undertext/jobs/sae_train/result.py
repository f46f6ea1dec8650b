"""What `sae train` has made, as plain data."""

from dataclasses import dataclass
from pathlib import Path

from undertext.core.result import Headline, Result, typed
from undertext.saes import Fidelity, LossRecovered

SAE_FOLDER = "sae"


@dataclass(frozen=True, eq=False)
class TrainedDictionary(Result):
    """The answer of `train_dictionary`. Table `latents`: a row a latent, with the share of rows it fires
    at."""

    @property
    def folder(self) -> Path:
        """Where the SAE or crosscoder is saved, in sae-lens's format; it moves with the result's folder."""
        return (self.at or Path()) / SAE_FOLDER

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

    def headline(self) -> Headline:
        """One row: reconstruction, sparsity, and the loss that a model recovers."""
        row = {
            "explained_variance": self.fidelity.explained_variance,
            "l0": self.fidelity.l0,
            "dead_share": self.fidelity.dead_share,
            "loss_recovered": None if self.loss is None else self.loss.recovered_from_zero,
        }
        return Headline([row], (), ("explained_variance", "dead_share", "loss_recovered"))
