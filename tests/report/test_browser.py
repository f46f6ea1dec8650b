"""The page as a browser shows it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Page, sync_playwright

from tests.browser import NAMES, QUIET, find_browser
from tests.report.made_up import HOSTILE


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = find_browser()
    if path is None:
        pytest.fail(f"expected one of {', '.join(NAMES)} on PATH, found none: run `make browser`")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture(params=[(1280, "light"), (390, "light"), (390, "dark")], ids=str)
def view(request, browser, rendered, tmp_path) -> Iterator[Page]:
    """The report, opened from its folder; fails at the end where it asked for anything or complained."""
    width, scheme = request.param
    complaints: list[str] = []
    for name, data in rendered.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)

    def dismiss(dialog: Dialog) -> None:
        complaints.append(dialog.message)
        dialog.dismiss()

    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.on("request", lambda sent: complaints.append(sent.url) if not _local(sent.url, tmp_path) else None)
    page.on("dialog", dismiss)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto((tmp_path / "report.html").as_uri(), wait_until="load")
    yield page
    page.close()
    assert complaints == []


def _local(url: str, folder: Path) -> bool:
    return url.startswith("data:") or url == (folder / "report.html").as_uri()


def test_report_fits_and_runs_nothing(view):
    view.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert view.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    reach = "[...document.querySelectorAll('main *')].map(each => each.getBoundingClientRect().right)"
    assert view.evaluate(f"Math.max(...{reach})") <= view.viewport_size["width"]
    assert view.get_by_text(HOSTILE[0]).first.is_visible()
    assert view.get_by_text("</style></pre></code>").first.is_visible()
    assert "alert" in view.title()  # the tuned checkpoint's name, as text
    assert view.evaluate("document.scripts.length") == 0
    assert view.evaluate("document.dir + document.querySelectorAll('[onerror]').length") == "0"


def test_pictures_are_there(view):
    widths = view.evaluate("[...document.images].map(each => each.naturalWidth)")
    assert len(widths) == 3
    assert all(width > 0 for width in widths)


def test_tables_become_cards_where_it_is_narrow(view):
    narrow = view.viewport_size["width"] < 800
    cell = view.locator("table.stack tbody td").first
    assert cell.evaluate("each => getComputedStyle(each).display") == ("grid" if narrow else "table-cell")
    label = cell.evaluate("each => getComputedStyle(each, '::before').content")
    assert label == ('"verdict"' if narrow else "none")
    unlabelled = view.locator("table.stack tbody td:not([data-label])").count()
    assert unlabelled == 0
