"""Every page on the organisms: mistakes are found before any long work, and nothing is then written."""

import pytest

from docs.make.__main__ import PAGES, main
from docs.make.fates import BEGIN, END
from docs.make.markdown import between_markers
from undertext.activations import UserError
from undertext.core.shipped import SHIPPED
from undertext.report.markdown import table

BUILDS = "findings"
"""The page that builds its organisms."""


@pytest.mark.parametrize("page", [page for page in PAGES if page != BUILDS])
def test_a_folder_without_organisms_is_named(page, tmp_path, capsys):
    assert main([page, "--folder", str(tmp_path), "--out", str(tmp_path / "page")]) == 2
    assert capsys.readouterr().err == f"docs.make: expected organisms in {tmp_path}, got none\n"
    assert not (tmp_path / "page").exists()


@pytest.mark.parametrize("page", ["zoo_recovered", "zoo_features", "routes", "fates"])
def test_an_organism_that_is_missing_is_named(page, tmp_path, capsys):
    (tmp_path / "base").symlink_to(SHIPPED / "base")
    assert main([page, "--folder", str(tmp_path), "--out", str(tmp_path / "page")]) == 2
    assert f"expected organisms in {tmp_path}, there is no elicited, no " in capsys.readouterr().err
    assert not (tmp_path / "page").exists()


def test_a_page_without_markers_is_refused_before_the_long_work(tmp_path, capsys):
    (tmp_path / "saes.md").write_text("no markers")
    assert main(["fates", "--out", str(tmp_path)]) == 2
    assert f"expected the line {BEGIN} and after it {END} in {tmp_path}/saes.md" in capsys.readouterr().err


def test_a_table_goes_between_its_markers(tmp_path):
    file = tmp_path / "page.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    text = between_markers(file, BEGIN, END, table(["a", "b"], [["1", "2"]]))
    assert text == f"before\n{BEGIN}\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n{END}\nafter\n"
    file.write_text(f"{END}\n{BEGIN}\n")
    with pytest.raises(UserError, match="once each"):
        between_markers(file, BEGIN, END, "")
