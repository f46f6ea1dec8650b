"""Configs from YAML: what is wrong is one line that names the file, the key and what is valid."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from undertext.activations.errors import UserError
from undertext.core.config import problems_of, read_config
from undertext.core.shipped import config_file
from undertext.jobs.compare.command import CompareCommand
from undertext.jobs.compare.config import CompareConfig, Rule, verdict_rule


@pytest.fixture
def written(tmp_path: Path):
    def write(text: str) -> Path:
        (tmp_path / "mine.yaml").write_text(text)
        return tmp_path / "mine.yaml"

    return write


def error_of(path: Path, kind: type = CompareConfig, **overrides: object) -> str:
    with pytest.raises(UserError) as caught:
        read_config(kind, path, overrides)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_the_thresholds_are_those_of_the_file():
    rule = verdict_rule()
    assert rule.model_dump() == yaml.safe_load(config_file("verdict.yaml").read_text())
    assert rule.absent_below < rule.latent_above


def test_a_threshold_left_out_is_named(written):
    values = yaml.safe_load(config_file("verdict.yaml").read_text())
    del values["alpha"], values["min_gap"]
    message = error_of(written(yaml.safe_dump(values)), Rule)
    assert message.endswith("missing key 'alpha'; missing key 'min_gap'")


def test_the_shipped_job_holds_every_key_at_its_default():
    job = read_config(CompareCommand, config_file("compare_chain.yaml"))
    keys = yaml.safe_load(config_file("compare_chain.yaml").read_text())
    assert set(CompareConfig.model_fields) <= set(keys)
    theirs, ours = job.model_dump(mode="json"), CompareConfig().model_dump(mode="json")
    for name in set(ours) - {"splits", "threads"}:
        assert theirs[name] == ours[name], name


def test_values_come_from_the_file_and_what_is_given_beside_it_wins(written):
    path = written("seed: 3\nsplits: [ood]\ndoses: [1, 2.5]\n")
    config = read_config(CompareConfig, path, {"seed": 5})
    assert (config.seed, list(config.splits or []), list(config.doses)) == (5, ["ood"], [1.0, 2.5])
    assert config.samples == CompareConfig().samples


def test_an_unknown_key_lists_the_valid_ones(written):
    message = error_of(written("seeds: 3\nsamples: 2\n"))
    assert "unknown key 'seeds'" in message
    assert all(name in message for name in CompareConfig.model_fields)


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("seed: many", ["seed", "integer", "'many'"]),
        ("seed: -1", ["seed", "greater than or equal to 0", "-1"]),
        ("splits: test", ["splits", "'test'"]),
        ("doses: [1.0, 0]", ["doses.1", "greater than 0"]),
        ("doses: []", ["doses", "at least 1"]),
        ("positions: []", ["positions", "at least 1"]),
        (
            "positions: [last]",
            ["positions.0: expected last_prompt, prompt, generated, all, or a map", "'last'"],
        ),
        ("temperature: -1", ["temperature", "greater than 0"]),
        ("temperature: 0", ["temperature", "greater than 0"]),
        ("temperature: .nan", [":1", "'.nan', which is no finite number"]),
    ],
)
def test_a_value_that_will_not_do_is_shown_beside_what_will(written, line, parts):
    message = error_of(written(line))
    assert all(part in message for part in parts), message


def test_all_mistakes_are_told_at_once(written):
    message = error_of(written("seed: x\nlayer: 3\nsamples: 0\n"))
    assert all(part in message for part in ("seed", "unknown key 'layer'", "samples"))


@pytest.mark.parametrize("text", ["", "- seed\n- 3\n", "just words\n"])
def test_a_file_without_keys_is_refused(written, text):
    assert "expected keys and values" in error_of(written(text))


def test_text_that_is_not_yaml_is_refused(written):
    assert "is not YAML" in error_of(written("seed: [1\nsplits: {"))


def test_a_missing_file_a_folder_and_bytes_are_refused(tmp_path):
    assert "cannot read the config" in error_of(tmp_path / "nowhere.yaml")
    assert "cannot read the config" in error_of(tmp_path)
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    assert "byte 0xff, which is not UTF-8" in error_of(tmp_path / "bytes.yaml")


def test_configs_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        CompareConfig().seed = 3  # type: ignore[misc]  # that it may not be set is what is tested


def test_mistakes_made_in_python_read_the_same():
    with pytest.raises(ValidationError) as caught:
        CompareConfig(seeds=3)  # type: ignore[call-arg]  # as above
    assert problems_of(caught.value, CompareConfig).startswith("unknown key 'seeds' (valid: seed, device")


def test_a_config_that_is_not_installed_says_where_it_was_sought():
    with pytest.raises(FileNotFoundError, match=r"configs/nothing\.yaml is missing from the installation"):
        config_file("nothing.yaml")
