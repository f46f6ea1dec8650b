"""The one reader of YAML: plain values, nested a little, with no part that stands for more than it says.

Aliases and merges let a few bytes stand for gigabytes, and tags ask for types that nothing here has. So a
file has keys, lists, texts, numbers, true, false and null, and is read in a time that its size bounds.
"""

import math
import os
import re
import stat
from pathlib import Path
from typing import Any, NamedTuple, cast

import yaml

from undertext.core.printable import printable, shown


def read_regular(path: str | Path, most: int) -> bytes:
    """The bytes of the file `path`, at most `most`.

    Raises OSError where it cannot be read, and ValueError ("expected ..., got ...") where it is no regular
    file (a pipe waits for ever, a device never ends) or a larger one. A link to a regular file is one.
    """
    # Not blocking: to open a pipe that nobody writes to would wait for somebody.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise ValueError("expected a regular file, got a pipe or a device")
        with open(descriptor, "rb", closefd=False) as file:  # a folder raises here
            data = file.read(most + 1)
    finally:
        os.close(descriptor)
    if len(data) > most:
        raise ValueError(f"expected a file of at most {most:,} bytes, got a larger one")
    return data


def reason(error: OSError | ValueError) -> str:
    """Why `read_regular` failed, in words: the system's own, without its number and the path once more."""
    return getattr(error, "strerror", None) or printable(str(error), 300)


MOST_BYTES = 256 * 1024
MOST_NODES = 20_000
"""Most keys and values of a file: PyYAML takes a second for so many."""
DEEPEST = 20
LONGEST_NUMBER = 40
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9_]*|[0-9][0-9_]*\.[0-9_]*|\.[0-9_]+)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|nan)", re.IGNORECASE)

Place = tuple[Any, ...]
_TAG = "tag:yaml.org,2002:"
_SCALARS = tuple(_TAG + name for name in ("null", "bool", "int", "float", "str"))


class YamlError(ValueError):
    """What is wrong with a text as YAML, in one line, and on which line (from 1) where that is known."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class Parsed(NamedTuple):
    """What a text of YAML holds."""

    values: Any
    lines: dict[Place, int]
    """Line (from 1) of each key and each item of a list, by its path."""
    repeated: list[tuple[Place, int]]
    """Keys that were there before, with the line of each that came later; the last one's value holds."""


class _Loader(yaml.SafeLoader):
    """Composes nodes within bounds; dates and `=` are text."""

    nodes = 0
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML's stubs leave it out
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise YamlError("no aliases (& and *) can be used here", line)
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise YamlError(f"more than {MOST_NODES:,} keys and values", line)
        if self.depth >= DEEPEST:
            raise YamlError(f"nested more than {DEEPEST} deep", line)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in (*_SCALARS, _TAG + "merge")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml(data: bytes | str) -> Parsed:
    """Read YAML. Raises YamlError for anything that is not plain YAML within the bounds above."""
    if len(data) > MOST_BYTES:
        raise YamlError(f"more than {MOST_BYTES:,} bytes")
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        loader = _Loader(text)
        found = Parsed(None, {}, [])
        node = loader.get_single_node()
        return found if node is None else found._replace(values=_built(loader, node, (), found))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise YamlError(f"byte 0x{error.object[error.start]:02x}, which is not UTF-8", line) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        why = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise YamlError(printable(why, 200), mark.line + 1 if mark else None) from None


def _built(loader: _Loader, node: yaml.Node, place: Place, found: Parsed) -> Any:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        return _scalar(loader, node, line)
    wanted = _TAG + ("map" if isinstance(node, yaml.MappingNode) else "seq")
    if node.tag != wanted:
        raise YamlError(f"a tag that plain YAML does not have here: {shown(str(node.tag))}", line)
    if isinstance(node, yaml.SequenceNode):
        items = []
        for i, item in enumerate(node.value):
            found.lines[*place, i] = item.start_mark.line + 1
            items.append(_built(loader, item, (*place, i), found))
        return items
    values = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise YamlError("a key that is a list or a mapping", line)
        key = _scalar(loader, key_node, line)
        # 1, 1.0 and true are one key in Python.
        if key in values:
            found.repeated.append(((*place, key), line))
        found.lines.setdefault((*place, key), line)
        values[key] = _built(loader, value_node, (*place, key), found)
    return values


def _scalar(loader: _Loader, node: yaml.ScalarNode, line: int) -> Any:
    text, tag = node.value, str(node.tag)
    if tag == _TAG + "str":
        return text
    if tag == _TAG + "merge":
        raise YamlError("no merges (<<) can be used here", line)
    kind = tag.removeprefix(_TAG)
    if tag not in _SCALARS:
        raise YamlError(f"a tag that plain YAML does not have: {shown(tag)}", line)
    # A tag that is written out is taken at its word by PyYAML, whatever the text.
    if loader.resolve(yaml.ScalarNode, text, (True, False)) != tag:  # type: ignore[no-untyped-call]
        raise YamlError(f"{shown(text)}, which is no {kind}", line)
    if kind in ("int", "float") and len(text) > LONGEST_NUMBER:
        raise YamlError(f"a number of more than {LONGEST_NUMBER} characters", line)
    if kind in ("int", "float") and not _DECIMAL.fullmatch(text) and not _NO_NUMBER.fullmatch(text):
        # PyYAML reads 017 as 15 and 1:30:00 as 5400, YAML 1.2 does not; whoever wrote them may mean either.
        raise YamlError(f"{shown(text)}, which is a number in no decimal form", line)
    try:
        value = loader.construct_object(node)
    except (ValueError, OverflowError):
        raise YamlError(f"{shown(text)}, which is no {kind}", line) from None
    if isinstance(value, float) and not math.isfinite(value):
        raise YamlError(f"{shown(text)}, which is no finite number", line)
    return cast(Any, value)
