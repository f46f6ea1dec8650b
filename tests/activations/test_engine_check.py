"""An engine is told from the reference by what it does under interventions: each fault by its own name."""

from dataclasses import replace

import pytest

from tests.toys import tiny_folder
from undertext.activations import Checkpoint, UserError
from undertext.activations.engine_check import MIXED, READ, check_engine
from undertext.activations.generation_engine import ReferenceEngine, Refused, Written
from undertext.activations.operators import OPERATORS

PROMPTS = ["one two three", "a", "b c d e f"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return Checkpoint.load(tiny_folder(tmp_path_factory.mktemp("engine") / "model", seed=0))


class Changed(ReferenceEngine):
    """The reference, with what it is given changed."""

    def __init__(self, checkpoint, change):
        super().__init__(checkpoint)
        self.change = change

    def generate(self, prompts, *, max_new_tokens, interventions):
        given = [None if each is None else self.change(each) for each in interventions]
        return super().generate(prompts, max_new_tokens=max_new_tokens, interventions=given)


def check(engine, checkpoint, prompts=PROMPTS):
    return check_engine(engine, checkpoint, prompts, max_new_tokens=4)


def outcomes(checked):
    return {(each.operator, each.gate): each.outcome for each in checked}


def test_the_reference_is_equal_to_itself_under_every_operator_and_gate(checkpoint):
    checked = check(ReferenceEngine(checkpoint), checkpoint)
    assert {each.outcome for each in checked} == {"equal"}
    assert {each.operator for each in checked} == {*OPERATORS, READ, MIXED, "none"}
    assert len(checked) == 10 * len(OPERATORS) + 3


def test_what_interventions_do_shows_in_what_is_written(checkpoint):
    """Otherwise an engine that leaves them out would be equal."""
    checked = outcomes(check(Changed(checkpoint, lambda _: None), checkpoint))
    steered = {key: outcome for key, outcome in checked.items() if key[0] in OPERATORS}
    # Where a conditional gate lets nothing through, there is nothing to be left out.
    assert {outcome for (_, gate), outcome in steered.items() if gate not in ("tokens", "threshold")} == {
        "unsteered"
    }
    assert checked[MIXED, MIXED] == "unsteered"
    assert checked[READ, "blocks.1.hook_resid_post"] == checked["none", "none"] == "equal"


def test_an_engine_that_counts_and_does_nothing_is_unsteered(checkpoint):
    class Counts(ReferenceEngine):
        def generate(self, prompts, *, max_new_tokens, interventions):
            real = super().generate(prompts, max_new_tokens=max_new_tokens, interventions=interventions)
            plain = super().generate(
                prompts, max_new_tokens=max_new_tokens, interventions=[None] * len(prompts)
            )
            return Written(plain.tokens, real.touched)

    checked = outcomes(check(Counts(checkpoint), checkpoint))
    assert checked["add", "all"] == checked["replace", "prompt"] == checked[MIXED, MIXED] == "unsteered"


@pytest.mark.parametrize(
    ("gate", "change"),
    [
        pytest.param("decay", lambda each: replace(each, decay=1.0), marks=pytest.mark.slow),
        pytest.param("first", lambda each: replace(each, first=None), marks=pytest.mark.slow),
        pytest.param(
            "indices",
            lambda each: replace(each, at="last_prompt") if isinstance(each.at, tuple) else each,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_gate_that_is_passed_over_is_found_and_others_are_equal(checkpoint, gate, change):
    checked = outcomes(check(Changed(checkpoint, change), checkpoint))
    # Where what is left of it changes no token, it looks like none at all.
    assert checked["add", gate] in ("differs", "unsteered")
    assert {outcome for (operator, other), outcome in checked.items() if other not in (gate, MIXED)} == {
        "equal"
    }


def test_what_is_refused_is_called_so(checkpoint):
    def change(each):
        if each.operator == "rotate" or each.pattern is not None:
            raise Refused("not carried out")
        return each

    checked = outcomes(check(Changed(checkpoint, change), checkpoint))
    refused = {key for key, outcome in checked.items() if outcome == "refused"}
    assert refused == {
        key for key in checked if key[0] == "rotate" or (key[1] == "pattern" and key[0] in OPERATORS)
    }
    assert {outcome for key, outcome in checked.items() if key not in refused} == {"equal"}


def test_an_engine_that_takes_one_intervention_a_batch_says_so(checkpoint):
    class OneKind(ReferenceEngine):
        def generate(self, prompts, *, max_new_tokens, interventions):
            if len({id(each) for each in interventions}) > 1:
                raise Refused("one intervention a batch")
            return super().generate(prompts, max_new_tokens=max_new_tokens, interventions=interventions)

    checked = outcomes(check(OneKind(checkpoint), checkpoint))
    assert checked.pop((MIXED, MIXED)) == "refused"
    assert set(checked.values()) == {"equal"}


def test_residuals_that_differ_are_told(checkpoint):
    class Shifted(ReferenceEngine):
        def read(self, prompts, points):
            return [each.roll(1, dims=1) for each in super().read(prompts, points)]

    (read,) = [each for each in check(Shifted(checkpoint), checkpoint) if each.operator == READ]
    assert (read.outcome, read.unlike, read.rows) == ("differs", len(PROMPTS), len(PROMPTS))


def test_without_prompts_there_is_nothing_to_check(checkpoint):
    with pytest.raises(UserError, match="expected prompts"):
        check(ReferenceEngine(checkpoint), checkpoint, [])
