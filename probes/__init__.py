"""Linear probes over many layers at once, and the controls that make their figures mean something."""

from probes.controls import Surface, control_labels
from probes.logistic import LogisticProbe
from probes.readings import STRENGTHS, Reading, read

__all__ = ["STRENGTHS", "LogisticProbe", "Reading", "Surface", "control_labels", "read"]
