"""The stages of a job: each part that is missing is made, and kept."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from undertext.core.progress import Progress
from undertext.jobs.probe.config import Name, ProbeConfig
from undertext.jobs.probe.parts import Parts
from undertext.jobs.probe.sources import Sources
from undertext.measures.decoding.across import read_across
from undertext.measures.decoding.groups import Groups
from undertext.measures.decoding.positions import Gathered
from undertext.measures.decoding.rows import SCHEMA, TRANSFER, Row, table_of
from undertext.measures.decoding.table import FittedOf, read_own, read_transported
from undertext.measures.decoding.values import Places, points_of
from undertext.measures.decoding.within import read_within

MATRICES = "+transfer"
"""Folder of the transfer table's parts; no task can have this name."""

Made = tuple[list[Row], FittedOf | None]


class _Part(NamedTuple):
    key: str
    make: Callable[[], Made]


class Stages(NamedTuple):
    """A job whose checkpoints, tasks and pairs were checked."""

    source: Sources
    places: Mapping[tuple[Name, Name], Places]
    groups: Mapping[Name, Groups]
    pairs: Sequence[tuple[Name, Name]]
    config: ProbeConfig
    parts: Parts

    def run(self, tasks: Sequence[Name], bars: Progress) -> tuple[pa.Table, pa.Table]:
        """Both tables, in the order of the job. A checkpoint is loaded once a stage where that can be."""
        names = list(self.source.given)
        moved = [(a, b) for read in names for a, b in self.pairs if b == read]
        readings = {
            "probing": [self._own(name, task) for name in names for task in tasks],
            "transporting": [self._transported(*pair, task) for pair in moved for task in tasks],
        }
        carried = {}
        if self.config.transfer:
            carried["transferring"] = [self._within(name, task) for name in names for task in tasks]
        if "checkpoint" in self.config.transfer:
            carried["aligning"] = [self._across(*pair, task) for pair in moved for task in tasks]
        return self._made(readings, SCHEMA, bars), self._made(carried, TRANSFER, bars)

    def _made(self, stages: Mapping[str, Sequence[_Part]], schema: pa.Schema, bars: Progress) -> pa.Table:
        tables = [schema.empty_table()]
        for stage, all_parts in stages.items():
            with bars.stage(stage, len(all_parts)) as done:
                for part in all_parts:
                    table = self.parts.table(part.key, schema)
                    if table is None:
                        rows, fitted = part.make()
                        table = table_of(rows, schema)
                        self.parts.keep(part.key, table, fitted)
                    tables.append(table)
                    done(1)
        return pa.concat_tables(tables)

    def _own(self, name: Name, task: Name) -> _Part:
        def make() -> Made:
            places = self.places[name, task]
            return read_own(self.source.load(name), places, self.config, (name, task))

        return _Part(f"{task}/{name}", make)

    def _transported(self, fitted_on: Name, read_on: Name, task: Name) -> _Part:
        def make() -> Made:
            fitted, places = self._fitted(fitted_on, task), self.places[read_on, task]
            names = (read_on, fitted_on, task)
            return read_transported(self.source.load(read_on), fitted, places, self.config, names), None

        return _Part(f"{task}/{fitted_on}/{read_on}", make)

    def _within(self, name: Name, task: Name) -> _Part:
        def make() -> Made:
            fitted, places = self._fitted(name, task), self.places[name, task]
            checkpoint = self.source.load(name)
            return read_within(checkpoint, fitted, places, self.groups[task], self.config, (name, task)), None

        return _Part(f"{MATRICES}/{task}/{name}", make)

    def _across(self, fitted_on: Name, read_on: Name, task: Name) -> _Part:
        def make() -> Made:
            fitted, own = self._fitted(fitted_on, task), self._fitted(read_on, task)
            places = self.places[read_on, task]
            points = points_of(self.source.load(fitted_on), self.config)
            source, target = (
                Gathered.of_splits(self.source.load(name), places, points) for name in (fitted_on, read_on)
            )
            layers, names = [point.layer for point in points], (read_on, fitted_on, task)
            return read_across(target, source, own, fitted, places, self.config, layers, names), None

        return _Part(f"{MATRICES}/{task}/{fitted_on}/{read_on}", make)

    def _fitted(self, name: Name, task: Name) -> FittedOf:
        return self.parts.fitted(f"{task}/{name}")
