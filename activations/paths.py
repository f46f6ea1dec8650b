"""Telling a folder on this machine from a hub id and its revision, and naming what was probably meant."""

import glob
import os
import re
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import HfApi, constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError

from undertext.activations.errors import UserError, shown
from undertext.activations.files import is_file, is_folder, one_line
from undertext.activations.quiet import quiet

_HUB_ID = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?", re.ASCII)
_REVISION = re.compile(r"[\w.][\w./+-]{0,199}", re.ASCII)
_TIMEOUT = 5.0
"""Seconds that the hub has to answer the first question."""


class Named(NamedTuple):
    """A source, and the revision that its text names (`owner/name@revision`); None where it names none."""

    source: str | Path
    revision: str | None = None


def named(source: str | Path, revision: str | None = None) -> Named:
    """The hub id and the revision of a text `id@revision`; a path, or a text without `@`, as it is.

    `revision` is what was asked for beside the text. UserError for two revisions, one that cannot be, and one
    of a folder that is here.
    """
    text, path = str(source), Path(source)
    name, at, own = text.partition("@")
    if not at or not is_hub_id(name) or is_folder(path) or is_file(path):
        return Named(source, revision)
    if is_folder(Path(name)):
        raise UserError(f"{shown(name)} is a folder here, and a folder has no revision {shown(own)}")
    if isinstance(source, Path) or (len(path.parts) == 2 and is_folder(path.parent)):
        return Named(source, revision)
    if not _REVISION.fullmatch(own):
        raise UserError(f"expected a branch, tag or commit after {shown(name)}@, got {shown(repr(own))}")
    if revision not in (None, own):
        raise UserError(f"{shown(text)} is of the revision {shown(own)}, and {shown(revision)} is asked for")
    return Named(name, own)


def is_pattern(text: str) -> bool:
    """Whether a text stands for all sources that match: it has `*`, `?` or `[` in it, and is no folder."""
    return glob.has_magic(text) and not is_folder(Path(text).expanduser())


def expanded(pattern: str) -> list[str]:
    """The sources that a text means: itself, or those that a pattern matches, by the numbers in their names:
    folders here, or branches and tags on the hub (`id@step*`).

    UserError for a pattern that nothing matches, and where the hub does not say what it has.
    """
    if not is_pattern(pattern):
        return [pattern]
    here = glob.glob(str(Path(pattern).expanduser()))
    found = [path for path in here if is_folder(Path(path))]
    name, at, wanted = pattern.partition("@")
    of_hub = bool(at) and is_hub_id(name) and not ("/" in name and is_folder(Path(name).parent))
    if of_hub and not here:
        try:
            with quiet():
                refs = HfApi().list_repo_refs(name)
        except Exception as error:  # of the network, of many types
            raise UserError(
                f"no folder matches {shown(pattern)}, and the hub lists no revisions of {shown(name)}: "
                f"{one_line(error)}"
            ) from error
        here = sorted({ref.name for ref in [*refs.branches, *refs.tags]})
        found = [f"{name}@{ref}" for ref in here if fnmatchcase(ref, wanted)]
    if not found:
        what = f"revision of {shown(name)} on the hub" if of_hub else "folder"
        listed = f"; there are {shown(', '.join(here), 300)}" if here else ""
        raise UserError(f"no {what} matches {shown(pattern)}{listed}")
    return sorted(found, key=_by_number)


def _by_number(text: str) -> list[tuple[int, str]]:
    """Key that sorts `checkpoint-200` before `checkpoint-1000`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", text)]


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
    if written_as_path or (close and not _cached(text, None)):
        meant = f"; close to it are {', '.join(shown(name, 100) for name in close)}" if close else ""
        raise UserError(f"there is no checkpoint folder {shown(path)}{meant}")
    return None


def hub_answers(name: str, revision: str | None = None) -> bool:
    """Whether the hub can be asked for this id; where it does not answer, the cache alone may be read.

    One question is asked, and once: left to themselves, libraries repeat theirs for a minute. Raises
    UserError where the hub has nothing for us under the id, or does not answer, and the cache has nothing.
    """
    if constants.HF_HUB_OFFLINE and _cached(name, revision):
        return False
    try:
        with quiet():
            get_hf_file_metadata(hf_hub_url(name, "config.json", revision=revision), timeout=_TIMEOUT)
    except EntryNotFoundError:  # there is such a repository: an adapter has another config
        return True
    except Exception as error:  # of the network, of many types
        if _cached(name, revision):
            return False
        at = "" if revision is None else f"at revision {shown(revision)} "
        raise UserError(
            f"there is no folder {shown(name)} here, and {at}it could not be had from the Hugging Face hub: "
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


def _cached(name: str, revision: str | None) -> bool:
    """Whether the hub's cache on this machine holds this id at this revision (None: `main`)."""
    files = ("config.json", "adapter_config.json")
    return any(isinstance(try_to_load_from_cache(name, file, revision=revision), str) for file in files)


def cached_weights(name: str, revision: str | None) -> Path | None:
    """The folder of the hub's cache in which weights of this id are at this revision; None where none is."""
    for file in ("model.safetensors", "model.safetensors.index.json"):
        found = try_to_load_from_cache(name, file, revision=revision)
        if isinstance(found, str):
            return Path(found).parent
    return None
