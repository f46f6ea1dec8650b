"""Steps of which a good part goes on, though not surely half: what tuning made worse is then not gone."""

from dataclasses import replace

import numpy as np
import pytest

from tests.verdicts import GONE, KNOWN, RULE, N, judged, kept, line
from undertext.jobs.compare.raw_line import RawLine

SHUT = [each for each in GONE if each.name != "continued"]


def going_on(share: float, **more: object) -> RawLine:
    """This share of the next steps of every problem."""
    return replace(line("continued", np.full(N, share), np.arange(N)), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("share", "says", "verdict"),
    [
        (0.0, "absent", "overwritten"),
        (0.2, "absent", "overwritten"),
        (0.25, "unclear", "undetermined"),
        (0.27, "unclear", "suppressed"),  # of 200 problems that is surely more than a quarter
        (0.4, "unclear", "suppressed"),
        (0.8, "latent", "suppressed"),
    ],
)
def test_what_goes_on_is_there_where_tuning_made_it_worse(share, says, verdict):
    result = judged(KNOWN, "tuned", [*SHUT, going_on(share)], withstood=kept(0.0))  # type: ignore[arg-type]
    (own,) = [each for each in result.evidence if each.name == "continued"]
    assert (own.says, result.verdict) == (says, verdict)
    assert (own.share.low > RULE.steps_above) == (verdict == "suppressed")
    told = [flag for flag in result.flags if flag.startswith("steps go on: ")]
    assert len(told) == (verdict == "suppressed" and says == "unclear")
    assert all(
        f"{share:.2f} [{own.share.low:.2f}, " in flag and "`steps_above` 0.25" in flag for flag in told
    )


def test_a_base_of_whose_steps_a_part_goes_on_has_no_verdict_for_it():
    """Some steps that a base finds may be all that it ever had."""
    both = {"base": KNOWN["tuned"], "tuned": KNOWN["base"]}
    shut = [each for each in SHUT if each.name != "undone"]
    found = {share: judged(both, "base", [*shut, going_on(share)]).verdict for share in (0.0, 0.4, 0.8)}  # type: ignore[arg-type]
    assert found == {0.0: "taught", 0.4: "undetermined", 0.8: "composed"}


def test_new_words_that_a_fluent_model_guesses_are_no_steps_that_go_on():
    found = [
        judged(KNOWN, "tuned", [*SHUT, going_on(share, in_words=True)], withstood=kept(0.0)).verdict  # type: ignore[arg-type]
        for share in (0.4, 0.8)
    ]
    assert found == ["undetermined", "suppressed"]


@pytest.mark.parametrize(("problems", "null"), [(RULE.min_problems - 1, 0.0), (N, 0.95)])
def test_few_problems_and_a_stronger_one_near_the_null_say_nothing(problems, null):
    own = line("continued", np.full(problems, 0.6 if null == 0 else 1.0), np.arange(problems))
    own = replace(own, null=np.full(problems, null))
    result = judged(KNOWN, "tuned", [*SHUT, own], withstood=kept(0.0))  # type: ignore[arg-type]
    assert result.verdict == "undetermined"
