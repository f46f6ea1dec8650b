"""Capability recovered without training: candidate vectors, the search, controls, estimates."""
