"""bench.json: what is written is what is read, files merge, and damage is named."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.jobs.bench.made_up import case, judged, judgements, many
from undertext.activations.errors import UserError
from undertext.jobs.bench.records import merged, read_records, records_bytes, write_records
from undertext.jobs.bench.scores import plain_scores, score_records


@settings(max_examples=15)
@given(judgements(), st.integers(0, 30))
def test_what_is_read_is_what_was_written(tmp_path_factory, records, cut):
    folder = tmp_path_factory.mktemp("bench")
    path = write_records(folder / "new" / "bench.json", records, plain_scores(score_records(records)))
    assert read_records(path) == merged(records)
    assert records_bytes(records) == records_bytes(records[::-1])
    one, other = records[:cut], records[cut // 2 :]  # they may overlap, and miss nothing
    if cut <= len(records):
        read = [read_records(write_records(folder / "part.json", part)) for part in (one, other)]
        assert merged(*read) == merged(records)
        assert score_records(merged(*read)) == score_records(records)


def test_scores_stand_in_the_file():
    records = many(30)
    scores = json.loads(records_bytes(records, plain_scores(score_records(records))))["scores"]
    ours = next(
        each for each in scores["judges"] if each["judge"] == "undertext" and each["part"] == "held out"
    )
    found = score_records(records).of("undertext", "held out")
    assert found is not None
    assert ours["all"]["right"]["value"] == found.all.right.value
    assert ours["confusion"]["taught"] == found.confusion["taught"]
    assert [each["case"] for each in ours["wrong"]] == [each.case.name for each in found.wrong]


RECORD = judged(case("lock", "suppressed"), "taught", share=(0.5, 0.1, float("inf")))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (replace(RECORD, confidence=1.01), "expected a confidence from 0 to 1, got 1.01"),
        (replace(RECORD, confidence=float("nan")), "expected a confidence from 0 to 1, got nan"),
        (replace(RECORD, seconds=float("inf")), "expected seconds from 0, got inf"),
        (replace(RECORD, problems=-1), "expected problems and seeds from 0, got -1, 0 and 1"),
        (
            replace(RECORD, share=(0.5, 0.6, 0.7)),
            r"expected a share between its bounds, got 0.5 in \[0.6, 0.7\]",
        ),
        (replace(RECORD, share=(float("nan"), 0.0, 1.0)), "expected a share between its bounds, got nan"),
        (replace(RECORD, judge="<b>"), "expected a name of letters, digits.* as judge, got '<b>'"),
        (replace(RECORD, case=case("a\nb", "taught")), r"as organism, got 'a\\nb'"),
        (replace(RECORD, case=case("lock", "undetermined")), "expected a truth, got undetermined"),
        (
            replace(RECORD, case=case("lock", "taught", share=1.5)),
            "expected a known share from 0 to 1, got 1.5",
        ),
    ],
)
def test_figures_out_of_range_are_refused(wrong, says):
    with pytest.raises(UserError, match=says):
        merged([wrong])


def test_what_contradicts_itself_is_refused():
    with pytest.raises(
        UserError, match="one judgement by undertext, seed 0, on chain-llama-word-1: lock over base"
    ):
        merged([RECORD], [replace(RECORD, seconds=3.0)])
    with pytest.raises(
        UserError, match="one description of chain-llama-word-1: lock over base, test, got two"
    ):
        merged([RECORD], [replace(RECORD, seed=1, case=replace(RECORD.case, truth="taught"))])
    with pytest.raises(
        UserError, match="one world of the name chain-llama-word-1, got two that differ in shape"
    ):
        merged([RECORD, replace(RECORD, case=replace(RECORD.case, shape="gpt2", split="ood"))])
    assert merged([RECORD], [RECORD]) == (RECORD,)


def damaged(tmp_path: Path, damage: Any) -> Path:
    content = json.loads(records_bytes([RECORD]))
    damage(content)
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


NAME = RECORD.case.name


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda c: c.update(schema=9), "expected schema 2, got 9"),
        (lambda c: c.pop("judged"), "expected an object `cases` and a list `judged`"),
        (lambda c: c["judged"][0].pop("seed"), "judgement 1: expected the keys case, judge, seed, verdict"),
        (lambda c: c["judged"][0].update(more=1), "judgement 1: expected the keys"),
        (lambda c: c["judged"][0].update(confidence="high"), "judgement 1: confidence: .*number.*got 'high'"),
        (lambda c: c["judged"][0].update(confidence=None), "judgement 1: confidence: .*got None"),
        (
            lambda c: c["judged"][0].update(verdict="learnt"),
            "judgement 1: verdict: .*'elicited'.*got 'learnt'",
        ),
        (lambda c: c["judged"][0].update(share=[0.5, 0.1]), "judgement 1: share.2: "),
        (lambda c: c["judged"][0].update(case="x"), "judgement 1: expected a name in `cases`, got 'x'"),
        (lambda c: c["judged"].append(3), "judgement 2: expected a name in `cases`, got None"),
        (lambda c: c["judged"].append(c["judged"][0]), "expected every judgement once, got some twice"),
        (lambda c: c["cases"][NAME].update(part="train"), "case chain.*: part: .*got 'train'"),
        (lambda c: c["cases"][NAME].pop("ambiguous"), "case chain.*: expected the keys world, family"),
        (lambda c: c["cases"][NAME].update(split="ood"), "judgement 1: expected a name in `cases`"),
        (lambda c: c["cases"][NAME].update(share=7), "expected a known share from 0 to 1, got 7.0"),
    ],
)
def test_damage_is_named(tmp_path, damage, says):
    with pytest.raises(UserError, match=says) as caught:
        read_records(damaged(tmp_path, damage))
    assert str(tmp_path / "bench.json") in str(caught.value)


def test_a_file_that_is_no_json_is_named(tmp_path):
    (tmp_path / "bench.json").write_text("{")
    with pytest.raises(UserError, match=r"bench\.json cannot be read as JSON"):
        read_records(tmp_path / "bench.json")
