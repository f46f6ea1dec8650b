"""Every kind of vector finds a switch that is there; on a model without it none does, nor do controls."""

from collections.abc import Callable

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from tests.steering.planted import NEUTRAL, WIDTH, Planted, at_end, planted, right, styled
from undertext.activations import Checkpoint, HookPoint, generate
from undertext.steering import (
    SteeringVector,
    Sweep,
    at_layers,
    difference_of_means,
    fit_vector,
    grid,
    mean_norm,
    means_of_written,
    principal_difference,
    random_directions,
    shuffled_labels,
    sweep,
)

DOSES = (0.5, 1.0, 2.0)


def from_means(model: Planted) -> Tensor:
    think, guess = (at_end(model.checkpoint, styled(style)) for style in ("think", "guess"))
    return difference_of_means(think, guess)


def from_rollouts(model: Planted) -> Tensor:
    prompts = [*styled("think"), *styled("guess")]
    out = generate(model.checkpoint, prompts, max_new_tokens=3, samples=4, temperature=1.0, seed=3)
    labels = torch.tensor([right(i // 4 % 10, text)[1] for i, text in enumerate(out.texts)])
    if not labels.any():  # the model without a switch
        labels[: len(labels) // 2] = True
    heads = [ids for ids in model.checkpoint.encode(prompts) for _ in range(4)]
    kept = [i for i, tokens in enumerate(out.tokens) if tokens]
    means = means_of_written(
        model.checkpoint,
        [heads[i] + out.tokens[i] for i in kept],
        [len(heads[i]) for i in kept],
        [HookPoint(layer, "resid_post") for layer in range(2)],
    )
    return difference_of_means(means[:, labels[kept]], means[:, ~labels[kept]])


def from_delta(model: Planted) -> Tensor:
    stronger = planted(opened=True).checkpoint
    return difference_of_means(at_end(stronger, NEUTRAL), at_end(model.checkpoint, NEUTRAL))


def from_probe(model: Planted) -> Tensor:
    """One direction, read at layer 0 and tried at both."""
    x = torch.cat([at_end(model.checkpoint, styled(style))[0] for style in ("think", "guess")])
    probe = LogisticRegression(C=100.0).fit(x.numpy(), [1] * 10 + [0] * 10)
    return at_layers(torch.tensor(probe.coef_[0]), [0, 1], 2)


def from_decoder(model: Planted) -> Tensor:
    decoder = torch.randn(20, WIDTH, generator=torch.Generator().manual_seed(5))
    decoder[7] = 40 * model.switch
    return at_layers(decoder[7], [1], 2)


def from_components(model: Planted) -> Tensor:
    return principal_difference(
        at_end(model.checkpoint, styled("think")), at_end(model.checkpoint, styled("guess"))
    )


def from_fitting(model: Planted) -> Tensor:
    norms = mean_norm(at_end(model.checkpoint, NEUTRAL))
    return fit_vector(model.checkpoint, NEUTRAL, list(map(str, range(10))), norms, steps=60, lr=0.1)


KINDS: dict[str, Callable[[Planted], Tensor]] = {
    "means": from_means,
    "rollouts": from_rollouts,
    "delta": from_delta,
    "probe": from_probe,
    "decoder": from_decoder,
    "components": from_components,
    "fitted": from_fitting,
}


def steered(checkpoint: Checkpoint, directions: Tensor) -> Sweep:
    norms = mean_norm(at_end(checkpoint, NEUTRAL))
    vector = SteeringVector("v", directions, norms, "for a test")
    settings = grid(["v"], [0, 1, (0, 1)], DOSES)
    return sweep(checkpoint, NEUTRAL, settings, [vector], right, max_new_tokens=1)


def test_the_switch_works_as_it_was_planted():
    model = planted()
    for style, answers in (("think", 10), ("guess", 0), ("so", 0)):
        texts = generate(model.checkpoint, styled(style), max_new_tokens=1).texts
        assert sum(right(k, text)[0] for k, text in enumerate(texts)) == answers
    without = generate(planted(switch=False).checkpoint, styled("think"), max_new_tokens=1).texts
    assert set(without) == {"?"}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_vector_finds_the_switch_that_is_there(kind):
    model = planted()
    directions = KINDS[kind](model)
    along = torch.nn.functional.cosine_similarity(directions[1], model.switch, dim=0)
    assert along > (0.3 if kind == "fitted" else 0.7)  # fitting makes "?" less likely in other ways too
    assert steered(model.checkpoint, directions).accuracy().max() == 1.0
    assert steered(model.checkpoint, -directions).accuracy().max() == 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_of_vector_finds_a_switch_that_is_not_there(kind):
    model = planted(switch=False)
    assert steered(model.checkpoint, KINDS[kind](model)).accuracy().max() <= 0.2


def test_controls_do_not_find_the_switch():
    model = planted()
    think, guess = (at_end(model.checkpoint, styled(style)) for style in ("think", "guess"))
    meant = difference_of_means(think, guess)
    drawn = [random_directions(*meant.shape, seed=seed) for seed in range(5)]
    best = [steered(model.checkpoint, directions).accuracy().max() for directions in drawn]
    assert sum(best) / 5 < 0.4
    shuffled = [shuffled_labels(difference_of_means, think, guess, seed=seed) for seed in range(9)]
    lengths = torch.stack(shuffled).norm(dim=-1).mean(0)
    assert (lengths < 0.5 * meant.norm(dim=-1)).all()
