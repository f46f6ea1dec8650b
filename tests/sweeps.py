"""Sweeps that were never run."""

from torch import Tensor

from undertext.steering import Setting, Sweep


def sweep_of(settings: list[Setting], lenient: Tensor) -> Sweep:
    """One in which these texts [setting, prompt] were right, leniently only; every text is one token."""
    texts = [["said"] * lenient.shape[1] for _ in settings]
    ones = lenient.new_ones(lenient.shape)
    return Sweep(settings, ones, ~ones, lenient, texts, *[ones.long()] * 5)
