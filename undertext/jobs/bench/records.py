"""Judgements as they are kept: one file, checked when it is read, and merged with others."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from math import inf, isfinite
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from undertext.activations.errors import UserError, shown
from undertext.activations.files import read_json
from undertext.core.output import json_rows
from undertext.core.publish import publish
from undertext.jobs.bench.case import Case, Judged

RECORDS = "bench.json"
SCHEMA = 2
"""Version of bench.json."""
OF_A_WORLD = ("family", "shape", "tokenizer", "seed")
NAMES = ("world", "family", "shape", "tokenizer", "organism", "base", "split", "judge")
"""What a page shows of a judgement as it is."""


def merged(*parts: Iterable[Judged]) -> tuple[Judged, ...]:
    """Every judgement once, sorted by part, case, judge and seed.

    Raises UserError for figures out of their range, for two unlike judgements of one case by one judge and
    seed, and for cases or worlds that are described in two ways.
    """
    found: dict[tuple[str, ...], Judged] = {}
    cases: dict[tuple[str, ...], Case] = {}
    worlds: dict[str, Case] = {}
    for each in (judged for part in parts for judged in part):
        case, who = each.case, f"{shown(each.judge)}, seed {each.seed}, on {shown(each.case.name)}"
        if fault := _fault(each):
            raise UserError(f"{who}: {fault}")
        if cases.setdefault(case.key, case) != case:
            raise UserError(f"expected one description of {shown(case.name)}, got two that differ")
        known = worlds.setdefault(case.world, case)
        if unlike := [name for name in OF_A_WORLD if getattr(known, name) != getattr(case, name)]:
            raise UserError(
                f"expected one world of the name {shown(case.world)}, got two that differ in "
                f"{', '.join(unlike)}"
            )
        if found.setdefault(each.key, each) != each:
            raise UserError(f"expected one judgement by {who}, got two that differ: leave one out")
    return tuple(found[key] for key in sorted(found))


def records_bytes(records: Iterable[Judged], scores: Mapping[str, Any] | None = None) -> bytes:
    """bench.json: each case once by its name, every judgement, and what was computed from them. The same
    judgements give the same bytes, in whatever order. UserError as `merged`."""
    judged = merged(records)
    cases = {each.case.name: asdict(each.case) for each in judged}
    rows = [{**vars(each), "case": each.case.name} for each in judged]
    content = {"schema": SCHEMA, "cases": cases, "judged": rows}
    return json_rows(content if scores is None else {**content, "scores": scores})


def write_records(
    path: str | Path, records: Iterable[Judged], scores: Mapping[str, Any] | None = None
) -> Path:
    """Write `records_bytes` to `path`, whole or not at all. UserError as `merged` and `publish`."""
    path = Path(path)
    publish({path.name: records_bytes(records, scores)}, path.parent)
    return path


def read_records(path: str | Path) -> tuple[Judged, ...]:
    """The judgements in a bench.json, sorted. UserError naming file and place where the file is damaged."""
    path = Path(path)
    content = read_json(path)
    if content.get("schema") != SCHEMA:
        raise UserError(f"{shown(path)}: expected schema {SCHEMA}, got {shown(content.get('schema'), 60)}")
    cases, rows = content.get("cases"), content.get("judged")
    if not isinstance(cases, dict) or not isinstance(rows, list):
        raise UserError(f"{shown(path)}: expected an object `cases` and a list `judged`")
    known = {name: _typed(Case, case, path, f"case {shown(name)}") for name, case in cases.items()}
    records = []
    for place, row in enumerate(rows, 1):
        where = f"judgement {place}"
        name = row.get("case") if isinstance(row, dict) else None
        if not isinstance(name, str) or name not in known or known[name].name != name:
            raise UserError(f"{shown(path)}: {where}: expected a name in `cases`, got {shown(repr(name))}")
        values = {**row, "case": cases[name]}
        if isinstance(share := values.get("share"), list) and len(share) == 3:
            value, low, high = share  # JSON has no infinite bounds
            values["share"] = [value, -inf if low is None else low, inf if high is None else high]
        records.append(_typed(Judged, values, path, where))
    try:
        judged = merged(records)
    except UserError as error:
        raise UserError(f"{shown(path)}: {error}") from error
    if len(judged) != len(rows):
        raise UserError(f"{shown(path)}: expected every judgement once, got some twice")
    return judged


def _typed(kind: type[Any], values: Any, path: Path, where: str) -> Any:
    """A dataclass from what a file says: every key there, no other, and each value of its type."""
    keys = [field.name for field in fields(kind)]
    if not isinstance(values, dict) or values.keys() != set(keys):
        raise UserError(f"{shown(path)}: {where}: expected the keys {', '.join(keys)}, and no others")
    try:
        return TypeAdapter(kind).validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        key, wanted = shown(".".join(map(str, first["loc"])), 80), shown(first["msg"], 200)
        given = shown(repr(first["input"]), 60)
        raise UserError(f"{shown(path)}: {where}: {key}: {wanted}, got {given}") from None


def _fault(each: Judged) -> str:
    """What is wrong with a judgement's figures or names; nothing where all is right."""
    case = each.case
    for name in NAMES:
        text = getattr(each if name == "judge" else case, name)
        if not re.fullmatch(r"\w[\w .,:;+=@/()-]*", text):
            valid = "letters, digits, spaces and any of .,:;+=@/()-_"
            return f"expected a name of {valid} as {name}, got {shown(repr(text), 60)}"
    if case.truth == "undetermined" and not case.ambiguous:
        return "expected a truth, got undetermined: a case without one says why in `ambiguous`"
    if case.share is not None and not 0 <= case.share <= 1:
        return f"expected a known share from 0 to 1, got {case.share}"
    if not 0 <= each.confidence <= 1:
        return f"expected a confidence from 0 to 1, got {each.confidence}"
    if not (isfinite(each.seconds) and each.seconds >= 0):
        return f"expected seconds from 0, got {each.seconds}"
    if each.problems < 0 or each.seed < 0 or case.seed < 0:
        return f"expected problems and seeds from 0, got {each.problems}, {each.seed} and {case.seed}"
    if not (each.stability is None or 0 <= each.stability <= 1) or each.against < 0:
        return (
            f"expected a stability from 0 to 1 and lines from 0 against it, got {each.stability} and "
            f"{each.against}"
        )
    if each.share is not None:
        value, low, high = each.share
        if not isfinite(value) or not low <= value <= high:
            return f"expected a share between its bounds, got {value} in [{low}, {high}]"
    return ""
