"""The page as a browser shows it."""

from tests.report.made_up import FIGURES, HOSTILE


def test_report_fits_and_runs_no_text(view):
    view.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert view.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    reach = "[...document.querySelectorAll('main *')].map(each => each.getBoundingClientRect().right)"
    assert view.evaluate(f"Math.max(...{reach})") <= view.viewport_size["width"]
    assert view.locator("#reader-problem").get_by_text(HOSTILE[0]).first.is_visible()
    view.keyboard.press("j")
    view.wait_for_function("document.querySelector('#reader-place').value === '2'")
    assert view.get_by_text("</style></pre></code>").first.is_visible()
    assert "alert" in view.title()  # the tuned checkpoint's name, as text
    ran = "[...document.scripts].filter(each => each.type === '').length"
    assert view.evaluate(ran) == 1  # reader.js, which the policy names by its digest
    assert view.evaluate("document.dir + document.querySelectorAll('[onerror]').length") == "0"


def test_pictures_are_there(view):
    widths = view.evaluate("[...document.images].map(each => each.naturalWidth)")
    assert len(widths) == len(FIGURES)
    assert all(width > 0 for width in widths)
    assert all(view.evaluate("[...document.images].map(each => each.alt.length > 40)"))


def test_tables_become_cards_where_it_is_narrow(view):
    narrow = view.viewport_size["width"] < 800
    cell = view.locator("table.stack tbody td").first
    assert cell.evaluate("each => getComputedStyle(each).display") == ("grid" if narrow else "table-cell")
    label = cell.evaluate("each => getComputedStyle(each, '::before').content")
    assert label == ('"verdict"' if narrow else "none")
    unlabelled = view.locator("table.stack tbody td:not([data-label])").count()
    assert unlabelled == 0


def test_the_heatmaps_of_one_split_are_in_sight_and_all_of_them_in_print(view):
    heatmaps = [view.locator("figure img[alt*='by layer and step']").nth(k) for k in range(2)]
    assert [each.is_visible() for each in heatmaps] == [True, False]
    view.get_by_label("split ood").check()
    assert [each.is_visible() for each in heatmaps] == [False, True]
    view.keyboard.press("ArrowLeft")
    assert [each.is_visible() for each in heatmaps] == [True, False]
    view.emulate_media(media="print")
    assert [each.is_visible() for each in heatmaps] == [True, True]
    assert not view.get_by_label("split ood").is_visible()
