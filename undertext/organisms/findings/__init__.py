"""Organisms for the ten findings: a pair of recipes each, on small problems, by texts or by rewards."""
