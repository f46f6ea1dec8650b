"""The captured stream of each family against Hugging Face's hidden states, alone and in padded batches."""

import pytest
import torch
from torch.testing import assert_close

from tests.activations.families.by_hand import TEXTS, bare, distance, final_norm
from undertext.activations import HookPoint, capture

STREAM = [HookPoint(layer, site) for layer in range(3) for site in ("resid_pre", "resid_post")]


def hidden_states(checkpoint, ids):
    """What one prompt has at all of STREAM's points but the last, and after the final norm."""
    states = bare(checkpoint, torch.tensor([ids])).hidden_states
    assert len(states) == 4
    known = {HookPoint(layer, "resid_pre"): states[layer][0].float() for layer in range(3)}
    known |= {HookPoint(layer, "resid_post"): states[layer + 1][0].float() for layer in range(2)}
    return known, states[-1][0]


@pytest.mark.parametrize("row", range(len(TEXTS)))
def test_one_prompt_alone_gives_the_very_bits(member, row):
    (ids,) = member.encode(TEXTS[row : row + 1])
    captured = capture(member, [ids], STREAM, "all")
    known, last = hidden_states(member, ids)
    for point, expected in known.items():
        assert torch.equal(captured[point].float(), expected), point
    # The stream after the last block is known through the final norm, whose output Hugging Face gives.
    with torch.no_grad():
        normed = final_norm(member)(captured[HookPoint(2, "resid_post")].to(member.dtype))
    assert torch.equal(normed, last)


def test_a_batch_of_mixed_lengths_gives_what_each_prompt_gives_alone(exact):
    captured = capture(exact, TEXTS, STREAM, "all")
    for row, ids in enumerate(exact.encode(TEXTS)):
        at = captured.rows == row
        assert captured.positions[at].tolist() == list(range(len(ids)))
        known, last = hidden_states(exact, ids)
        for point, expected in known.items():
            assert_close(captured[point][at], expected, atol=1e-5, rtol=1e-5)
        with torch.no_grad():
            normed = final_norm(exact)(captured[HookPoint(2, "resid_post")][at])
        assert_close(normed, last, atol=2e-5, rtol=2e-5)


def test_in_bfloat16_a_batch_is_as_near_the_truth_as_a_prompt_alone(zoo, family, widened):
    """The shape of a batch changes how sums are rounded, so the bits differ.

    What must hold: against the same weights computing in float32, a padded batch is hardly further
    off than Hugging Face is with each prompt alone.
    """
    rounded = zoo.load(family, torch.bfloat16)
    captured = capture(rounded, TEXTS, STREAM, "all")
    for row, ids in enumerate(rounded.encode(TEXTS)):
        known, _ = hidden_states(rounded, ids)
        truth, _ = hidden_states(widened, ids)
        for point, alone in known.items():
            found = captured[point][captured.rows == row].float()
            assert distance(found, truth[point]) <= 1.2 * distance(alone, truth[point]) + 1e-3, point


def test_positions_asked_for_are_those_of_all(member):
    """The last token, in the batch that holds all of them."""
    everything, last = (capture(member, TEXTS, STREAM, which) for which in ("all", "last"))
    ends = torch.tensor([len(ids) for ids in member.encode(TEXTS)]).cumsum(0) - 1
    for point in STREAM:
        assert torch.equal(last[point], everything[point][ends])
