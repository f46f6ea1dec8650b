"""Steering: capability recovered without training. Vectors, and dose-response sweeps that apply them.

A vector is a plain tensor [layer, d_model]; whether a direction came from a difference of means, a
probe or an SAE's decoder is no concern of the sweep.
"""

from steering.sweep import Setting, Sweep, Vectors, Where, grid, sweep
from steering.vectors import checkpoint_delta, difference_of_means, mean_norm, random_directions, unit

__all__ = [
    "Setting",
    "Sweep",
    "Vectors",
    "Where",
    "checkpoint_delta",
    "difference_of_means",
    "grid",
    "mean_norm",
    "random_directions",
    "sweep",
    "unit",
]
