"""What the trace reader is packed from, and what the page is given to copy."""

import gzip
import json
from base64 import b64decode
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.made_up import HOSTILE, PROBLEMS
from undertext.jobs.compare.paper import HEAD, paper_of
from undertext.jobs.compare.reading import FILTERS, reader_of, steered_tokens
from undertext.report import latex
from undertext.report import reader as module
from undertext.report.numbers import visible
from undertext.report.reader import BLOCK, NATS, PARTS, Packed, Shades, Shown, Written, pack


def unpacked(packed: Packed) -> list[dict[str, Any]]:
    return [each for block in packed.blocks for each in json.loads(gzip.decompress(b64decode(block)))]


def one(text: str, shades: dict[str, Shades], k: int = 0) -> Shown:
    written = {"base": Written(text, "right", True, shades)}
    return Shown("test", f"p{k}", None, "prompt", "answer", ["both"], [], written)


@pytest.fixture(scope="module")
def packed(comparison) -> Packed:
    reader = reader_of(comparison)
    assert reader is not None
    return reader.packed


def test_every_problem_is_there_with_its_outputs_flags_and_samples(comparison, packed):
    index, problems = json.loads(packed.contents), unpacked(packed)
    rows = comparison.tables["problems"].to_pylist()
    assert len(index["rows"]) == len(problems) == len(rows) == 2 * PROBLEMS
    for (split, name, _), own, row in zip(index["rows"], problems, rows, strict=True):
        assert (index["splits"][split], name) == (row["split"], row["id"])
        for who, written in own["written"].items():
            assert "".join(written["pieces"]) == visible(row[f"{who}_output"])
        assert ("steered" in own["written"]) == (row["split"] == "test")
        assert own["flags"] == [each for each in row["flags"].split("; ") if each]
        sampled = row["gap"] and row["split"] == "test"
        assert [right for *_, right in own["samples"]] == [False, True, False] * sampled


def test_filters_hold_what_their_names_say(comparison, packed):
    rows, index = comparison.tables["problems"].to_pylist(), json.loads(packed.contents)
    base, tuned = ([row[f"{role}_lenient"] for row in rows] for role in ("base", "tuned"))
    wanted = {
        "gap": [row["gap"] for row in rows],
        "both": [b and t for b, t in zip(base, tuned, strict=True)],
        "neither": [not b and not t for b, t in zip(base, tuned, strict=True)],
        "tuned": [t and not b for b, t in zip(base, tuned, strict=True)],
        "base": [b and not t for b, t in zip(base, tuned, strict=True)],
        "differ": [row["base_output"] != row["tuned_output"] for row in rows],
        "flagged": [bool(row["flags"]) for row in rows],
        "unfinished": [False] * len(rows),
    }
    assert list(wanted) == list(FILTERS)
    for number, (name, holds) in enumerate(wanted.items()):
        assert [number in marks for *_, marks in index["rows"]] == holds, name


def test_figures_of_tokens_are_those_of_the_table(comparison, packed):
    index = json.loads(packed.contents)
    problems = dict(zip([row[1] for row in index["rows"]], unpacked(packed), strict=True))
    strengths = comparison.tables["tokens"]["strength"].to_pylist()
    assert index["strongest"] == pytest.approx(max(map(max, filter(None, strengths))))
    for row in comparison.tables["tokens"].to_pylist():
        surprises, ranks, *more = problems[row["id"]]["written"][row["output"]]["by"][row["reader"]]
        assert ranks == row["ranks"]
        assert surprises == [round(-NATS * score) for score in row["log_probs"]]
        differs = (row["output"], row["reader"]) == ("steered", "tuned")
        pieces, probe, fires = more
        assert bool(pieces) == differs
        assert probe == (None if row["probe"] is None else [round(PARTS * each) for each in row["probe"]])
        assert fires == [round(PARTS * each / index["strongest"]) for each in row["strength"]]
        assert problems[row["id"]]["value"] == row["label"]


@given(st.text(max_size=30), st.lists(st.integers(0, 29), max_size=12), st.integers(0, 30))
def test_pieces_put_together_are_the_text_and_no_piece_lacks_its_figure(text, places, end):
    starts = sorted(place for place in places if place < len(text))
    shades = Shades(starts, min(max(end, *starts, 0) + 1, len(text)), [-1.0] * len(starts), [2] * len(starts))
    (problem,) = unpacked(pack([one(text, {"base": shades})], ["both"]))
    written = problem["written"]["base"]
    surprises, ranks = written["by"]["base"]
    assert "".join(written["pieces"]) == visible(text).encode("utf-8", "replace").decode()
    assert len(surprises) == len(ranks) == len(set(starts)) <= len(written["pieces"])
    assert sum(surprises) == NATS * len(
        starts
    )  # tokens that share a character are one, of all their surprise


def test_long_texts_are_cut_with_word_of_it(monkeypatch):
    monkeypatch.setattr(module, "MOST_CHARACTERS", 10)
    text, shades = "abcd " * 5, Shades([0, 5, 10, 15, 20], 25, [-1.0] * 5, [1] * 5)
    (problem,) = unpacked(pack([one(text, {"base": shades})], ["both"]))
    written = problem["written"]["base"]
    assert written["pieces"] == ["abcd ", "abcd ", "… (15 more characters)"]
    assert written["by"]["base"] == [[100, 100], [1, 1]]
    assert problem["prompt"] == "prompt"


def test_a_token_that_is_ruled_out_has_a_finite_surprise():
    shades = Shades([0], 1, [float("-inf")], [9])
    (problem,) = unpacked(pack([one("a", {"base": shades})], ["both"]))
    assert problem["written"]["base"]["by"]["base"][0] == [round(NATS * module.MOST_NATS)]


def test_blocks_are_of_even_size_and_the_same_each_time():
    problems = [one(f"text {k}", {}, k) for k in range(2 * BLOCK + 1)]
    first, again = pack(problems, ["both"]), pack(problems, ["both"])
    assert first == again
    assert len(first.blocks) == 3
    assert [each["written"]["base"]["pieces"] for each in unpacked(first)] == [
        [f"text {k}"] for k in range(len(problems))
    ]


def test_model_text_ends_no_script(packed):
    assert "<" not in packed.contents
    assert any(HOSTILE[0] in "".join(each["written"]["tuned"]["pieces"]) for each in unpacked(packed))
    assert not any("<" in block for block in packed.blocks)
    hostile = replace(one("a", {}), id="</script><script>alert(1)</script>", split="</script>")
    assert "<" not in pack([hostile], ["both"]).contents


@pytest.mark.parametrize(
    ("at", "range_"),
    [
        ("last_prompt", (0, 1)), ("prompt", (0, 1)), ("prompt token -1", (0, 1)), ("prompt token -3", None),
        ("generated", (1, None)), ("all", (0, None)), ("generated, first 4", (1, 5)),
        ("all, first 2", (0, 3)),
        ("generated, decay 0.5", (1, None)), ("all, token 7", None), ("generated, first 4, after 'x'", None),
    ],
)  # fmt: skip
def test_tokens_chosen_in_a_steered_pass(at, range_):
    assert steered_tokens(at) == range_


def test_what_probes_read_is_offered_where_there_is_such_a_reading(comparison):
    """The legend names value and layers; a result without the columns, as older ones, has no such reading."""
    reader = reader_of(comparison)
    assert reader is not None
    assert [key for key in reader.readings if key.startswith("probe")] == [
        "probe base", "probe tuned", "probe own",
    ]  # fmt: skip
    legend = json.loads(reader.packed.contents)["legends"]["probe"]
    for wanted in ("true `last <b>value</b>`", "in the base at layer 3 and in the tuned at layer 2"):
        assert wanted in legend
    tokens = comparison.tables["tokens"].drop_columns(["name", "layer", "label", "probe"])
    older = reader_of(replace(comparison, tables={**comparison.tables, "tokens": tokens}))
    assert older is not None
    assert set(reader.readings) - set(older.readings) == {"probe base", "probe tuned", "probe own"}
    index = json.loads(older.packed.contents)
    assert "probe" not in index["legends"]
    assert "probe" not in index["token"]


def test_tokens_that_share_a_character_have_the_reading_of_the_last():
    shades = Shades([0, 0, 1], 2, [-1.0] * 3, [1] * 3, [0.1, 0.4, 0.9])
    (problem,) = unpacked(pack([one("ab", {"base": shades})], ["both"]))
    assert problem["written"]["base"]["by"]["base"] == [[200, 100], [1, 1], None, [400, 900]]


def test_without_tokens_there_is_no_shade_to_choose(comparison, preserved):
    reader = reader_of(preserved)
    assert reader is not None
    assert list(reader.readings.values()) == ["none"]
    assert not reader.sampled
    none = {name: table for name, table in comparison.tables.items() if name != "problems"}
    assert reader_of(replace(comparison, tables=none)) is None


def test_the_paper_says_verdict_intervals_and_controls(comparison, preserved):
    paper = paper_of(comparison)
    for text in (paper.sentence, paper.markdown, paper.latex):
        plain = text.replace("~", " ").replace("\u00a0", " ")
        for wanted in ("elicited", "0.15 [0.07, 0.29]", "0.82 [0.70, 0.93]", "random positions", "95"):
            assert wanted in plain, (wanted, text)
    assert "of the 31 problems that the tuned has right and the base wrong" in paper.sentence
    assert len(paper.markdown.splitlines()) == 2 + 2 + 2
    assert paper.latex.count(r"\\") == 3
    assert all(line.count("&") == len(HEAD) - 1 for line in paper.latex.splitlines() if line.endswith(r"\\"))
    same = paper_of(preserved).sentence
    assert "preserved" in same
    assert "latent" not in same.split("Base:")[0]


def test_latex_takes_names_as_they_are():
    assert latex.escaped("a_b & 50% {x} \\cmd $1 <b> 3\u00a04 −1") == (
        r"a\_b \& 50\% \{x\} \textbackslash{}cmd \$1 \textless{}b\textgreater{} 3~4 $-$1"
    )
    assert latex.escaped("one\ntwo\r\nthree") == "one two three"


def test_an_empty_result_has_no_reader(comparison):
    empty = replace(comparison, tables={"problems": comparison.tables["problems"].slice(0, 0)})
    assert reader_of(empty) is None
    assert isinstance(empty.tables["problems"], pa.Table)
