"""Vectors as a job is given them: in memory, or in files of either format."""

from pathlib import Path

from undertext.activations.checkpoint import Checkpoint
from undertext.steering.files import load_vector
from undertext.steering.gguf_files import import_gguf
from undertext.steering.steering_vector import SteeringVector


def open_vector(source: SteeringVector | str | Path, checkpoint: Checkpoint) -> SteeringVector:
    """A vector as it is; a .gguf file as a control vector; all else as a file of `save_vector`.

    Raises UserError as `load_vector` and `import_gguf`, and for a vector that does not fit the checkpoint.
    """
    if isinstance(source, SteeringVector):
        vector = source
    elif Path(source).suffix == ".gguf":
        vector = import_gguf(source, n_layers=checkpoint.n_layers, d_model=checkpoint.d_model)
    else:
        vector = load_vector(source)
    vector.check_fits(checkpoint)
    return vector
