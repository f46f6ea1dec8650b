"""Logs of inspect: `.eval` (a zip of JSON) and `.json`, read within bounds and without inspect itself.

inspect-ai 0.3.285 takes fsspec up to 2026.6.0 alone, and so cannot be installed beside every other extra.
"""

import json
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from undertext.activations.errors import UserError
from undertext.core.printable import printable, shown
from undertext.tasks.grade import Grader
from undertext.tasks.importers.choices import lettered
from undertext.tasks.importers.source import MOST_ROWS, Item, Source, read_file

MOST_MEMBER = 256 * 1024 * 1024
MOST_TOTAL = 4 * 1024 * 1024 * 1024
"""Bytes of one sample of a log, and of all of them, unpacked."""
_ZSTANDARD = 93
"""How inspect compresses its zips. Python's zipfile reads this from 3.14 on, pyarrow everywhere."""
_GRADERS = {"choice": "choice", "exact": "exact", "includes": "exact", "answer": "exact", "pattern": "exact"}


def inspect_source(path: str | Path) -> Source:
    """What a log holds: the user's text as the prompt, the first target, the first epoch's output.

    A prompt with choices has them below it, a letter each, and the letter as its answer. Raises UserError for
    what is no log.
    """
    file = Path(path)
    header, samples = _read(file)
    evaluated = header.get("eval")
    if not isinstance(evaluated, Mapping):
        raise UserError(
            f"{printable(str(path))}: expected a log of inspect, got JSON without its part 'eval'"
        )
    name = str(evaluated.get("task") or file.stem).rpartition("/")[2]
    items: list[Item] = []
    seen: set[str] = set()
    system = several = 0
    for place, sample in samples:
        if (key := str(sample.get("id"))) in seen:
            continue  # another epoch
        seen.add(key)
        metadata = sample["metadata"] if isinstance(sample.get("metadata"), Mapping) else {}
        try:
            fields, had_system, targets = _problem(sample)
        except ValueError as error:
            items.append(Item(place, metadata, fault=str(error)))
            continue
        system += had_system
        several += targets > 1
        items.append(Item(place, metadata, fields, output=_output(sample)))
    notes = [f"system texts left out: {system} problems have one"] if system else []
    notes += [f"targets left out: {several} problems have several, and the first counts"] if several else []
    about = f"Problems of the inspect task {name}, from its log."
    return Source(name, about, items, _grader(evaluated, items), notes=notes)


def _problem(sample: Mapping[str, Any]) -> tuple[dict[str, Any], bool, int]:
    """Fields of the problem, whether it has a system text, and how many targets there are."""
    given = sample.get("input")
    turns = given if isinstance(given, list) else [{"role": "user", "content": given}]
    users = [_said(turn) for turn in turns if isinstance(turn, Mapping) and turn.get("role") == "user"]
    sent = sample.get("messages") if isinstance(sample.get("messages"), list) else []
    roles = [turn.get("role") for turn in [*turns, *(sent or [])] if isinstance(turn, Mapping)]
    if len(users) != 1 or len(turns) > 1 + sum(turn.get("role") == "system" for turn in turns):
        raise ValueError(f"expected an input of one user's turn, got {len(users)} among {len(turns)} turns")
    target = sample.get("target")
    targets = target if isinstance(target, list) else [target]
    if not targets or not isinstance(targets[0], str):
        raise ValueError(f"expected a target in text, got {shown(target)}")
    prompt, choices = users[0], sample.get("choices")
    if isinstance(choices, list) and choices:
        if len(targets) > 1 or len(targets[0].strip()) != 1:
            raise ValueError(
                f"expected the letter of one choice as target, got {shown(', '.join(map(str, targets)))}"
            )
        prompt = lettered(prompt, [str(choice) for choice in choices])
    fields = {"id": sample.get("id"), "prompt": prompt, "answer": targets[0]}
    return fields, "system" in roles, len(targets)


def _said(turn: Mapping[str, Any]) -> str:
    content = turn.get("content")
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, Mapping) else None for part in content]
        if all(isinstance(part, str) for part in parts):
            return "\n".join(str(part) for part in parts)
    if not isinstance(content, str):
        raise ValueError("expected an input in text, got other content, such as an image")
    return content


def _output(sample: Mapping[str, Any]) -> str | None:
    output = sample.get("output")
    choices = output.get("choices") if isinstance(output, Mapping) else None
    message = choices[0].get("message") if isinstance(choices, list) and choices else None
    try:
        text = _said(message) if isinstance(message, Mapping) else None
    except ValueError:
        return None
    return _attached(text, sample) if text else None


def _attached(text: str, sample: Mapping[str, Any]) -> str:
    """A long text stands apart from where it is used."""
    attachments = sample.get("attachments")
    key = text.removeprefix("attachment://")
    return str(attachments.get(key, text)) if key != text and isinstance(attachments, Mapping) else text


def _grader(evaluated: Mapping[str, Any], items: list[Item]) -> Grader | None:
    scorers = evaluated.get("scorers")
    for scorer in scorers if isinstance(scorers, list) else []:
        name = str(scorer.get("name")).rpartition("/")[2] if isinstance(scorer, Mapping) else ""
        options = scorer.get("options") if isinstance(scorer, Mapping) else None
        if name == "match":
            return Grader(
                kind="number" if isinstance(options, Mapping) and options.get("numeric") else "exact"
            )
        if name in _GRADERS:
            return Grader.model_validate({"kind": _GRADERS[name]})
    return None


def _read(file: Path) -> tuple[Mapping[str, Any], Iterator[tuple[str, Mapping[str, Any]]]]:
    """The header of a log and its samples, each with its place."""
    shown_path = printable(str(file))
    if not zipfile.is_zipfile(file):
        log = _object(read_file(file), shown_path)
        samples = log.get("samples")
        given = samples if isinstance(samples, list) else []
        if not given:
            raise UserError(f"{shown_path}: expected a log with samples, got none")
        return log, ((f"{printable(file.name)} sample {i}", each) for i, each in enumerate(given, 1))
    with file.open("rb") as opened:
        try:
            archive = zipfile.ZipFile(opened)
            members = {info.filename: info for info in archive.infolist()}
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise UserError(f"{shown_path}: expected a log of inspect, got no whole zip: {error}") from error
    header = members.get("header.json") or members.get("_journal/start.json")
    names = sorted((n for n in members if n.startswith("samples/") and n.endswith(".json")), key=_epoch)
    if header is None or not names or len(names) > MOST_ROWS:
        raise UserError(
            f"{shown_path}: expected a log of inspect, with header.json and samples, got none in the zip"
        )
    if sum(members[name].file_size for name in names) > MOST_TOTAL:
        raise UserError(f"{shown_path}: expected samples of at most {MOST_TOTAL:,} bytes, got more")

    def samples_of() -> Iterator[tuple[str, Mapping[str, Any]]]:
        for name in names:
            place = f"{printable(file.name)}, {printable(name)}"
            yield place, _object(_member(file, members[name], place), place)

    return _object(_member(file, header, shown_path), shown_path), samples_of()


def _epoch(name: str) -> tuple[int, str]:
    """Samples of the first epoch come first: `samples/ID_epoch_1.json`."""
    number = name.rpartition("_epoch_")[2].removesuffix(".json")
    return (int(number) if number.isdecimal() and len(number) < 9 else 0), name


def _object(data: bytes, place: str) -> Mapping[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place}: expected JSON, got other text: {printable(str(error), 200)}") from error
    if not isinstance(found, dict):
        raise UserError(f"{place}: expected a JSON object, got {shown(found)}")
    return found


def _member(file: Path, info: zipfile.ZipInfo, place: str) -> bytes:
    """What a zip holds under a name, at most `MOST_MEMBER` bytes."""
    try:
        with file.open("rb") as opened:
            if info.compress_type == _ZSTANDARD:
                with pa.input_stream(pa.BufferReader(_packed(opened, info)), compression="zstd") as stream:
                    data = stream.read(MOST_MEMBER + 1)
                if zlib.crc32(data) != info.CRC and len(data) <= MOST_MEMBER:
                    raise ValueError("its checksum does not hold")
            else:
                with zipfile.ZipFile(opened).open(info) as member:
                    data = member.read(MOST_MEMBER + 1)
    except (
        zipfile.BadZipFile,
        OSError,
        ValueError,
        NotImplementedError,
        RuntimeError,
        zlib.error,
        struct.error,
    ) as error:
        raise UserError(
            f"{place}: expected a whole part of a log, got: {printable(str(error), 200)}"
        ) from error
    if len(data) > MOST_MEMBER:
        raise UserError(f"{place}: expected at most {MOST_MEMBER:,} bytes, got more")
    return data


def _packed(opened: BinaryIO, info: zipfile.ZipInfo) -> bytes:
    """The packed bytes of a member, which stand after its own header."""
    if info.compress_size > MOST_MEMBER:
        raise ValueError(f"more than {MOST_MEMBER:,} bytes")
    opened.seek(info.header_offset)
    name, extra = struct.unpack("<HH", opened.read(30)[26:30])
    opened.seek(name + extra, 1)
    return opened.read(info.compress_size)
