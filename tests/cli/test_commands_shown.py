"""Every command in the README, the docs, the shipped configs and the notebooks is one that there is.

A block of YAML says in a comment which command reads it (`undertext JOB --config NAME`), and is read by it.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import undertext.core.command
from docs.make.__main__ import PAGES
from tests.cli.golden import GOLDEN, HELPS, SUBCOMMANDS
from tests.imports import ROOT
from undertext.__main__ import COMMANDS, main

FILES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "Makefile"]
FILES += [path for folder, ending in (("docs", "md"), ("configs", "yaml"), ("notebooks", "py"))
          for path in sorted((ROOT / folder).glob(f"*.{ending}"))]  # fmt: skip
LINE = re.compile(r"^(?:#?\s{4,}|\t\$\(BIN\)/)(undertext(?: .*)?)$", re.MULTILINE)
INLINE = re.compile(r"`(undertext [a-z][^`]*)`")
BASH = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
IN_BASH = re.compile(r"^(?:.* -- )?(?:\.venv/bin/)?(undertext .*)$", re.MULTILINE)
YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
IN_YAML = re.compile(r"^#.*?(undertext [a-z]+ .*--config .*)$", re.MULTILINE)
FLAGS = re.compile(r"`(--[a-z][^`]*)`")
GROUPS = tuple(SUBCOMMANDS)
OF_OTHERS = {
    "--control-vector": "llama.cpp",
    "--help": "every command has it, and its help does not say so",
    "--log_samples": "lm-evaluation-harness",
}
"""Flags that are no option of a command, and what has them."""


class Parsed(Exception):
    """Raised in place of the work, once the flags have been read."""


def text_of(file: Path) -> str:
    """What a file says; of a notebook the comments, which hold its prose, without their signs."""
    text = file.read_text()
    return re.sub(r"^# ?", "", text, flags=re.MULTILINE) if file.parent.name == "notebooks" else text


def shown() -> Iterator[tuple[str, str]]:
    """Every command line, with the file that shows it."""
    for file in FILES:
        text = text_of(file)
        lines = [*LINE.findall(text), *INLINE.findall(text)]
        for block in BASH.findall(text):
            lines += IN_BASH.findall(block.replace("\\\n", " "))
        for block in YAML.findall(text):
            lines += IN_YAML.findall(block)
        for line in lines:
            yield str(file.relative_to(ROOT)), " ".join(line.split("#")[0].split())


def configs_of(file: str) -> dict[str, str]:
    """By name, the blocks of YAML in a file that say by which command they are read."""
    found = {}
    for block in YAML.findall(text_of(ROOT / file)):
        for line in IN_YAML.findall(block):
            found[Path(shlex.split(line)[shlex.split(line).index("--config") + 1]).name] = block
    return found


def commands() -> list[tuple[str, str]]:
    """The lines that name one command, without those that list several (`undertext sae train|features`)."""
    return sorted({(file, line) for file, line in shown() if "|" not in line and "..." not in line})


@pytest.mark.parametrize(("file", "line"), commands())
def test_a_command_is_one_that_there_is_and_its_flags_are_read(file, line, monkeypatch, tmp_path):
    args = shlex.split(line)[1:]
    for name, block in configs_of(file).items():
        (tmp_path / name).write_text(block)
        args = [str(tmp_path / name) if Path(arg).name == name else arg for arg in args]
    if args[0].startswith("--"):  # undertext --version
        with pytest.raises(SystemExit) as ended:
            main(args)
        assert ended.value.code == 0, f"{file}: {line}"
        return
    assert args[0] in COMMANDS, f"{file}: {line}"
    if " ".join(args) in (*GROUPS, "task from"):
        return

    def parsed(*given, **options):
        read(*given, **options)
        raise Parsed

    read = undertext.core.command._parsed
    monkeypatch.setattr(undertext.core.command, "_parsed", parsed)
    monkeypatch.chdir(ROOT)
    with pytest.raises(Parsed):
        main(args)


@pytest.mark.parametrize("path", [path for path in FILES if YAML.search(text_of(path))], ids=lambda p: p.name)
def test_a_block_of_yaml_says_which_command_reads_it(path):
    if path.name == "tasks.md":
        return  # a task's settings: tests/docs/test_documented.py reads them
    blocks = [block for block in YAML.findall(text_of(path)) if "apiVersion:" not in block]
    assert blocks == list(configs_of(str(path.relative_to(ROOT))).values())


def test_flags_in_prose_are_those_of_a_command():
    known = {
        flag for file in GOLDEN.glob("*.txt") for flag in re.findall(r"--[a-z][a-z-]*", file.read_text())
    }
    named = {
        (str(file.relative_to(ROOT)), re.split(r"[ =]", flag)[0])
        for file in FILES
        if file.suffix in (".md", ".py")
        for flag in FLAGS.findall(text_of(file))
    }
    assert len(named) > 50
    assert {(file, flag) for file, flag in named if flag not in known | set(OF_OTHERS)} == set()


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
