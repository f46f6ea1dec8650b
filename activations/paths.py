"""Telling a folder on this machine from a hub id, and naming what was probably meant."""

import os
import re
from difflib import get_close_matches
from pathlib import Path

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError

from undertext.activations.errors import UserError, shown
from undertext.activations.files import is_file, is_folder, one_line
from undertext.activations.quiet import quiet

_HUB_ID = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?", re.ASCII)
_TIMEOUT = 5.0
"""Seconds that the hub has to answer the first question."""


def is_hub_id(text: str) -> bool:
    """Whether `text` has the form of a hub id: `name` or `owner/name`."""
    return _HUB_ID.fullmatch(text) is not None and not text.startswith((".", "-"))


def local_folder(source: str | Path) -> Path | None:
    """The folder a source names, or None when it can only be a hub id (`name` or `owner/name`).

    UserError when it is a file, or when nothing is there and it is written as a path, lies in a folder that
    exists, or is spelt nearly as a checkpoint's folder is: asking the hub for it would take a minute.
    """
    text = str(source)
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:  # ~name of someone who is not known here
        raise UserError(f"there is no checkpoint folder {shown(text)}: {shown(error)}") from error
    if is_folder(path):
        return path
    if is_file(path):
        raise UserError(f"{shown(path)} is a file: a checkpoint is a folder, or a hub id such as owner/name")
    written_as_path = (
        isinstance(source, Path)
        or text.startswith((os.sep, ".", "~"))
        or not is_hub_id(text)
        or (len(path.parts) == 2 and is_folder(path.parent))
    )
    close = _close(path)
    if written_as_path or (close and not _cached(text)):
        meant = f"; close to it are {', '.join(shown(name, 100) for name in close)}" if close else ""
        raise UserError(f"there is no checkpoint folder {shown(path)}{meant}")
    return None


def hub_answers(name: str, revision: str | None = None) -> bool:
    """Whether the hub can be asked for this id; where it does not answer, the cache alone may be read.

    One question is asked, and once: left to themselves, libraries repeat theirs for a minute. Raises
    UserError where the hub has nothing for us under the id, or does not answer, and the cache has nothing.
    """
    if constants.HF_HUB_OFFLINE and _cached(name):
        return False
    try:
        with quiet():
            get_hf_file_metadata(hf_hub_url(name, "config.json", revision=revision), timeout=_TIMEOUT)
    except EntryNotFoundError:  # there is such a repository: an adapter has another config
        return True
    except Exception as error:  # of the network, of many types
        if _cached(name):
            return False
        raise UserError(
            f"there is no folder {shown(name)} here, and it could not be had from the Hugging Face hub: "
            f"{one_line(error)}"
        ) from error
    return True


def _close(path: Path) -> list[str]:
    """Checkpoint folders that differ a little from `path`, in the first of its parts that is lacking."""
    there, rest = path, []
    while there != there.parent and not is_folder(there.parent):
        rest.append(there.name)
        there = there.parent
    try:
        names = [each.name for each in there.parent.iterdir() if each.is_dir()]
    except OSError:
        return []
    after = Path(*reversed(rest)) if rest else Path()
    found = [there.parent / name / after for name in get_close_matches(there.name[:256], names, 3, 0.75)]
    return [
        str(each) for each in found if is_file(each / "config.json") or is_file(each / "adapter_config.json")
    ]


def _cached(name: str) -> bool:
    """Whether the hub's cache on this machine holds this id."""
    return any(
        isinstance(try_to_load_from_cache(name, file), str) for file in ("config.json", "adapter_config.json")
    )
