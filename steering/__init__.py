"""Steering: capability recovered without training. Vectors, and dose-response sweeps that apply them.

A recipe gives a plain tensor [layer, d_model]; whether a direction came from a difference of means, a
probe or an SAE's decoder is no concern of the sweep. `SteeringVector` gives it a name and a unit of dose.
"""

from undertext.steering.files import load_vector, save_vector
from undertext.steering.fitted import fit_vector
from undertext.steering.gguf_files import export_gguf, import_gguf
from undertext.steering.halving import Halving, Round, Schedule, halving
from undertext.steering.on_text import OnText, on_text
from undertext.steering.opening import open_vector
from undertext.steering.reinforced import (
    Course,
    Practice,
    ReinforcedVectors,
    ReinforcedWeights,
    copy_with_weights,
    reinforce_vectors,
    reinforce_weights,
)
from undertext.steering.rollouts import means_of_written
from undertext.steering.settings import Gate, Readout, Setting, grid
from undertext.steering.steering_vector import SteeringVector
from undertext.steering.sweep import Sweep, sweep
from undertext.steering.sweep_runner import Key, Row, RowStore
from undertext.steering.vectors import (
    at_layers,
    difference_of_means,
    mean_norm,
    principal_difference,
    random_directions,
    shuffled_labels,
    unit,
)

__all__ = [
    "Course",
    "Gate",
    "Halving",
    "Key",
    "OnText",
    "Practice",
    "Readout",
    "ReinforcedVectors",
    "ReinforcedWeights",
    "Round",
    "Row",
    "RowStore",
    "Schedule",
    "Setting",
    "SteeringVector",
    "Sweep",
    "at_layers",
    "copy_with_weights",
    "difference_of_means",
    "export_gguf",
    "fit_vector",
    "grid",
    "halving",
    "import_gguf",
    "load_vector",
    "mean_norm",
    "means_of_written",
    "on_text",
    "open_vector",
    "principal_difference",
    "random_directions",
    "reinforce_vectors",
    "reinforce_weights",
    "save_vector",
    "shuffled_labels",
    "sweep",
    "unit",
]
