"""The pages on the organisms, measured and written: `python -m docs.make PAGE [--out DIR]`."""

import sys
from collections.abc import Callable, Sequence

import tyro

from docs.make.fates import FatesTable
from docs.make.findings_page import FindingsPage
from docs.make.page import Page
from docs.make.routes import RoutesPage
from docs.make.zoo import ZooPage
from docs.make.zoo_features import FeaturesPage
from docs.make.zoo_recovered import RecoveredPage
from undertext.activations.errors import UserError
from undertext.core.progress import Progress

PAGES: dict[str, Callable[..., Page]] = {
    "zoo": ZooPage,
    "zoo_recovered": RecoveredPage,
    "zoo_features": FeaturesPage,
    "routes": RoutesPage,
    "fates": FatesTable,
    "findings": FindingsPage,
}


def main(args: Sequence[str] | None = None) -> int:
    """Write one page. A mistake is one line on stderr and exit code 2."""
    page: Page = tyro.extras.subcommand_cli_from_dict(PAGES, prog="python -m docs.make", args=args)
    try:
        for file in page.write(Progress()):
            print(file)
    except UserError as error:
        print(f"docs.make: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
