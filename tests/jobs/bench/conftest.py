"""A bench of organisms that are hardly trained."""

import pytest

from tests.jobs.bench.hardly import PLAN, hardly_trained


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """A plan's file; of its worlds few problems are asked, and organisms are trained for two steps."""
    path = tmp_path_factory.mktemp("plan") / "plan.yaml"
    path.write_text(PLAN)
    with hardly_trained():
        yield path
