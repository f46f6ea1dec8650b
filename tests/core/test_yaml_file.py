"""YAML is read within bounds, and what is not plain is one line that says so."""

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from undertext.activations.errors import UserError
from undertext.core.config import RunConfig, read_config
from undertext.core.yaml_file import YamlError, parse_yaml, read_regular

WIDE = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (WIDE, 1),
        ("a: 1\nb:\n  <<: {a: 1}", 3),
        ("a: 0x" + "f" * 10_000, 1),
        ("a: " + "9" * 5000, 1),
        ("a: 1" + ":59" * 50, 1),
        ("a: !!bool maybe", 1),
        ("a: !!timestamp soon", 1),
        ("a: !!int 1.5", 1),
        ("a: !!binary aGk=", 1),
        ("a: !!set {b, c}", 1),
        ("a: !!python/name:os.system x", 1),
        ("a: !\x7f x", None),
        ("a: .inf", 1),
        ("a: .nan", 1),
        ("a: 017", 1),
        ("a: 0x1F", 1),
        ("a: 0b11", 1),
        ("a: 1:30:00", 1),
        ("a: 1:30.5", 1),
        ("? [a]\n: b", 1),
        ("a: " + "[" * 5000, 1),
        ("- " * 5000 + "a", 1),
        ("\n".join(f"k{i}: 1" for i in range(20_000)), 10_000),
        ("x" * 300_000, None),
        ("a: [\x00]", None),
    ],
)
def test_what_is_not_plain_is_one_short_line(text: str, line: int | None) -> None:
    with pytest.raises(YamlError) as caught:
        parse_yaml(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300
    assert line is None or caught.value.line == line


def test_lines_and_repeated_keys_are_told() -> None:
    parsed = parse_yaml("a: 1\nb:\n- c: 2\na: 3")
    assert parsed.values == {"a": 3, "b": [{"c": 2}]}
    assert parsed.lines == {("a",): 1, ("b",): 2, ("b", 0): 3, ("b", 0, "c"): 3}
    assert parsed.repeated == [(("a",), 4)]


def test_dates_are_text() -> None:
    assert parse_yaml("a: 2020-99-01\nb: 2024-01-01").values == {"a": "2020-99-01", "b": "2024-01-01"}


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN)
def test_what_is_plain_is_read_as_written(values: object) -> None:
    written = yaml.safe_dump(values)
    assert parse_yaml(written).values == yaml.safe_load(written)


@given(st.text(st.sampled_from("a1:-&*!<>[]{}?#|'\"%@ \n\t0x.e\x1b\u202e"), max_size=40))
def test_anything_is_read_or_refused(text: str) -> None:
    said = ""
    try:
        parse_yaml(text)
    except YamlError as error:
        said = str(error)
    assert said.isprintable()


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ValueError, match="expected a regular file"):
            read_regular(path, 10)
    (tmp_path / "file").write_bytes(b"12345")
    assert read_regular(tmp_path / "file", 5) == b"12345"
    with pytest.raises(ValueError, match="at most 4 bytes"):
        read_regular(tmp_path / "file", 4)


@pytest.mark.parametrize(
    "seed", ["-1", str(2**32), str(2**63), "0x" + "f" * 30, "9" * 5000, "1.5", "[1]", "{a: 1}", "x"]
)
def test_a_seed_out_of_bounds_is_one_line(tmp_path: Path, seed: str) -> None:
    (tmp_path / "c.yaml").write_text(f"seed: {seed}")
    with pytest.raises(UserError) as caught:
        read_config(RunConfig, tmp_path / "c.yaml")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_configs_are_regular_files_with_each_key_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a regular file"):
        read_config(RunConfig, "/dev/zero")
    (tmp_path / "c.yaml").write_text("seed: 1\nseed: 2")
    with pytest.raises(UserError, match=r"c\.yaml:2: expected each key once, got 'seed' again"):
        read_config(RunConfig, tmp_path / "c.yaml")
