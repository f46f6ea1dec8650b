"""The trace reader in a browser: every control, and thousands of problems."""

import re
from dataclasses import replace

import pyarrow as pa
import pytest
from playwright.sync_api import Page, expect

from tests.report import made_up
from tests.report.made_up_features import FEATURE
from undertext.core.terms import ROLES
from undertext.jobs.compare.reading import FILTERS, READINGS
from undertext.jobs.compare.token_parts import TOKENS

MANY = 5000


@pytest.fixture(params=[1280, pytest.param(390, marks=pytest.mark.slow)])
def page(request, open_report, rendered) -> Page:
    return open_report(rendered, request.param)


def shown(page: Page) -> str:
    """The id of the problem that is shown."""
    return str(page.locator("#reader-problem h3").evaluate("each => each.firstChild.textContent"))


def expect_shown(page: Page, name: str) -> None:
    expect(page.locator("#reader-problem h3")).to_contain_text(re.compile(rf"^{name} "))


def test_keys_and_buttons_go_from_problem_to_problem(page):
    expect_shown(page, "test-0")
    for key, name in (("j", "test-1"), ("ArrowRight", "test-2"), ("k", "test-1"), ("ArrowLeft", "test-0"),
                      ("k", "ood-39"), ("j", "test-0")):  # fmt: skip
        page.keyboard.press(key)
        expect_shown(page, name)
    page.locator("#reader-next").click()
    expect_shown(page, "test-1")
    page.locator("#reader-previous").click()
    expect_shown(page, "test-0")
    page.locator("#reader-place").fill("41")
    page.locator("#reader-place").press("Enter")
    expect_shown(page, "ood-0")
    page.locator("#reader-place").press("j")  # typed into a field
    expect_shown(page, "ood-0")
    assert page.evaluate("scrollX") == 0


def test_filters_and_search_leave_the_problems_they_name(page, comparison):
    rows = comparison.tables["problems"].to_pylist()
    gap = [row["id"] for row in rows if row["gap"]]
    status = page.locator("#reader-status")
    page.locator("#reader-filter").select_option(label=FILTERS["gap"])
    expect(status).to_have_text(f"of {len(gap)}")
    expect_shown(page, gap[0])
    page.locator("#reader-split").select_option(label="ood")
    expect(status).to_have_text(f"of {sum(name.startswith('ood') for name in gap)}")
    page.locator("#reader-filter").select_option(label=FILTERS["unfinished"])
    expect(status).to_have_text("No problem fits.")
    page.keyboard.press("j")
    page.locator("#reader-filter").select_option(label="all")
    page.locator("#reader-split").select_option(label="all")
    page.locator("#reader-search").fill("A = 17 ;")
    expect(status).to_have_text("of 2")
    expect_shown(page, "test-17")
    page.locator("#reader-search").fill("ONERROR")
    expect(status).to_have_text("of 2")
    expect_shown(page, "test-1")
    page.locator("#reader-search").fill("")
    expect(status).to_have_text(f"of {len(rows)}")
    expect_shown(page, "test-1")  # what was read stays in sight


def test_tokens_are_shaded_by_the_reading_that_is_chosen(page, comparison):
    rows = {(row["output"], row["reader"]): row for row in comparison.tables["tokens"].to_pylist()
            if row["id"] == "test-6"}  # fmt: skip
    strongest = max(max(each, default=0) for each in comparison.tables["tokens"]["strength"].to_pylist())
    page.locator("#reader-search").fill("test-6")
    expect_shown(page, "test-6")
    strengths = """
        [...document.querySelectorAll("#reader-problem > .outputs > div")].slice(2).map(column =>
          [...column.querySelectorAll(".token")].map(each => each.style.getPropertyValue("--strength")))
    """
    wanted = {
        "surprise base": [min(1, -score / 6) for score in rows["tuned", "base"]["log_probs"]],
        "surprise tuned": [min(1, -score / 6) for score in rows["tuned", "tuned"]["log_probs"]],
        "rank base": [{1: 0, 2: 0.4}.get(rank, 1) for rank in rows["tuned", "base"]["ranks"]],
        "probe base": rows["tuned", "base"]["probe"],
        "probe own": rows["tuned", "tuned"]["probe"],
        "feature base": [each / strongest for each in rows["tuned", "base"]["strength"]],
        "feature own": [each / strongest for each in rows["tuned", "tuned"]["strength"]],
    }
    for reading, values in wanted.items():
        page.locator("#reader-shade").select_option(reading)
        page.wait_for_function(f"document.querySelector('#reader').dataset.shade === '{reading.split()[0]}'")
        expect(page.locator("#reader-legend")).not_to_be_empty()
        found = [float(each) for each in page.evaluate(strengths)[1]]
        assert found == pytest.approx(values, abs=0.006), reading
    page.locator("#reader-shade").select_option("surprise tuned")
    (steered,) = page.evaluate(strengths)[2:]
    assert len(steered) == len(rows["steered", "tuned"]["starts"])  # its own tokens
    page.locator("#reader-shade").select_option("steered x")
    assert page.evaluate(strengths)[2][:2] == ["0.600", ""]  # at the last prompt token
    page.locator("#reader-shade").select_option("plain x")
    assert not any(map(any, page.evaluate(strengths)))
    page.locator("#reader-problem .token").first.click()
    expect(page.locator("#reader-token")).to_contain_text(re.compile(r"base: probability .* nats, rank"))
    expect(page.locator("#reader-token")).to_contain_text(
        re.compile(r"rank \d+, probe [01]\.\d{3}, feature \d+\.\d\d")
    )
    assert page.locator("#reader-shade option").count() == len(READINGS)


def test_tokens_are_reached_by_the_keyboard(page):
    page.locator("#reader-search").fill("test-6")
    expect_shown(page, "test-6")
    outputs = page.locator("#reader-problem pre[role=group]")
    assert outputs.count() == 3
    assert page.locator("#reader-problem .token[tabindex='0']").count() == 3  # the tab key stops at each once
    page.locator("#reader-next").focus()
    page.keyboard.press("Tab")
    tokens, said = outputs.first.locator(".token"), page.locator("#reader-token")
    expect(tokens.first).to_be_focused()
    for key, at in (("ArrowRight", 1), ("ArrowLeft", 0), ("ArrowLeft", 0), ("End", tokens.count() - 1),
                    ("ArrowRight", tokens.count() - 1), ("Home", 0), ("ArrowRight", 1)):  # fmt: skip
        page.keyboard.press(key)
        expect(tokens.nth(at)).to_be_focused()
        shown = tokens.nth(at)  # the same as where one points at it
        expect(said).to_have_text(f"“{shown.text_content()}”: {shown.get_attribute('title')}")
        expect_shown(page, "test-6")
    page.keyboard.press("Tab")
    expect(outputs.nth(1).locator(".token").first).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(tokens.nth(1)).to_be_focused()  # where one was
    page.locator("#reader-search").fill("")
    expect(page.locator("#reader-status")).to_have_text("of 80")
    tokens.first.focus()
    page.keyboard.press("j")
    expect_shown(page, "test-7")


def test_what_a_probe_reads_is_said_and_so_is_where_there_is_none(page, comparison):
    row = next(row for row in comparison.tables["tokens"].to_pylist() if row["id"] == "test-6")
    page.locator("#reader-shade").select_option("probe tuned")
    page.locator("#reader-search").fill("test-6")
    expect_shown(page, "test-6")
    legend = page.locator("#reader-legend")
    expect(legend).to_contain_text("true `last <b>value</b>`")
    expect(legend).to_contain_text(f"In this problem it is {row['label']}.")
    assert page.locator("#reader-problem .token[style*='--strength']").count() > 0
    page.locator("#reader-search").fill("ood-6")
    expect_shown(page, "ood-6")
    expect(legend).to_contain_text("In this problem there is none to read.")
    assert page.locator("#reader-problem .token[style*='--strength']").count() == 0


def test_a_feature_shades_where_no_probe_reads_and_says_which_it_is(page, comparison):
    row = next(
        row for row in comparison.tables["tokens"].to_pylist()
        if (row["id"], row["output"], row["reader"]) == ("ood-6", "tuned", "base")
    )  # fmt: skip
    page.locator("#reader-shade").select_option("feature base")
    page.locator("#reader-search").fill("ood-6")
    expect_shown(page, "ood-6")
    legend = page.locator("#reader-legend")
    expect(legend).to_contain_text(f"feature {FEATURE} of the SAE fires in the reader with strength")
    expect(legend).to_contain_text("It is read at blocks.2.hook_resid_post; activations of the tuned are")
    expect(legend).to_contain_text("multiplied by 2.50 first")
    tokens = page.locator("#reader-problem > .outputs > div").nth(3).locator(".token")
    at = next(k for k, strength in enumerate(row["strength"]) if strength > 0)
    tokens.nth(at).click()
    said = page.locator("#reader-token")
    expect(said).to_contain_text(re.compile(r"base: [^;]*, feature \d+\.\d\d;"))
    (found,) = re.findall(r"base: [^;]*, feature (\d+\.\d\d);", said.text_content() or "")
    strongest = max(max(each, default=0) for each in comparison.tables["tokens"]["strength"].to_pylist())
    assert float(found) == pytest.approx(row["strength"][at], abs=strongest / 1000)


def test_a_link_opens_the_page_of_a_feature(page):
    folded = page.locator("details.feature")
    assert folded.count() == 3
    page.locator(f"a[href='#sae-{FEATURE}']").click()
    expect(folded.nth(0).get_by_role("heading", name=f"Feature {FEATURE}")).to_be_visible()
    assert not folded.nth(1).evaluate("each => each.open")
    page.locator("a[href='#crosscoder-5']").click()
    expect(folded.nth(2).get_by_role("heading", name="Feature 5")).to_be_visible()
    alarms = page.locator(".alarm")
    assert alarms.count() == 1  # the crosscoder keeps enough of both
    expect(alarms).to_contain_text("The SAE keeps too little of the tuned:")
    assert page.evaluate("document.querySelectorAll('[onclick]').length") == 0


def test_the_first_difference_is_marked_in_both(page, comparison):
    rows = {row["id"]: row for row in comparison.tables["problems"].to_pylist()}
    page.locator("#reader-search").fill("test-7")
    expect_shown(page, "test-7")
    base, tuned = (rows["test-7"][f"{role}_output"] for role in ROLES)
    same = next(i for i, (a, b) in enumerate(zip(base, tuned, strict=False)) if a != b)
    marked = page.locator("#reader-problem .diverges")
    assert marked.count() == 2
    for text, mark in ((base, marked.nth(0)), (tuned, marked.nth(1))):
        before = mark.evaluate(
            "each => { let at = 0; for (let t = each.previousSibling; t; t = t.previousSibling)"
            " at += t.textContent.length; return at }"
        )
        assert before <= same < before + len(mark.text_content() or "")
        assert text[before:].startswith(mark.text_content() or "-")


def test_samples_open_and_what_is_flagged_is_said(page):
    page.locator("#reader-search").fill("test-4")
    expect_shown(page, "test-4")
    expect(page.locator("#reader-problem .marks")).to_contain_text(
        "tuned: blank; base: right, but for its form"
    )
    page.locator("#reader-problem summary").click()
    expect(page.locator("#reader-problem details")).to_contain_text("sampled 2 <b>for</b> test-4")
    expect(page.locator("#reader-problem summary")).to_have_text("3 sampled outputs, 1 of them right")


@pytest.mark.parametrize(
    "which",
    ["sentence", *(pytest.param(each, marks=pytest.mark.slow) for each in ("latex", "markdown"))],
)
def test_copy_buttons_copy(page, which):
    text = page.locator(f"#paper-{which}").text_content()
    page.locator(f"[data-copies=paper-{which}]").click()
    expect(page.locator(f"#said-{which}")).to_have_text("Copied.")
    page.locator("#reader-search").click()
    page.keyboard.press("Control+V")
    pasted = page.locator("#reader-search").input_value()
    assert pasted.split() == (text or "").split() or "".join(pasted.split()) == "".join((text or "").split())


def test_in_print_the_problem_in_sight_and_the_sample_are_there_and_no_control(page):
    page.keyboard.press("j")
    expect_shown(page, "test-1")
    assert not page.locator(".sample").is_visible()
    page.emulate_media(media="print")
    assert page.locator(".sample").is_visible()
    assert page.locator("#reader-problem").is_visible()
    for control in (".controls", "nav", "#reader-token"):
        assert not page.locator(control).is_visible()


def test_the_sample_stands_in_where_nothing_runs(browser, rendered, tmp_path):
    (tmp_path / "report.html").write_bytes(rendered["report.html"])
    page = browser.new_page(java_script_enabled=False)
    page.goto((tmp_path / "report.html").as_uri())
    assert page.locator(".sample .problem").count() == 8
    assert page.locator(".sample").is_visible()
    assert not page.locator("#reader").is_visible()
    assert not page.locator("[data-copies]").first.is_visible()
    page.close()


@pytest.mark.slow
def test_thousands_of_problems_open_and_move_on(comparison, open_report):
    few = [row for row in made_up.problems().to_pylist() if row["split"] == "ood"]
    rows = [
        {**few[k % len(few)], "split": "test", "id": f"many-{k}", "prompt": f"number {k} of many"}
        for k in range(MANY)
    ]
    tokens = [
        {"split": "test", "id": row["id"], "output": "base", "reader": "base", "starts": [0], "end": 1,
         "log_probs": [-1.0], "ranks": [2], "feature": FEATURE, "strength": [2.0]}
        for row in rows
    ]  # fmt: skip
    tables = {
        "problems": pa.Table.from_pylist(rows, comparison.tables["problems"].schema),
        "tokens": pa.Table.from_pylist(tokens, TOKENS),
    }
    page = open_report({"report.html": replace(comparison, tables=tables).files()["report.html"]}, 1280)
    expect(page.locator("#reader-status")).to_have_text("of 5,000")
    page.keyboard.press("k")
    expect_shown(page, f"many-{MANY - 1}")
    page.keyboard.press("j")
    expect_shown(page, "many-0")
    page.locator("#reader-place").fill("3001")
    page.locator("#reader-place").press("Enter")
    expect_shown(page, "many-3000")
    assert page.locator("#reader-problem").evaluate("each => each.querySelectorAll('*').length") < 200
    page.locator("#reader-search").fill("number 4321 of")
    expect_shown(page, "many-4321")
