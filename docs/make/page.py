"""What every page on the organisms has: which organisms, where it goes, and how it is written."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from undertext.activations.errors import UserError
from undertext.core.config import Config
from undertext.core.progress import Progress
from undertext.core.publish import check_writable, publish
from undertext.core.shipped import SHIPPED, organisms


class Page(Config):
    """A page that is made from measurements on organisms."""

    folder: Path = SHIPPED
    """Folder that holds the organisms."""
    out: Path = Path("docs")
    """Folder to write the page and its figures into."""
    seed: int = Field(default=0, ge=0)
    """Random seed."""

    def files(self, bars: Progress) -> dict[str, bytes]:
        """Measure, and give the files by path below `out`. UserError as the jobs that measure."""
        raise NotImplementedError

    def needed(self) -> Sequence[str]:
        """Names of the organisms that are measured; none for those that there are."""
        return ()

    def check(self) -> None:
        """UserError for organisms that are missing."""
        held = organisms(self.folder)
        if not held:
            raise UserError(f"expected organisms in {self.folder}, got none")
        missing = sorted(set(self.needed()) - set(held))
        if missing:
            raise UserError(f"expected organisms in {self.folder}, there is no {', no '.join(missing)}")

    def write(self, bars: Progress) -> list[Path]:
        """Measure, write, and give what was written.

        UserError, before any long work, as `check`, and for an `out` that cannot be written.
        """
        self.check()
        check_writable(self.out)
        files = self.files(bars)
        publish(files, self.out)
        return [self.out / name for name in files]
