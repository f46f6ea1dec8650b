"""Text between two markers of a page of Markdown."""

from pathlib import Path

from undertext.activations.errors import UserError


def between_markers(file: Path, begin: str, end: str, text: str) -> str:
    """What `file` holds with `text` between the markers. UserError when they are not there, once each."""
    try:
        page = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {file}: {error}") from error
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise UserError(f"expected the line {begin} and after it {end} in {file}, once each")
    before, rest = page.split(begin)
    return f"{before}{begin}\n\n{text}\n\n{end}{rest.split(end)[1]}"
