"""Every command in the README, the docs, the shipped configs and the notebooks is one that there is."""

import re
import shlex
from collections.abc import Iterator

import pytest

import undertext.core.command
from docs.make.__main__ import PAGES
from tests.cli.golden import HELPS, SUBCOMMANDS
from tests.imports import ROOT
from undertext.__main__ import COMMANDS, main

FILES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "Makefile"]
FILES += [path for folder, ending in (("docs", "md"), ("configs", "yaml"), ("notebooks", "py"))
          for path in sorted((ROOT / folder).glob(f"*.{ending}"))]  # fmt: skip
LINE = re.compile(r"^(?:#?\s{4,}|\t\$\(BIN\)/)(undertext(?: .*)?)$", re.MULTILINE)
INLINE = re.compile(r"`(undertext [a-z][^`]*)`")
GROUPS = tuple(SUBCOMMANDS)


class Parsed(Exception):
    """Raised in place of the work, once the flags have been read."""


def shown() -> Iterator[tuple[str, str]]:
    """Every command line, with the file that shows it."""
    for file in FILES:
        text = file.read_text()
        for line in (*LINE.findall(text), *INLINE.findall(text)):
            yield str(file.relative_to(ROOT)), " ".join(line.split("#")[0].split())


def commands() -> list[tuple[str, str]]:
    """The lines that name one command, without those that list several (`undertext sae train|features`)."""
    return sorted({(file, line) for file, line in shown() if "|" not in line and "..." not in line})


@pytest.mark.parametrize(("file", "line"), commands())
def test_a_command_is_one_that_there_is_and_its_flags_are_read(file, line, monkeypatch):
    args = shlex.split(line)[1:]
    assert args[0] in COMMANDS, f"{file}: {line}"
    if len(args) == 1 and args[0] in GROUPS:
        return

    def parsed(*given, **options):
        read(*given, **options)
        raise Parsed

    read = undertext.core.command._parsed
    monkeypatch.setattr(undertext.core.command, "_parsed", parsed)
    monkeypatch.chdir(ROOT)
    with pytest.raises(Parsed):
        main(args)


def test_lists_of_commands_name_those_that_there_are():
    known = {command for command in HELPS if command} | {"task check"}
    for file, line in shown():
        if "|" in line:
            *group, names = line.split()[1:3] if line.split()[1] in GROUPS else line.split()[1:2]
            assert {" ".join([*group, name]) for name in names.split("|")} <= known, f"{file}: {line}"


def test_pages_that_say_what_wrote_them_name_a_page():
    for path in (ROOT / "docs").glob("*.md"):
        for page in re.findall(r"python -m docs\.make (\w+)", path.read_text()):
            assert page in PAGES, path


def test_the_cheap_commands_run(cli, tmp_path):
    assert cli("zoo", "list")[0] == 0
    few = ["--train", 20, "--dev", 5, "--test", 5, "--ood", 5]
    assert cli("task", "new", "chain", "--out", tmp_path / "task", "--seed", 1, *few)[0] == 0
    assert cli("task", "check", tmp_path / "task")[0] == 0
