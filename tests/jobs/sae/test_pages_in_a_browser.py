"""The pages of `sae features` and `sae diff` as a browser shows them, wide and narrow, light and dark."""

import pytest
from playwright.sync_api import sync_playwright

from tests.browser import QUIET
from undertext.jobs.sae_diff.config import DiffConfig
from undertext.jobs.sae_diff.job import feature_diff
from undertext.jobs.sae_features.config import FeaturesConfig
from undertext.jobs.sae_features.job import feature_table

HOSTILE = "<script>document.title = 'ran'</script><img src=x onerror=\"document.title = 'ran'\">" + "x" * 300


@pytest.fixture(scope="module")
def pages(task, folders, tmp_path_factory):
    out = tmp_path_factory.mktemp("pages")
    hostile = task.model_copy(update={"description": HOSTILE})
    base, tuned, sae = (folders[name] for name in ("base", "tuned", "sae"))
    config = FeaturesConfig(words=("so",), pages=2, threads=1)
    feature_table(str(base), hostile, sae, config=config, out=out / "features")
    changed = DiffConfig(effects=1, controls=1, effect_problems=4, pages=2, threads=1)
    feature_diff(str(base), str(tuned), hostile, sae=sae, config=changed, out=out / "diff")
    return [out / name / "report.html" for name in ("features", "diff")]


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_they_fit_run_nothing_and_ask_for_nothing(pages, chromium, width, scheme):
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        for path in pages:
            view = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            ours = path.as_uri()
            view.on("request", lambda sent: complaints.append(sent.url))
            view.on("console", lambda message: complaints.append(message.text))
            view.on("pageerror", lambda error: complaints.append(str(error)))
            view.goto(ours, wait_until="load")
            assert view.title().endswith("undertext")
            assert view.evaluate("document.scripts.length") == 0
            inlined = "[...document.images].every(image => image.src.startsWith('data:'))"
            assert view.evaluate(inlined)
            assert view.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
            reach = "[...document.querySelectorAll('main *')].map(each => each.getBoundingClientRect().right)"
            assert view.evaluate(f"Math.max(...{reach})") <= width
            assert view.get_by_text(HOSTILE[:40]).first.is_visible()
            assert view.locator(".problem h3").count() == 2
            # A table's cells stand under one another, with their names, where it is narrow.
            shown = view.locator("table.stack tbody td").first.evaluate(
                "each => getComputedStyle(each).display"
            )
            assert shown == ("grid" if width < 800 else "table-cell")
            assert view.locator("table.stack tbody td:not([data-label])").count() == 0
            if path == pages[1]:
                sides = [view.locator(f".problem span:text-is('{name}')").first for name in ("base", "tuned")]
                left, right = (side.bounding_box() for side in sides)
                assert left is not None
                assert right is not None
                assert (left["y"] == right["y"]) == (width > 800)
        browser.close()
    asked_for = [path.as_uri() for path in pages]
    assert [each for each in complaints if not each.startswith("data:")] == asked_for
