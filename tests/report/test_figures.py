import warnings
from dataclasses import replace
from itertools import pairwise

import matplotlib
import numpy as np
import pyarrow as pa
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text

from tests.report.made_up import FIGURES, PROBLEMS, VECTORS
from tests.report.made_up_features import latents
from undertext.core.statistics import Estimate
from undertext.jobs.compare.report import figures
from undertext.jobs.compare.trace_curves import GAIN, GIVEN
from undertext.report.figures.accuracy import Band, Mark, Panel, recovery_figure
from undertext.report.figures.doses import doses_figure
from undertext.report.figures.latents import latents_figure, latents_said
from undertext.report.figures.opened import OpenedPair, opened_figure
from undertext.report.style import literal, pdf, png, svg

PHONE = 358
"""Pixels a figure is wide on a 390-pixel screen, between the page's margins."""


@pytest.fixture(scope="module")
def drawn(comparison):
    return figures(comparison)


def labels(figure: matplotlib.figure.Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def ends(figure: matplotlib.figure.Figure) -> list[str]:
    """Names of lines where they end, in the first panel."""
    return [text.get_text() for text in figure.axes[0].texts]


def test_what_a_vector_opens_is_drawn_where_it_is():
    opened = OpenedPair("mine_$", "tuned", 0.1, 0.9, 0.6, "suppressed")
    closed = OpenedPair("other", "base", 0.2, 0.24, 1.0, "taught")
    figure = opened_figure([opened, closed], "test")
    (panel,) = figure.axes
    names = [tick.get_text() for tick in panel.get_yticklabels()]
    assert names == [r"mine_\$: tuned", "other: base"]
    assert {(line.get_marker(), *np.array(line.get_xydata())[0]) for line in panel.lines} == {
        ("o", 0.1, 0), ("D", 0.9, 0), ("s", 0.6, 0), ("o", 0.2, 1), ("D", 0.24, 1), ("s", 1.0, 1),
    }  # fmt: skip
    arrows = [text for text in panel.texts if isinstance(text, Annotation)]
    assert [(text.xy, text.xyann) for text in arrows] == [((0.9, 0), (0.1, 0))]
    assert {"suppressed", "taught"} <= {text.get_text() for text in panel.texts}
    assert svg(figure) == svg(opened_figure([opened, closed], "test"))


def test_what_was_not_measured_is_not_drawn(drawn, preserved):
    assert tuple(drawn) == FIGURES
    assert list(figures(preserved)) == ["accuracy"]


def rows_of(panel: Axes) -> tuple[list[str], list[str]]:
    """What stands at the left of a panel's rows, and at the right."""
    return [tick.get_text() for tick in panel.get_yticklabels()], [text.get_text() for text in panel.texts]


def test_accuracy_shows_each_split_with_keys_the_bands_of_their_controls_and_chance(comparison, drawn):
    test, ood = drawn["accuracy"].axes
    left, right = rows_of(test)
    assert left == ["base", "tuned", "prompt", "noise", "vector"]
    assert right == [
        "0.15", "0.95", "0.50", "0.25 other problems' answers", "0.20", "0.25 other problems' answers",
        "0.90", "0.33 random directions (8)", "0.42 shuffled labels", "0.44 random positions",
        "0.25 other problems' answers", "0.20 the commonest answer",
    ]  # fmt: skip
    assert rows_of(ood)[0] == ["base", "tuned"]
    own = comparison.splits["test"].accuracy["base"]
    assert list(test.lines[0].get_xdata()) == pytest.approx([own.low, own.high])
    answers = [row["answer"] for row in comparison.tables["problems"].to_pylist() if row["split"] == "test"]
    assert right[-1].startswith(f"{max(map(answers.count, answers)) / len(answers):.2f}")


def test_a_band_is_from_the_lowest_bound_of_the_controls_to_the_highest(comparison, drawn):
    table = comparison.tables["recovery"].to_pylist()
    for name, columns in (("accuracy", ("low", "high")), ("recovery", ("recovered_low", "recovered_high"))):
        random = [row for row in table if row["control"] == "random directions"]
        low, high = (
            of(row[column] for row in random) for of, column in zip((min, max), columns, strict=True)
        )
        panel = drawn[name].axes[0]
        at = next(text for text in panel.texts if "random directions" in text.get_text()).get_position()[1]
        (band,) = (each for each in panel.patches if each.get_y() < at < each.get_y() + each.get_height())
        assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((low, high))
        points = next(line for line in panel.lines if len(line.get_xdata()) == 8)
        value = "accuracy" if name == "accuracy" else "recovered"
        assert sorted(points.get_xdata()) == pytest.approx(sorted(row[value] for row in random))


def test_recovery_shows_what_each_key_brings_back_and_leaves_out_what_was_not_measured(comparison, drawn):
    (panel, ood) = drawn["recovery"].axes
    left, right = rows_of(panel)
    assert left == ["sampling", "vector"]  # of prompt and noise the made-up comparison has no line
    assert right[:3] == ["0.15", "0.17 other problems' answers", "0.94"]
    assert right[-1] == "0.10 other problems' answers"
    low, high = panel.get_xlim()
    assert low < -0.02 < 1.03 < high < 2.1  # a bound at infinity is drawn at the end
    assert rows_of(ood)[0] == ["sampling"]


def test_without_a_vector_the_strongest_direction_stands_in_its_place(comparison):
    rows = [row for row in comparison.tables["recovery"].to_pylist() if row["control"] is not None]
    rows = [row | {"strongest": row["vector"] == "random 3"} for row in rows]
    tables = comparison.tables | {"recovery": pa.Table.from_pylist(rows)}
    panel = figures(replace(comparison, tables=tables))["accuracy"].axes[0]
    (strongest,) = (row["accuracy"] for row in rows if row["strongest"])
    assert rows_of(panel)[1][6] == f"{strongest:.2f}"


def test_chance_is_known_only_where_answers_are_classes(comparison):
    table = comparison.tables["problems"]
    unique = table.set_column(4, "answer", pa.array([str(k) for k in range(len(table))]))
    assert table.column_names[4] == "answer"
    figure = figures(replace(comparison, tables={"problems": unique}))["accuracy"]
    assert not any("commonest" in text for axis in figure.axes for text in rows_of(axis)[1])


def test_probes_are_means_over_the_values_read(comparison, drawn):
    panel = drawn["probes"].axes[0]
    rows = [row for row in comparison.tables["probes"].to_pylist() if row["split"] == "test"]
    weaker = [row["accuracy"] for row in rows if row["role"] == "weaker" and row["layer"] == 2]
    line = next(line for line in panel.lines if line.get_label() == "weaker")
    assert line.get_ydata()[2] == pytest.approx(sum(weaker) / 2)
    band = next(c for c in panel.collections if c.get_label() == "control labels, range")
    controls = [row["control"] for row in rows if row["control"] is not None]
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((min(controls), max(controls)))


@pytest.mark.parametrize(("name", "figure"), [("confidence", GIVEN), ("gain", GAIN)])
def test_curves_are_those_of_the_table(comparison, drawn, name, figure):
    (panel,) = drawn[name].axes
    assert panel.get_title(loc="left") == "test"  # of ood no trace was read
    rows = [row for row in comparison.tables["curves"].to_pylist() if row["figure"] == figure]
    lines = [line for line in panel.lines if len(line.get_xdata()) > 2]
    for role, line, band in zip(("base", "tuned"), lines, panel.collections, strict=True):
        own = [row for row in rows if row["checkpoint"] == role]
        assert np.asarray(line.get_xydata()).tolist() == [[row["share"], row["value"]] for row in own]
        inside = {tuple(point) for point in band.get_paths()[0].vertices.tolist()}
        assert {(row["share"], row[end]) for row in own for end in ("low", "high")} <= inside
    assert ends(drawn[name]) == [f"base: {PROBLEMS} traces", f"tuned: {PROBLEMS} traces"]


def test_latents_stand_where_their_decoders_put_them_by_kind(drawn):
    rows = [row for row in latents() if row["kind_by_scaling"] != "dead"]
    figure = drawn["latents"]
    shares, cosines = figure.axes
    kinds = {"base only": "base_only", "shared": "shared", "tuned only": "tuned_only"}
    for panel, name in ((shares, "frequency"), (cosines, "cosine")):
        lines = {line.get_label(): line for line in panel.lines}
        assert set(lines) == set(kinds)
        for label, line in lines.items():
            own = [row for row in rows if row["kind_by_scaling"] == kinds[label]]
            expected = [(row["relative_norm"], row[name]) for row in own]
            assert np.asarray(line.get_xydata()) == pytest.approx(np.array(expected))
        looks = {(line.get_color(), line.get_marker()) for line in panel.lines}
        assert len({color for color, _ in looks}) == len({marker for _, marker in looks}) == 3
    assert shares.get_title(loc="left") == "50 of 60 latents fire"
    assert set(labels(figure)) == set(kinds)


def test_latents_are_said_with_their_figures():
    rows = [
        {"kind_by_scaling": kind, "frequency": share, "relative_norm": norm, "cosine": cosine}
        for kind, share, norm, cosine in (
            ("shared", 0.1, 0.5, 0.9), ("shared", 0.3, 0.4, 0.8), ("shared", 0.2, 0.6, 1.0),
            ("tuned_only", 0.0123, 0.97, 0.25), ("dead", 0.0, 0.5, 0.0), ("shared", 0.5, None, 0.0),
        )
    ]  # fmt: skip
    assert latents_said(rows) == (
        "4 of 6 latents fire. Median and range: shared 3 (75%), relative norm 0.50 (0.40 to 0.60), "
        "cosine 0.90 (0.80 to 1.00), fires at 20% (10% to 30%) of tokens; tuned only 1 (25%), relative norm "
        "0.97 (0.97 to 0.97), cosine 0.25 (0.25 to 0.25), fires at 1.2% (1.2% to 1.2%) of tokens."
    )
    assert latents_figure(rows[4:]) is None
    assert latents_figure([]) is None


def test_of_many_latents_the_marks_are_a_picture():
    rows = [
        {"kind_by_scaling": "shared", "frequency": 0.1, "relative_norm": k / 5000, "cosine": k / 5000}
        for k in range(5000)
    ]
    figure = latents_figure(rows)
    assert figure is not None
    written = svg(figure)
    assert len(written) < 400_000
    again = latents_figure(rows)
    assert again is not None
    assert svg(again) == written


def test_doses_are_the_best_over_layers_and_positions(comparison, drawn):
    figure = drawn["doses"]
    rows = comparison.tables["sweep"].to_pylist()
    delta = [
        max(row["lenient"] for row in rows if row["vector"] == "delta" and row["dose"] == dose)
        for dose in (0.5, 8)
    ]
    line = next(line for line in figure.axes[0].lines if line.get_label() == "delta")
    assert [line.get_ydata()[0], line.get_ydata()[-1]] == delta
    assert ends(figure) == [
        "8 random directions", "1 shuffled labels", "1 random positions", 
        *(literal(name, 24) for name in VECTORS),
    ]  # fmt: skip


def test_a_setting_that_was_tried_on_few_problems_stands_behind_one_that_was_tried_on_more():
    tried = [(1.0, 4, 1.0), (1.0, 64, 0.25), (1.0, 64, 0.5), (2.0, 8, 0.75)]
    rows = [
        {"vector": "v", "control": None, "dose": dose, "problems": problems, "lenient": right}
        for dose, problems, right in tried
    ]
    figure = doses_figure(rows)
    assert figure is not None
    (line,) = (line for line in figure.axes[0].lines if line.get_label() == "v")
    assert np.asarray(line.get_xydata()).tolist() == [[1.0, 0.5], [2.0, 0.75]]


@pytest.mark.parametrize("kind", ["random directions", "shuffled labels", "random positions"])
def test_controls_of_each_kind_are_a_band_from_the_least_to_the_most(comparison, drawn, kind):
    best: dict[str, dict[float, float]] = {}
    for row in comparison.tables["sweep"].to_pylist():
        if row["control"] == kind:
            doses = best.setdefault(row["vector"], {})
            doses[row["dose"]] = max(row["lenient"], doses.get(row["dose"], 0))
    band = next(
        each
        for each in drawn["doses"].axes[0].collections
        if each.get_label() == f"{len(best)} {kind} (least to most)"
    )
    for dose in sorted({dose for each in best.values() for dose in each}):
        at = [y for x, y in band.get_paths()[0].vertices if x == dose]
        there = [each[dose] for each in best.values()]
        assert (min(at), max(at)) == pytest.approx((min(there), max(there)))


def test_many_vectors_share_one_name(comparison):
    rows = comparison.tables["sweep"].to_pylist()
    rows = [row | {"vector": f"vector {k}"} for k in range(15) for row in rows if row["vector"] == "delta"]
    figure = figures(replace(comparison, tables={"sweep": pa.Table.from_pylist(rows)}))["doses"]
    assert len(ends(figure)) == 7
    assert ends(figure)[0] == "9 other vectors"


@pytest.mark.slow
def test_names_of_lines_stand_apart_within_the_figure(comparison, preserved):
    """One split, and everything that a line can be."""
    rows = [row for row in comparison.tables["probes"].to_pylist() if row["split"] == "test"]
    one = replace(
        comparison,
        summary={**comparison.summary, "splits": {"test": comparison.summary["splits"]["test"]}},
        tables=comparison.tables | {"probes": pa.Table.from_pylist(rows)},
    )
    shown = figures(one)
    assert len(ends(shown["probes"])) == 7
    for name in ("probes", "doses", "confidence", "gain"):
        figure = shown[name]
        figure.draw_without_rendering()
        (panel, *_) = figure.axes
        middles = sorted(Text.get_window_extent(text).y0 for text in panel.texts)
        assert min(after - before for before, after in pairwise(middles)) > 0.14 * figure.dpi  # 10 points
    for figure in [*shown.values(), *figures(comparison).values(), *figures(preserved).values()]:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            svg(figure)
        assert min(axis.get_window_extent().height for axis in figure.axes) > 0.4 * figure.dpi


@pytest.mark.parametrize(("low", "high"), [(-0.02, 0.3), (0.0, 1.0), (-0.9, 1.4), (-0.05, 2.0), (-4.0, 7.0)])
def test_numbers_of_an_axis_stand_apart(drawn, low, high):
    gap = Estimate((low + high) / 2, low, high, 40)
    rows: list[Mark | Band] = [Mark("vector", gap), Band("other problems' answers", [gap])]
    wide = recovery_figure([Panel("test", rows)])
    assert wide is not None
    for figure in (*drawn.values(), wide):
        figure.draw_without_rendering()
        for axis in figure.axes:
            numbers = [text for text in axis.get_xticklabels() if text.get_text() and text.get_visible()]
            left, right = sorted(axis.get_xlim())
            inside = [text for text in numbers if left <= text.get_position()[0] <= right]
            boxes = sorted((text.get_window_extent() for text in inside), key=lambda box: box.x0)
            assert all(one.x1 + 2 < other.x0 for one, other in pairwise(boxes)), figure


def test_text_can_be_read_on_a_phone(drawn, preserved):
    for figure in [*drawn.values(), *figures(preserved).values()]:
        figure.draw_without_rendering()
        scale = PHONE / (figure.get_figwidth() * 72)
        texts = [text for text in figure.findobj(matplotlib.text.Text) if text.get_text()]
        assert min(text.get_fontsize() for text in texts) * scale >= 9
        width = figure.bbox.width
        inside = [text.get_window_extent() for text in texts if text.get_visible()]
        assert all(box.x0 >= -1 and box.x1 <= width + 1 for box in inside)


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_files_are_the_same_each_time_whatever_the_user_set(comparison, rendered):
    first = {
        name: tuple(rendered[f"figures/{name}.{kind}"] for kind in ("svg", "png", "pdf")) for name in FIGURES
    }
    with matplotlib.rc_context(
        {"font.size": 30, "text.color": "red", "svg.hashsalt": "other", "savefig.dpi": 20}
    ):
        again = {
            name: (svg(figure), png(figure), pdf(figure)) for name, figure in figures(comparison).items()
        }
        assert matplotlib.rcParams["font.size"] == 30
    assert first == again
    assert all(picture.startswith(b"\x89PNG") for _, picture, _ in first.values())
    assert all(page.startswith(b"%PDF") for *_, page in first.values())


@pytest.mark.parametrize("name", ["$x$ and $", "line\nbreak", "推理", "🧮", r"\$", "_hidden", "x" * 300])
def test_names_are_drawn_as_they_are(comparison, name):
    rows = comparison.tables["sweep"].to_pylist()
    rows = [row | {"vector": name} for row in rows if row["vector"] == "delta"]
    figure = figures(replace(comparison, tables={"sweep": pa.Table.from_pylist(rows)}))["doses"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg(figure)
    assert ends(figure) == [literal(name, 24)]
    assert len(literal(name)) <= 36
