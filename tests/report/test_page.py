import re
from base64 import b64encode
from dataclasses import asdict, replace
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import pytest

from tests.report.made_up import FIGURES, HOSTILE, PROBLEMS
from tests.report.made_up_features import HOSTILE_VALUE
from undertext.core.statistics import Estimate
from undertext.jobs.compare import trace_words
from undertext.jobs.compare.result import Comparison, EvidenceLine, SplitResult
from undertext.jobs.compare.words import LINES, VERDICTS, WRONG_IF
from undertext.report import numbers, page


class Read(HTMLParser):
    """Tags, attributes and text of a page, as a browser would take them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.data = ""
        self.blocks = re.findall('class="reader-block"', text)
        self.feed(text)
        self.text = " ".join(self.data.split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attributes
        self.data += " " if tag in {"td", "th"} else ""

    def handle_data(self, data: str) -> None:
        if self.lasttag not in {"style", "script"}:
            self.data += data


def page_of(comparison: Comparison) -> Read:
    return Read(comparison.files()["report.html"].decode())


ORDER = (
    "Verdicts", "Which keys opened it", "Evidence", "Accuracy and recovery", "Where values are read",
    "Dose and response", "Features of the pair", "Traces", "Read the outputs", "For the paper",
    "What each checkpoint read",
    "What would make a verdict wrong", "What was not measured, and why", "How to reproduce it",
    "How it was measured",
)  # fmt: skip


SHOWN = (
    "accuracy", "recovery", "heatmap-test", "values-test", "heatmap-ood", "values-ood", "probes", "doses",
    "latents", "confidence", "gain",
)  # fmt: skip
"""Figures in the order of the page."""


@pytest.fixture(scope="module")
def shown(rendered) -> Read:
    return Read(rendered["report.html"].decode())


def test_model_text_is_text(shown):
    assert shown.tags.count("script") == 2 + len(shown.blocks)
    assert shown.tags.count("img") == len(FIGURES)
    assert shown.tags.count("style") == 1
    assert not any(name.startswith("on") for name, _ in shown.attributes)
    for k in (0, 1):
        assert HOSTILE[k] in shown.data
    assert "zoo/<script>alert('ran')</script>" in shown.text
    assert "<i>their answers</i>" in shown.text
    assert "שלום, התשובה היא 4 ⟨U+202E⟩gnihtyreve esrever 🧮👩‍👩‍👧 ⟨U+0000⟩⟨U+0007⟩" in shown.text
    assert numbers.shown(HOSTILE[4]).endswith(f"… ({len(HOSTILE[4]) - 1500:,} more characters)")


def test_figures_of_traces_stand_by_checkpoint_with_their_flags(shown, preserved):
    assert shown.text.count("Whether answers rest on what is written before them") == 1  # of one split
    said = {str(name): words for name, words in trace_words.FIGURES.items()}
    for name, figures in (
        ("rationalisation index over chance", "0.10 [0.00, 0.21] 0.83 [0.71, 0.95] 0.5 (rationalised_above) "
         "rationalised (tuned)"),
        ("another: follows the trace", "0.91 [0.85, 0.95] 0.12 [0.05, 0.20] – –"),
        ("doubt words lost", "– 0.40 [0.10, 0.70] 0.5 (lost_above) –"),
    ):  # fmt: skip
        assert f"{name}{said[name]} {figures}" in shown.text
    assert "docs/" not in shown.text  # the page may be read where there is nothing else
    assert "Whether answers rest" not in page_of(preserved).text


def test_nothing_is_asked_for(shown):
    for name, value in shown.attributes:
        if name in {"src", "href", "action", "srcset", "poster"}:
            assert (value or "").startswith(("data:", "#"))
    policy = dict(shown.attributes)["content"]
    assert ("http-equiv", "Content-Security-Policy") in shown.attributes
    ours = sha256(Path(page.__file__).with_name("reader.js").read_bytes()).digest()
    script = f"script-src 'sha256-{b64encode(ours).decode()}'"
    wanted = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; {script}"
    assert ("content", wanted) in shown.attributes, policy
    assert ("lang", "en") in shown.attributes
    assert "url(" not in Path(page.__file__).with_name("page.css").read_text()


def test_pictures_say_what_they_show(shown):
    alternatives = [value or "" for name, value in shown.attributes if name == "alt"]
    assert alternatives[0].startswith(
        "Accuracy. test (40 problems), keys on the base: base 0.15 (0.07 to 0.29); "
        "tuned 0.95 (0.83 to 0.99); prompt 0.50 (0.40 to 0.60), other problems' answers 0.20 to 0.30; "
    )
    assert "vector 0.90 (0.80 to 1.00), random directions (8) 0.16 to 0.50, shuffled" in alternatives[0]
    assert "ood (40 problems): base 0.15 (0.07 to 0.29); tuned 0.95 (0.83 to 0.99)" in alternatives[0]
    assert "sampling 0.15 (0.07 to 0.29), other problems' answers 0.15 to 0.21; vector" in alternatives[1]
    assert all(len(text) > 40 for text in alternatives)


def test_features_stand_with_what_is_kept_and_retained(shown, preserved):
    text = " ".join(shown.text.split())
    assert "Retained: 3 of the 4 features that predict a value best in the base" in text
    assert "tuned 0.41 –" in text
    assert "Activations of the tuned were multiplied by 2.50" in text
    assert "a note on the SAE" in text
    assert f"{HOSTILE_VALUE} = 3" in text
    alternatives = [value or "" for name, value in shown.attributes if name == "alt"]
    assert any("50 of 60 latents fire" in each and "base only 10 (20%)" in each for each in alternatives)
    assert "`retained`" not in text
    without = page_of(preserved).text
    assert "`retained`, features of an SAE and latents of a crosscoder: none was given" in without
    assert "Features of the pair" not in without


def test_pictures_of_probes_and_doses_say_where_their_lines_are_highest(shown, comparison):
    alternatives = [value or "" for name, value in shown.attributes if name == "alt"]
    by_name = dict(zip(SHOWN, alternatives, strict=True))
    values, probes, doses = (by_name[name] for name in ("values-test", "probes", "doses"))
    rows = [row for row in comparison.tables["probes"].to_pylist() if row["split"] == "test"]
    cells = {(row["role"], row["layer"], row["name"]): row for row in rows}
    layers, names = range(4), ("first value", "last value")

    def means(role: str, column: str = "accuracy") -> list[float]:
        return [fmean(cells[role, layer, name][column] for name in names) for layer in layers]

    for role in ("stronger", "weaker", "transported"):
        best = max(layers, key=means(role).__getitem__)
        assert f"{role} {means(role)[best]:.2f} at layer {best}" in probes
    both = [
        fmean(pair) for pair in zip(means("weaker", "control"), means("stronger", "control"), strict=True)
    ]
    assert f"control labels {max(both):.2f} at layer {both.index(max(both))}" in probes
    assert "surface 0.28 at layer 0; last tokens 0.30 at layer 0; untrained 0.24 at layer 0." in probes
    assert "Best layer of each line on ood: " in probes

    _, layer, name = max((key for key in cells if key[0] == "weaker"), key=lambda key: cells[key]["accuracy"])
    value = cells["weaker", layer, name]["accuracy"]
    assert f"Highest on test: base {value:.2f} (layer {layer}, value {name}); tuned 0." in values
    assert "tuned's probes on base 0." in values
    assert "selectivity, base 0." in values
    for split in ("test", "ood"):
        assert f"Highest on {split}: base 0." in by_name[f"heatmap-{split}"]
        assert "step 2); tuned 0." in by_name[f"heatmap-{split}"]
        assert by_name[f"heatmap-{split}"].endswith("Not measured: step 1, step 3.")
        assert f"Not measured on {split}, and hatched: step 1, step 3." in shown.text

    tried = comparison.tables["sweep"].to_pylist()
    best = max((row for row in tried if row["vector"] == "delta"), key=lambda row: row["lenient"])
    assert f"delta {best['lenient']:.2f} at dose {best['dose']:g} (64 problems)" in doses
    random = max((row for row in tried if row["control"] == "random directions"), key=lambda r: r["lenient"])
    assert f"random directions (best of 8) {random['lenient']:.2f} at dose {random['dose']:g} (64" in doses


def test_what_the_base_keeps_under_a_change_of_the_same_size_is_said_where_it_was_measured(comparison):
    kept = Estimate(0.97, 0.93, 1.01, 40)
    result = replace(comparison.splits["test"], weaker="tuned", verdict="undetermined", withstood=kept)
    summary = {**comparison.summary, "splits": {"test": asdict(result)}}
    said = "up or down at random, the base keeps 0.97 [0.93, 1.01] of its accuracy over chance"
    assert said in page_of(replace(comparison, summary=summary)).text
    assert "up or down at random" not in page_of(comparison).text


def test_the_verdict_is_said_with_its_evidence(shown, comparison):
    for wanted in (
        "Elicited: the base already had it.",
        "Verdicts test: Elicited: the base already had it. Share of the gap that was latent: 0.82 [0.70,",
        "another prompt test 45% told 'Think <step> by step.'",
        "Confidence: 0.93, the chance that a verdict of such evidence is right. The rule gives the same "
        "verdict to over 99% of resamples of the problems.",
        "The rule says the same of 58% of resamples of the problems.",
        "the smallest accuracy difference this split could be expected to show (80% power) is 0.12",
        "Undetermined: the evidence does not decide.",
        "0.15 [0.07, 0.29]",
        "0.10 [−0.02, ∞]",
        "< 0.001",
        "test: right by the tuned checkpoint alone: 33. Right by the base alone: 1.",
        "undertext compare --base a --tuned b",
        "mean 0.33, 0.26 to 0.40",
        "blocks.2.hook_resid_post, dose 2, at the last prompt token",
        "steering.doses 0.5, 1, 2, 4, 8",
        "00112233445566aa",
        "torch 2.13.0",
        "elapsed_s 41.52",
        "device unbroken",
    ):
        assert wanted in shown.text
    for line in comparison.splits["test"].evidence:
        assert LINES[line.name] in shown.text
    for verdict in ("elicited", "undetermined"):
        assert all(reason in shown.text for reason in WRONG_IF[verdict])
    assert not any(reason in shown.text for reason in WRONG_IF["taught"])


def test_sections_stand_in_the_order_in_which_they_are_asked_for(rendered):
    found = re.findall(r"<h2[^>]*>(.*?)</h2>", rendered["report.html"].decode())
    assert tuple(found) == ORDER


def test_headings_step_down_one_at_a_time(shown):
    levels = [int(tag[1]) for tag in shown.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_a_pair_that_does_not_differ_makes_no_claim_of_what_was_not_measured(preserved):
    text = page_of(preserved).text
    assert "Preserved: tuning changed nothing that shows here." in text
    assert "No line of evidence was measured on this split." in text
    assert "every problem that one of the two checkpoints solves here, the other solves too" in text
    assert "No checkpoint counts as the weaker one here, so no evidence was measured." in text
    assert not re.search("Steering|Which keys|Where values are read|Dose and response|Flags", text)
    assert "test: every line of evidence, since no checkpoint counts as the weaker one." in text


@pytest.mark.parametrize(
    ("most", "said"),
    [
        ((PROBLEMS, PROBLEMS), ()),
        ((39, 7), ("Traces of more than 39 problems of a split (`trace_problems`): test has 40.",
                   "Tokens of the outputs of more than 7 problems of a split (`token_problems`): ")),
        ((0, 0), ("Traces: `trace_problems` is 0.",)),
    ],
)  # fmt: skip
def test_problems_that_were_left_out_are_named_only_where_there_are_some(preserved, most, said):
    config = dict(zip(("trace_problems", "token_problems"), most, strict=True))
    text = page_of(replace(preserved, run={"config": config})).text
    assert all(each in text for each in said)
    assert len(re.findall(r"`(?:trace|token)_problems`", text)) == len(said)


@pytest.mark.slow
def test_every_verdict_and_line_has_words(comparison, preserved):
    estimate = Estimate(0.5, 0.4, 0.6, 40)
    lines = [EvidenceLine(name, "absent", estimate, estimate, 0.5, "none", "", estimate) for name in LINES]
    for verdict, said in VERDICTS.items():
        result: SplitResult = replace(comparison.splits["test"], verdict=verdict, evidence=lines)
        summary = {**preserved.summary, "splits": {"test": asdict(result)}}
        text = page_of(replace(preserved, summary=summary)).text
        assert all(words in text for words in said)
        assert all(words in text for words in LINES.values())


@pytest.mark.slow
def test_four_problems_of_a_split_are_on_the_page_the_rarer_kind_among_them(comparison):
    shown = page_of(comparison)
    ids = re.findall(r"(test-\d+) (?:type find )?prompt", shown.text)
    assert len(set(ids)) == len(ids) == 4
    rows = {row["id"]: row for row in comparison.tables["problems"].to_pylist()}
    assert [rows[name]["tuned_lenient"] for name in ids].count(False) == 1


def test_summary_is_a_table_with_all_escaped(comparison, preserved):
    read = Read(comparison._repr_html_())
    assert "script" not in read.tags
    assert "zoo/<script>alert('ran')</script>" in read.text
    row = "test Elicited: the base already had it. 0.93 over 99% of resamples 0.15 [0.07, 0.29] 0.95 [0.83,"
    assert f"{row} 0.99] 0.90 [0.80, 1.00] 0.94 [0.81, 1.06]" in read.text
    assert read.tags.count("tr") == 3
    assert Read(preserved._repr_html_()).text.endswith("– –")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.125, "0.12"),
        (-0.5, "−0.50"),
        (-0.001, "0.00"),
        (None, "–"),
        (float("nan"), "–"),
        (float("-inf"), "−∞"),
        (-0.0, "0.00"),
        (1e9, "1.00e+09"),
        (-2.5e12, "−2.50e+12"),
    ],
)
def test_numbers(value, text):
    assert numbers.number(value) == text


def test_shares_and_p_values_claim_no_more_than_they_know():
    shares = {0.0: "0%", 0.004: "under 1%", 0.5: "50%", 0.994: "99%", 0.9995: "over 99%", 1.0: "100%"}
    shares |= {-0.0: "0%", 1.2: "120%", -0.3: "−30%", 1e9: "1e+11%", float("inf"): "∞%"}
    assert {share: numbers.percent(share) for share in shares} == shares
    assert (numbers.percent(None), numbers.probability(None)) == ("–", "–")
    assert numbers.percent(float("nan")) == "–"
    assert [numbers.probability(p) for p in (0.00049, 0.0126, 1.0)] == ["<\u00a00.001", "0.013", "1.000"]


def test_a_name_in_a_sentence_stands_on_one_line_and_is_cut_where_it_is_long():
    assert numbers.brief("a\nname \u202e") == "a name \u27e8U+202E\u27e9"
    assert numbers.brief("x" * 40) == "x" * 40
    assert numbers.brief("x" * 41) == "x" * 39 + "…"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(scheme):
    css = Path(page.__file__).with_name("page.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#\w+)", blocks[("light", "dark").index(scheme)]))

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
        parts = [int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    texts = {"ink", "soft", "link", "latent", "absent", "unclear", "right", "wrong"}
    assert texts < set(colours)
    for ground in ("paper", "panel"):
        for text in texts:
            light, dark = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)
