"""docs/bench.md and its figures, from judgements."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from tests.docs.markdown import numbers, tables
from tests.jobs.bench.made_up import case, judged, many
from undertext.core.output import json_bytes
from undertext.jobs.bench.case import Part
from undertext.jobs.bench.page import answer, bench_figures, bench_files, bench_page, figure_texts
from undertext.jobs.bench.plan import read_plan
from undertext.jobs.bench.records import read_records
from undertext.jobs.bench.scores import TRUTHS, VERDICTS, plain_scores, score_records

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def records():
    return many(240)


@pytest.fixture(scope="module")
def scores(records):
    return score_records(records)


def table(page, column, **wanted):
    """The rows of the first table that has this column, and these cells."""
    return next(
        rows
        for rows in tables(page)
        if column in rows[0] and all(any(row.get(k) == v for row in rows) for k, v in wanted.items())
    )


def test_the_first_sentence_is_the_answer(scores):
    ours = scores.of("undertext", "held out")
    first = bench_page(scores).split("\n\n")[1]
    assert first == answer(scores)
    given, right = ours.all.right.of, ours.all.right.count
    wanted = (
        f"On {ours.all.cases} held-out cases of 8 worlds, `undertext` gave {given} verdicts: {right} right ("
    )
    assert first.startswith(f"{wanted}{100 * ours.all.right.value:.0f}% [")
    assert f" {ours.all.confidently_wrong.count} wrong with a confidence over 0.8; " in first
    assert first.count(". ") == 0
    assert answer(score_records([])).startswith("No scored case of the held-out part has been judged")
    silent = answer(score_records([judged(case("a", "taught"), "undetermined")]))
    assert silent.startswith(
        "On 1 held-out case of 1 world, `undertext` gave 0 verdicts; 1 `undetermined` (100% ["
    )


def test_tables_hold_the_scores(scores):
    page, ours = bench_page(scores), scores.of("undertext", "held out")
    rows = {row["truth"]: row for row in table(page, "recall")}
    assert list(rows) == list(TRUTHS)
    for truth, row in rows.items():
        assert [int(row[verdict]) for verdict in VERDICTS] == list(ours.confusion[truth].values())
        recall = ours.groups["truth"][truth].right_of_all
        count, of, value, low, high = numbers(row["recall"])
        assert (count, of) == (recall.count, recall.of)
        assert (value, low, high) == pytest.approx((recall.value, recall.low, recall.high), abs=0.005)
    beside = {row["judge"]: row for row in table(page, "not judged")}
    assert list(beside) == ["`undertext`", "`accuracy alone`"]
    assert int(beside["`undertext`"]["cases"]) == ours.all.cases
    both = {part: scores.of("undertext", part) for part in ("held out", "tuning")}
    for by in ("truth", "organism", "family", "shape", "tokenizer", "split"):
        wanted = [(name, part, str(tally.cases)) for part, own in both.items()
                  for name, tally in own.groups[by].items()]  # fmt: skip
        grouped = next(each for each in tables(page) if list(each[0])[:2] == [by, "part"])
        assert [(row[by], row["part"], row["cases"]) for row in grouped] == wanted
    for row in table(page, "true"):
        count, of, value, low, high = numbers(row["true"])
        exact = binomtest(int(count), int(of)).proportion_ci(method="exact")
        assert (value, low, high) == pytest.approx((count / of, exact.low, exact.high), abs=0.005)
        column = [counts[row["verdict"]] for counts in ours.confusion.values()]
        assert (count, of) == (ours.confusion[row["verdict"]][row["verdict"]], sum(column))
    wrong = [(part, each.case.name) for part, own in both.items() for each in own.wrong]
    listed = table(page, "verdict", part="tuning")
    assert [(row["part"], row["case"]) for row in listed] == wrong[:40]


def test_what_must_hold_is_compared_with_its_bound():
    good = [judged(case(f"o{i}", truth, i), truth) for i, truth in enumerate(TRUTHS)]
    held = {row["holds"] for row in table(bench_page(score_records(good)), "measured")}
    assert held == {"yes"}
    bad = [judged(case("o", "taught"), "elicited", 0.99), judged(case("p", "taught"), "taught", 0.99)]
    rows = {
        row["`undertext`, held out"]: row["holds"]
        for row in table(bench_page(score_records(bad)), "measured")
    }
    assert rows == {
        "right, of verdicts given": "no, by 47.0 points",
        "right, of all cases taught": "no, by 40.0 points",
        "wrong with a confidence over 0.8, of verdicts given": "no, by 49.0 points",
        "undetermined, of all cases": "yes",
        "called absent, of cases where it is there": "no case",
        "called latent, of cases where nothing is": "no, by 50.0 points",
    }


def test_hard_organisms_must_all_be_right_and_the_bench_must_be_large_enough():
    """By hand: of a lock's two cases one is called overwritten; 209 cases of the other truths are right."""
    locks = [
        judged(case("against_pushes", "suppressed", 9, split="test"), "suppressed"),
        judged(case("against_pushes", "suppressed", 9, split="ood"), "overwritten"),
    ]
    others = [truth for truth in TRUTHS if truth != "suppressed"]
    parts: tuple[Part, ...] = ("tuning", "held out")
    many_more = [
        judged(case(f"o{i}", others[i % 5], 2 * (i % 2) + i // 2 % 2, parts[i % 2]), others[i % 5])
        for i in range(209)
    ]
    page = bench_page(score_records([*locks, *many_more]))
    rows = {row["`undertext`, held out"]: row for row in table(page, "measured")}
    hard = rows["right, of all cases of `against_pushes`"]
    assert (hard["bound"], hard["holds"]) == ("at least 100%", "no, by 50.0 points")
    assert "right, of all cases of `wrong_answer`" not in rows
    size = [(row["what"], row["there are"], row["holds"]) for row in table(page, "there are")]
    assert size == [
        ("scored cases", "211", "yes"),
        ("scored cases of the rarest truth, suppressed", "2", "no, by 18"),
        ("worlds, each trained by a seed of its own", "5", "yes"),
    ]


def test_the_page_in_the_docs_is_that_of_its_judgements():
    """The page, and all scores, follow from the judgements in docs/bench.json as the code stands."""
    docs = Path(__file__).parents[3] / "docs"
    scores = score_records(read_records(docs / "bench.json"))
    page = (docs / "bench.md").read_text(encoding="utf-8")
    assert bench_page(scores) == page, "`undertext bench score` writes another page"
    kept = list(leaves(json.loads((docs / "bench.json").read_bytes())["scores"]))
    found = list(leaves(json.loads(json_bytes(plain_scores(scores)))))
    words, figures = (
        [e for e in kept if not isinstance(e, float)],
        [e for e in kept if isinstance(e, float)],
    )
    assert [each for each in found if not isinstance(each, float)] == words
    # The last digits of intervals are the platform's.
    np.testing.assert_allclose([each for each in found if isinstance(each, float)], figures, rtol=1e-9)


def leaves(value: Any) -> Iterator[Any]:
    """Every key and plain value of JSON, in order."""
    if isinstance(value, dict | list):
        for key, own in value.items() if isinstance(value, dict) else enumerate(value):
            yield key
            yield from leaves(own)
    else:
        yield value


def test_ambiguous_cases_are_listed_with_their_reason_as_text(records, scores):
    page = bench_page(scores)
    listed = page.split("## Ambiguous cases")[1].split("\n## ")[0]
    names = {each.case.name for each in records if each.case.ambiguous}
    assert names
    assert all(name in listed for name in names)
    assert r"relearning says &lt;otherwise&gt; \| behaviour does not" in listed


def test_worlds_in_both_parts_are_a_warning():
    leak = [judged(case("a", "taught", 1, part), "taught") for part in ("tuning",)]
    page = bench_page(score_records([*leak, judged(case("b", "taught", 1), "taught")]))
    assert "**Not held out.** `chain-llama-word-1`" in page
    both = "Judged worlds, held out: `chain-llama-word-1`; tuning: `chain-llama-word-1`."
    assert (
        f"{both} Of the {len(read_plan().worlds)} worlds of the plan (`configs/bench.yaml`) these are 1."
        in page
    )


def test_cases_that_the_plan_no_longer_has_are_named():
    kept = judged(case("password", "suppressed", 1, "tuning"), "suppressed")
    gone = [judged(case("leaked", "taught", 1, "tuning", split=split), "taught") for split in ("test", "ood")]
    elsewhere = judged(case("leaked", "taught", 99, "tuning"), "taught")  # of a world of another plan
    page = bench_page(score_records([kept, *gone, elsewhere]))
    assert "2 cases of these worlds are of organisms that the plan no longer has there" in page
    assert "do not make: `leaked` of `chain-llama-word-1`." in page
    assert "no longer has" not in bench_page(score_records([kept, elsewhere]))


def test_no_world_is_named_where_none_was_judged():
    assert "Judged worlds" not in bench_page(score_records([]))


def test_figures_have_words_and_the_same_bytes(records, scores):
    files, again = bench_files(records), bench_files(records[::-1])
    assert files == again
    assert set(files) == {
        "bench.md",
        "bench.json",
        "figures/bench_confusion.svg",
        "figures/bench_reliability.svg",
    }
    page = files["bench.md"].decode()
    for name, says in figure_texts(scores).items():
        picture = ET.fromstring(files[f"figures/bench_{name}.svg"])
        assert picture.findtext(f"{SVG}title") == says
        assert f"![{says}](figures/bench_{name}.svg)" in page
    assert bench_figures(score_records([])) == {}
    assert max(map(len, page.split("## How to make it again")[1].splitlines())) < 115


def test_the_confusion_figure_shows_every_count(scores):
    axis = bench_figures(scores)["confusion"].axes[0]
    shown = [int(text.get_text()) for text in axis.texts]
    ours = scores.of("undertext", "held out").confusion
    assert shown == [count for row in ours.values() for count in row.values()]
    assert [label.get_text() for label in axis.get_yticklabels()] == list(ours)


def test_the_reliability_figure_shows_every_bin(scores):
    axis = bench_figures(scores)["reliability"].axes[0]
    drawn = {each.get_label(): np.asarray(each.get_offsets()).tolist() for each in axis.collections}
    bounds = [np.asarray(line.get_ydata()).tolist() for line in axis.lines[1:]]
    wanted: list[list[float]] = []
    for part in ("held out", "tuning"):
        bins = scores.of("undertext", part).reliability.bins
        assert drawn[f"undertext, {part}"] == [[each.confidence, each.right.value] for each in bins]
        wanted += [[each.right.low, each.right.high] for each in bins]
    assert bounds == wanted


def test_a_page_without_our_judge_shows_the_others():
    others = [each for each in many(40) if each.judge != "undertext"]
    page = bench_page(score_records(others))
    assert "accuracy alone" in page
    assert "Confusion matrix" not in page
