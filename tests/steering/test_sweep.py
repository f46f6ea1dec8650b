"""Sweeps on tiny random models: every setting against one row at a time, made by hand."""

from typing import Any, get_args

import pytest
import torch

from tests.toys import SHAPES, Shape, tiny_model, word_tokenizer
from undertext.activations import (
    Checkpoint,
    HookPoint,
    Intervention,
    Operator,
    Threshold,
    capture,
    generate,
)
from undertext.activations.errors import UserError
from undertext.steering import (
    Gate,
    Readout,
    Setting,
    SteeringVector,
    Sweep,
    grid,
    mean_norm,
    random_directions,
    sweep,
)

PROMPTS = ["a = 3 ; find a :", "so", "b = 4 ; c = b + 1 ; so c ?", "d"]
STEPS = 4
OPERATORS: tuple[Operator, ...] = get_args(Operator)


@pytest.fixture(params=SHAPES)
def checkpoint(request: pytest.FixtureRequest) -> Checkpoint:
    shape: Shape = request.param
    tokenizer = word_tokenizer()
    return Checkpoint.load(tiny_model(shape, len(tokenizer)), tokenizer=tokenizer)


@pytest.fixture
def vectors(checkpoint: Checkpoint) -> list[SteeringVector]:
    points = [HookPoint(layer, "resid_post") for layer in range(checkpoint.n_layers)]
    activations = capture(checkpoint, PROMPTS, points).activations
    norms, centre = mean_norm(activations), activations.mean(1)
    return [
        SteeringVector("one", 7 * random_directions(3, 32, seed=1), norms, "random", centre=centre),
        SteeringVector("two", random_directions(3, 32, seed=2), norms, "random"),
        SteeringVector("mlp", random_directions(3, 32, seed=3), norms, "random", site="mlp_out"),
    ]


def said(i: int, text: str, cut: bool = False) -> tuple[bool, bool]:
    """Something that differs between texts and prompts."""
    return len(text) % 3 == i % 3, len(text) % 2 == i % 2


def run(
    checkpoint: Checkpoint, settings: list[Setting], vectors: list[SteeringVector], **options: Any
) -> Sweep:
    return sweep(checkpoint, PROMPTS, settings, vectors, said, max_new_tokens=STEPS, **options)


def check_alone(checkpoint: Checkpoint, found: Sweep, acting: list[list[Intervention]]) -> None:
    """Every row is what its own interventions give when it is generated alone."""
    for i, row in enumerate(acting):
        for j, prompt in enumerate(PROMPTS):
            alone = generate(checkpoint, [prompt], max_new_tokens=STEPS, interventions=[row])
            assert found.texts[i][j] == alone.texts[0]
            assert found.touched[i, j] == alone.touched[0]
            assert found.written[i, j] == len(alone.tokens[0])
            assert found.steered[i, j] == alone.steered[0]
            assert found.produced[i, j] == alone.produced[0]
            assert found.passes[i, j] == len(checkpoint.encode([prompt])[0]) + alone.produced[0] - 1
            assert (bool(found.strict[i, j]), bool(found.lenient[i, j])) == said(j, alone.texts[0])
    assert found.ran.all()


def test_doses_of_add_and_clamp_are_in_norms_and_others_are_shares(checkpoint, vectors):
    one = vectors[0]
    settings = grid(["one"], [1], [0.6], operators=OPERATORS)
    found = run(checkpoint, settings, vectors, batch_size=7)
    assert found.settings == settings
    direction, norm = one.directions[1] / 7, float(one.norms[1])
    assert one.centre is not None
    point = HookPoint(1, "resid_post")
    acting = [
        Intervention(point, direction, 0.6 * norm),
        Intervention(point, direction, 0.6, operator="ablate"),
        Intervention(point, direction, 0.6 * norm, operator="clamp"),
        Intervention(point, direction, 0.6, operator="affine", centre=one.centre[1]),
        Intervention(point, direction, 0.6, operator="rotate"),
        Intervention(point, 7 * direction, 0.6, operator="replace"),
    ]
    check_alone(checkpoint, found, [[each] for each in acting])


def test_every_gate_of_the_ground_can_be_set(checkpoint, vectors):
    so = checkpoint.tokenizer.convert_tokens_to_ids("so")
    readout = Readout(random_directions(3, 32, seed=8), torch.tensor([0.0, 0.5, 0.0]))
    where = {
        "last_prompt": Gate(),
        "prompt": Gate("prompt"),
        "generated": Gate("generated"),
        "all": Gate("all"),
        "index": Gate((0, -1)),
        "first": Gate("generated", first=2),
        "decay": Gate("all", decay=0.5),
        "tokens": Gate("all", tokens=frozenset({so})),
        "pattern": Gate("all", pattern=r"\d ;"),
        "threshold": Gate("all", threshold="reads"),
    }
    settings = grid(["two"], [1], [3.0], list(where.values()))
    found = run(checkpoint, settings, vectors, thresholds={"reads": readout})
    vector, dose = vectors[1].directions[1], 3.0 * float(vectors[1].norms[1])
    made: dict[str, dict[str, Any]] = {
        name: {"at": each.at, "first": each.first, "decay": each.decay, "tokens": each.tokens}
        for name, each in where.items()
    }
    made["pattern"]["pattern"] = r"\d ;"
    made["threshold"]["threshold"] = Threshold(readout.directions[1], 0.5)
    point = HookPoint(1, "resid_post")
    check_alone(checkpoint, found, [[Intervention(point, vector, dose, **each)] for each in made.values()])
    touched = dict(zip(where, found.touched.tolist(), strict=True))
    assert touched["last_prompt"] == [1] * 4
    shares = dict(zip(where, found.share_steered().tolist(), strict=True))
    assert shares["all"] == shares["decay"] == 1
    of_all = dict(zip(where, found.share_touched().tolist(), strict=True))
    assert of_all["all"] == of_all["decay"] == 1
    read = found.passes.sum(1).tolist()
    for i, name in enumerate(where):
        if name in (
            "last_prompt",
            "prompt",
        ):  # of four prompts the last token, and so the first generated one
            assert shares[name] == pytest.approx(4 / int(found.produced[i].sum()))
        assert of_all[name] == pytest.approx(sum(touched[name]) / read[i])
    assert 0 < sum(touched["tokens"]) < sum(touched["all"])
    assert 0 < sum(touched["pattern"]) < sum(touched["all"])
    assert 0 < sum(touched["threshold"]) < sum(touched["all"])


def test_several_layers_act_at_once_each_with_its_own_direction_and_norm(checkpoint, vectors):
    settings = grid(["one", "two"], [(0, 2), (2, 0), 1], [0.7], [Gate("all")])
    found = run(checkpoint, settings, vectors)
    acting = [
        [
            Intervention(
                HookPoint(layer, "resid_post"),
                vector.directions[layer] / vector.directions[layer].norm(),
                0.7 * float(vector.norms[layer]),
                "all",
            )
            for layer in layers
        ]
        for vector in vectors[:2]
        for layers in ((0, 2), (2, 0), (1,))
    ]
    check_alone(checkpoint, found, acting)


def test_a_vector_acts_at_its_own_site(checkpoint, vectors):
    found = run(checkpoint, grid(["mlp"], [0], [2.0]), vectors)
    vector = vectors[2]
    dose = 2.0 * float(vector.norms[0])
    check_alone(checkpoint, found, [[Intervention(HookPoint(0, "mlp_out"), vector.directions[0], dose)]])


def test_stop_texts_and_progress_are_passed_on(checkpoint, vectors):
    settings = grid(["two"], [1], [1.0, 2.0])
    plain = run(checkpoint, settings, vectors)
    j = next(j for j, text in enumerate(plain.texts[1]) if len(set(text.split())) > 1)
    first = plain.texts[1][j].split()[0]
    word = next(each for each in plain.texts[1][j].split() if each != first)
    done: list[int] = []
    stopped = run(checkpoint, settings, vectors, stop=[f" {word}"], progress=done.append, batch_size=3)
    assert stopped.texts[1][j] == plain.texts[1][j].split(f" {word}")[0]
    assert stopped.written[1, j] < plain.written[1, j]
    assert sum(done) == len(settings) * len(PROMPTS)


def test_a_grade_is_asked_for_the_prompt_it_is_of_and_once(checkpoint, vectors):
    asked: list[tuple[int, str]] = []

    def grade(i: int, text: str, cut: bool) -> tuple[bool, bool]:
        asked.append((i, text))
        return False, i == 2

    found = sweep(checkpoint, PROMPTS, grid(["one"], [0, 1], [1.0]), vectors, grade, max_new_tokens=2)
    assert found.lenient.tolist() == [[False, False, True, False]] * 2
    assert not found.strict.any()
    assert found.accuracy().tolist() == [0.25] * 2
    assert found.accuracy("strict").tolist() == [0.0] * 2
    assert sorted(asked) == sorted((i, text) for row in found.texts for i, text in enumerate(row))


def test_rows_of_a_setting_share_their_interventions_and_settings_their_tensors(
    checkpoint, vectors, monkeypatch
):
    given: list[Any] = []

    def spy(*args: Any, interventions: Any, **options: Any) -> Any:
        given.extend(interventions)
        return generate(*args, interventions=interventions, **options)

    monkeypatch.setattr("undertext.steering.sweep_runner.generate", spy)
    run(checkpoint, grid(["one"], [1], [1.0, 2.0], operators=["add", "ablate"]), vectors, batch_size=3)
    assert len(given) == 16
    assert len({id(each) for row in given for each in row}) == 4
    assert len({id(each.vector) for row in given for each in row}) == 1


def test_grid_order():
    found = grid(["a", "b"], [3, (1, 2)], [2.0, 0.5], [Gate("all"), Gate()], ["add", "clamp"])
    assert found == [
        Setting(vector, layers, dose, where, operator)
        for vector in ("a", "b")
        for layers in ((3,), (1, 2))
        for operator in ("add", "clamp")
        for where in (Gate("all"), Gate())
        for dose in (2.0, 0.5)
    ]


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        (Setting("ones", (0,), 1.0), "no vector 'ones'; there are: one, two, mlp"),
        (Setting("one", (3,), 1.0), "expected a layer from 0 to 2, got 3"),
        (Setting("one", (-1,), 1.0), "expected a layer from 0 to 2, got -1"),
        (Setting("one", (), 1.0), "one or more different layers"),
        (Setting("one", (1, 1), 1.0), "one or more different layers"),
        (Setting("two", (1,), 1.0, operator="affine"), "needs a centre, which vector 'two' does not have"),
        (Setting("one", (1,), 1.0, Gate(threshold="t")), "no threshold 't'; there are: none"),
        (Setting("one", (1,), 1.0, Gate((9,))), "there is no position 9 in it"),
    ],
)
def test_settings_that_cannot_be_are_named(checkpoint, vectors, setting, why):
    with pytest.raises(UserError, match=why):
        run(checkpoint, [setting], vectors)


def test_vectors_that_do_not_fit_are_named(checkpoint, vectors):
    setting = Setting("v", (1,), 1.0)
    with pytest.raises(UserError, match=r"vector 'v' has 2 layers, .* has 3"):
        run(checkpoint, [setting], [SteeringVector("v", torch.ones(2, 32), torch.ones(2), "")])
    with pytest.raises(UserError, match="expected a vector"):
        run(checkpoint, [setting], [SteeringVector("v", torch.ones(3, 31), torch.ones(3), "")])
    with pytest.raises(UserError, match="there are several one, two"):
        run(checkpoint, [], [*vectors, *vectors[:2]])
    with pytest.raises(UserError, match="each setting may occur once"):
        run(checkpoint, grid(["one"], [0, 0], [1.0]), vectors)
    absent = SteeringVector("v", torch.zeros(3, 32), torch.ones(3), "", absent=frozenset({1, 2}))
    with pytest.raises(UserError, match="'v' has no direction at layer 1; layers with one: 0"):
        run(checkpoint, [setting], [absent])


def test_no_hook_is_left_behind(checkpoint, vectors):
    run(checkpoint, grid(["one"], [0, 1, 2], [1.0], [Gate("all")]), vectors)
    for module in checkpoint.model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_no_settings_give_an_empty_sweep(checkpoint, vectors):
    found = run(checkpoint, [], vectors)
    assert found.strict.shape == found.lenient.shape == torch.Size([0, len(PROMPTS)])
    assert found.texts == []
