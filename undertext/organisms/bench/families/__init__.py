"""Families of problems."""

from undertext.organisms.bench.families.chain import CHAIN, PARITY
from undertext.organisms.bench.families.countdown import COUNTDOWN
from undertext.organisms.bench.families.graph import GRAPH
from undertext.organisms.bench.families.gym import BACKWARD, CHAIN_SUM, LEGS
from undertext.organisms.bench.families.item import Family
from undertext.organisms.bench.families.logic import LOGIC
from undertext.organisms.bench.families.swaps import SWAPS

__all__ = ["FAMILIES", "Family"]

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (CHAIN, PARITY, GRAPH, COUNTDOWN, SWAPS, LOGIC, CHAIN_SUM, BACKWARD, LEGS)
}
