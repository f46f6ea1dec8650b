"""A feature's page: its data against plain computations, and the page as a browser shows it."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from playwright.sync_api import Dialog, Page, sync_playwright

from tests.browser import QUIET
from tests.saes.planted_words import POINT, toy_checkpoint, word_sae
from tests.toys import embedding
from undertext.activations.errors import UserError
from undertext.activations.pair import Pair
from undertext.saes import (
    Context,
    FeaturePage,
    Histogram,
    LogitEffects,
    TextFirings,
    decoder_directions,
    feature_page,
    read_texts,
)

TEXTS = ["a so b so so c", "find 7 so", "a b c d", "so find so 7 = 7", "k k k k k k k k k k k k 7 k k k k"]
WRITTEN = [{"7": 1.0, "so": 0.25}, {"answer": 1.0}]


@pytest.fixture(scope="module")
def pair():
    base, tuned = toy_checkpoint(), toy_checkpoint(seed=1)
    with torch.no_grad():
        word = tuned.tokenizer.convert_tokens_to_ids("so")
        embedding(tuned.model)[word] *= 3
    return Pair(base, tuned)


@pytest.fixture(scope="module")
def sae(pair):
    return word_sae(pair.base, WRITTEN)


@pytest.fixture(scope="module")
def reads(pair, sae):
    return read_texts(sae, pair.base, TEXTS, POINT), read_texts(sae, pair.tuned, TEXTS, POINT)


@pytest.fixture(scope="module")
def page(pair, sae, reads):
    d = decoder_directions(sae)[0]
    return feature_page(0, d, reads, pair, contexts=3, around=4, bins=5, tokens=4)


def test_contexts_are_the_texts_where_it_fires_most(page, reads):
    assert [context.text for context in page.contexts] == [1, 3, 4]
    columns = [read.firings.column(0) for read in reads]
    for context in page.contexts:
        words = ["<bos>", *TEXTS[context.text].split()]
        peak = context.start + context.peak
        assert words[peak] == "7"
        assert context.start == max(0, peak - 4)
        assert list(context.tokens) == words[context.start : peak + 5]
        begin = int((reads[0].texts < context.text).sum()) + context.start
        for column, strengths in zip(columns, context.strengths, strict=True):
            assert list(strengths) == column[begin : begin + len(words[context.start : peak + 5])].tolist()
    second = page.contexts[1]
    assert second.tokens[second.peak - 1 : second.peak + 1] == ("so", "7")
    assert tuple(each[second.peak - 1] for each in second.strengths) == (0.25, 0.75)


def test_figures_are_those_of_numpy(page, reads):
    columns = [read.firings.column(0).double().numpy() for read in reads]
    assert page.rows == len(columns[0])
    assert page.frequency == tuple((column > 0).mean() for column in columns)
    top = max(map(np.max, columns))
    for column, counts in zip(columns, page.histogram.counts, strict=True):
        expected, edges = np.histogram(column[column > 0], bins=5, range=(0, top))
        assert list(page.histogram.edges) == pytest.approx(edges)
        assert sum(counts) == expected.sum()
    assert page.histogram.counts == ((0, 6, 0, 0, 4), (0, 0, 0, 6, 4))  # 0.25 and 1, 0.75 and 1


def test_logits_are_the_decoder_row_through_the_unembedding(page, pair, sae):
    d = sae.W_dec[0].detach()
    for effects, checkpoint in zip(page.logits, pair, strict=True):
        added = (checkpoint.model.lm_head.weight.detach() * d).sum(dim=1)
        names = checkpoint.tokenizer.convert_ids_to_tokens(added.argsort(descending=True).tolist())
        assert [token for token, _ in effects.raised] == names[:4]
        assert [token for token, _ in effects.lowered] == names[::-1][:4]
        values = [value for _, value in (*effects.raised, *reversed(effects.lowered))]
        ends = added.sort(descending=True).values
        assert values == pytest.approx([*ends[:4].tolist(), *ends[-4:].tolist()])
    assert page.logits[0] != page.logits[1]


def test_a_page_of_one_checkpoint_is_the_pair_s_without_the_other(page, pair, sae, reads):
    d = decoder_directions(sae)[0]
    alone = feature_page(0, d, reads[:1], pair[:1], contexts=3, around=4, bins=5, tokens=4)
    assert [context.tokens for context in alone.contexts] == [context.tokens for context in page.contexts]
    for mine, both in zip(alone.contexts, page.contexts, strict=True):
        assert mine.strengths == both.strengths[:1]
    assert (alone.frequency, alone.logits) == (page.frequency[:1], page.logits[:1])
    assert alone.histogram.counts == (page.histogram.counts[0],)
    html = alone._repr_html_()
    assert "tuned" not in html
    assert ">tokens</th>" in html


def test_a_feature_that_never_fires_has_a_page(pair, sae, reads):
    page = feature_page(1, decoder_directions(sae)[1], reads, pair)
    assert page.contexts == ()
    assert page.frequency == (0, 0)
    assert sum(map(sum, page.histogram.counts)) == 0
    assert "fires at none" in page._repr_html_()


def test_what_does_not_fit_is_refused(pair, sae, reads):
    d = decoder_directions(sae)[0]
    other = TextFirings(reads[1].firings, reads[1].tokens + 1, reads[1].texts)
    with pytest.raises(UserError, match="read different texts"):
        feature_page(0, d, (reads[0], other), pair)
    with pytest.raises(UserError, match="from 0 to 1, got 2"):
        feature_page(2, d, reads, pair)
    with pytest.raises(UserError, match=r"width 64, .* got 63"):
        feature_page(0, d[1:], reads, pair)
    with pytest.raises(UserError, match="got 1 for 2"):
        feature_page(0, d, reads[:1], pair)


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
    strengths = tuple(float(i) for i in range(len(HOSTILE)))
    effects = LogitEffects(tuple((text, 1.5) for text in HOSTILE), tuple((text, -2.5) for text in HOSTILE))
    return FeaturePage(
        feature=7,
        names=(HOSTILE[0], HOSTILE[4]),
        rows=1000,
        frequency=(0.1, 0.0),
        contexts=(Context(0, 3, 7, HOSTILE, (strengths, strengths[::-1])),) * 2,
        histogram=Histogram((0.0, 3.5, 7.0), ((100, 3), (0, 40))),
        logits=(effects, effects),
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
    html = hostile._repr_html_()
    html.encode()  # a lone surrogate would not go
    parser = Links()
    parser.feed(html)
    assert parser.found == []
    assert "url(" not in html
    for raw in ("\u202e", "\x00", "\x07"):
        assert raw not in html


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
        page.set_content(f"<!doctype html><html><body>{hostile._repr_html_()}</body></html>")
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
