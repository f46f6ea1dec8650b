"""A feature's page as HTML: nothing loads or runs, and a browser shows it."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import numpy as np
import pytest
from playwright.sync_api import Dialog, Page, sync_playwright

from tests.browser import QUIET
from undertext.report.feature_page import page_html

HOSTILE = (
    "<script>document.title = 'ran'; alert('ran')</script>",
    "</bdi></section></style><img src=x onerror=\"alert('ran')\">",
    "& &amp; 'quoted' \"twice\" <!-- ]]>",
    "שלום\u202egnihtyreve\x00\x07\ud800",
    "unbroken" * 60,
    "\n",
    "",
    "   indented",
)


@pytest.fixture(scope="module")
def hostile():
    """A page whose every text is against it."""
    strengths = [float(i) for i in range(len(HOSTILE))]
    effects = {
        name: [{"token": text, "value": value} for text in HOSTILE]
        for name, value in (("raised", 1.5), ("lowered", -2.5))
    }
    context = {"text": 0, "start": 3, "peak": 7, "tokens": HOSTILE, "strengths": [strengths, strengths[::-1]]}
    return page_html(
        {
            "feature": 7,
            "names": [HOSTILE[0], HOSTILE[4]],
            "rows": 1000,
            "frequency": [0.1, 0.0],
            "contexts": [context] * 2,
            "histogram": {"edges": [0.0, 3.5, 7.0], "counts": [[100, 3], [0, 40]]},
            "logits": [effects, effects],
        }
    )


class Links(HTMLParser):
    """What the page holds that could load or run something."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "img", "link", "iframe", "object", "style"):
            self.found.append(tag)
        self.found += [name for name, _ in attrs if name.startswith("on") or name in ("src", "href")]


def test_nothing_in_the_page_loads_or_runs(hostile):
    hostile.encode()  # a lone surrogate would not go
    parser = Links()
    parser.feed(hostile)
    assert parser.found == []
    assert "url(" not in hostile
    for raw in ("\u202e", "\x00", "\x07"):
        assert raw not in hostile


@pytest.fixture(params=[(1280, "light"), (390, "dark")], ids=str)
def view(request, chromium, hostile) -> Iterator[Page]:
    """The page in a browser, wide and narrow; fails at the end where it asked for anything or complained."""
    width, scheme = request.param
    complaints: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        complaints.append(dialog.message)
        dialog.dismiss()

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.on("request", lambda sent: complaints.append(sent.url))
        page.on("dialog", dismiss)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.set_content(f"<!doctype html><html><body>{hostile}</body></html>")
        yield page
        browser.close()
    assert complaints == []


def luminance(colour: str) -> float:
    channels = [float(x) / 255 for x in re.findall(r"[\d.]+", colour)[:3]]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_in_a_browser(view):
    assert view.title() == ""
    assert view.evaluate("document.scripts.length + document.images.length") == 0
    assert view.evaluate("document.querySelectorAll('section').length") == 1
    assert view.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    assert view.get_by_text(HOSTILE[0]).first.is_visible()
    # Base and tuned stand side by side where there is room, and below each other where there is not.
    left, right = (view.get_by_text(name, exact=True).first.bounding_box() for name in ("base", "tuned"))
    assert (left["y"] == right["y"]) == (view.viewport_size["width"] > 800)
    # What colour says is said in numbers too: each token that fires has its strength behind it.
    marked = view.evaluate(
        "[...document.querySelectorAll('bdi')].filter(e => e.style.background).map(e => e.innerText)"
    )
    assert len(marked) == 4 * (len(HOSTILE) - 1)
    assert all(re.search(r"[1-7]$", text) for text in marked)
    assert marked[0].startswith("</bdi>")
    # Dark text on the darkest shade, whatever the scheme of the notebook around it.
    ink = view.evaluate("getComputedStyle(document.querySelector('section')).color")
    paper = view.evaluate("getComputedStyle(document.querySelector('section')).backgroundColor")
    assert paper == "rgb(255, 255, 255)"
    for colour in ((0, 114, 178), (213, 94, 0)):
        shade = [0.45 * c + 0.55 * 255 for c in colour]
        assert (luminance(str(shade)) + 0.05) / (luminance(ink) + 0.05) > 4.5
