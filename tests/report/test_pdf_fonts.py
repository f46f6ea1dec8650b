"""The fonts in a PDF: outlines of the letters drawn, as TrueType, and nothing of how letters are joined."""

import re
import zlib
from io import BytesIO

import pytest
from fontTools.subset import Options
from fontTools.ttLib import TTFont
from matplotlib.figure import Figure

from undertext.report.style import house_style, pdf


def drawn() -> Figure:
    with house_style():
        figure = Figure()
        figure.subplots().set(title="Fine efforts: ä, 字", xlabel="layer")
    return figure


def fonts(page: bytes) -> list[TTFont]:
    """The font files that are embedded in a PDF."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", page, re.DOTALL)
    data = []
    for each in streams:
        try:
            data.append(zlib.decompress(each))
        except zlib.error:
            continue
    return [TTFont(BytesIO(each)) for each in data if each[:4] == b"\x00\x01\x00\x00"]


@pytest.mark.filterwarnings("ignore:Glyph 23383")  # the font has no such letter
def test_outlines_alone_are_embedded_and_options_stay_as_they_were():
    before = list(Options._drop_tables_default)
    first, second = pdf(drawn()), pdf(drawn())
    assert first == second
    assert Options._drop_tables_default == before
    found = fonts(first)
    assert found
    for font in found:
        assert {"glyf", "loca", "hmtx"} <= set(font.keys())
        assert not {"GDEF", "GPOS", "GSUB"} & set(font.keys())
    names = {name for font in found for name in font.getGlyphOrder()}
    assert {"F", "adieresis", "colon", "y"} <= names  # what is drawn is there
    assert len(names) < 100


def test_where_fonttools_has_them_elsewhere_a_pdf_is_written_all_the_same(monkeypatch):
    kept = Options._drop_tables_default

    class Others(Options):  # type: ignore[misc]
        def __init__(self, **given: object) -> None:
            self._drop_tables_default = kept
            super().__init__(**given)

    monkeypatch.setattr("fontTools.subset.Options", Others)
    monkeypatch.delattr(Options, "_drop_tables_default")
    found = fonts(pdf(drawn()))
    assert any("GPOS" in font.keys() for font in found)  # noqa: SIM118, which is no dict
