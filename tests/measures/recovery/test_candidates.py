"""Which vectors a task and a pair offer to steer with."""

from typing import Any

import torch

from tests.made_up_task import CONFIG, POINTS, STRONGER, WEAKER, task_of
from undertext.activations import Checkpoint, Generations, capture, generate
from undertext.measures.recovery import candidates
from undertext.measures.recovery.candidates import MIN_SIDE, ROLLOUTS, CandidateVectors, candidate_vectors
from undertext.steering import SteeringVector, unit
from undertext.tasks import Contrast, Grader, drawn, grade
from undertext.tasks.draws import seeds


def mean_at_end(who: Checkpoint, texts: list[str]) -> torch.Tensor:
    """By plain passes over one text at a time, after every block but the last; [layer - 1, d_model]."""
    states = []
    for text in texts:
        hidden = who.model(torch.tensor(who.encode([text])), output_hidden_states=True).hidden_states
        states.append(torch.stack([each[0, -1] for each in hidden[1:-1]]))  # the last one is normed
    return torch.stack(states).mean(0)


def by_name(offered: CandidateVectors) -> dict[str, SteeringVector]:
    return {vector.name: vector for vector in offered.vectors}


def close_to(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(unit(found), wanted / wanted.norm(dim=-1, keepdim=True), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found.norm(dim=-1), wanted.norm(dim=-1), rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_contrasts_and_the_delta_are_differences_of_means_on_train_alone():
    contrast = Contrast(name="thinks", positive="find {prompt} so", negative="{prompt} answer")
    offered = candidate_vectors(WEAKER, STRONGER, task_of([contrast]), CONFIG)
    meant = ["thinks", "thinks of the stronger", "checkpoint delta"]
    made = [f"{how}: {name}" for how in ("shuffled", "elsewhere") for name in meant]
    assert list(by_name(offered)) == [*meant, *made, "random 1", "random 2"]
    assert list(offered.controls) == [*made, "random 1", "random 2"]
    prompts = [
        problem.prompt for problem in drawn(task_of().split("train"), CONFIG.seed, CONFIG.vector_problems)
    ]
    sides = [[f"find {prompt} so" for prompt in prompts], [f"{prompt} answer" for prompt in prompts]]
    for name, who in (("thinks", WEAKER), ("thinks of the stronger", STRONGER)):
        positive, negative = (mean_at_end(who, side) for side in sides)
        close_to(by_name(offered)[name].directions[:-1], positive - negative)
    delta = mean_at_end(STRONGER, prompts) - mean_at_end(WEAKER, prompts)
    close_to(by_name(offered)["checkpoint delta"].directions[:-1], delta)
    for name in made:  # a control was allowed to know what its vector was
        of = offered.controls[name].of
        assert of is not None
        assert offered.access[name] == offered.access[of]
        assert by_name(offered)[name].sources == by_name(offered)[of].sources
    assert {name: level for name, level in offered.access.items() if name not in made} == {
        "thinks": "weaker only",
        "thinks of the stronger": "stronger's activations",
        "checkpoint delta": "stronger's activations",
        "random 1": "none",
        "random 2": "none",
    }
    last = capture(WEAKER, prompts, POINTS).activations
    for vector in offered.vectors:
        torch.testing.assert_close(vector.norms, last.norm(dim=-1).mean(1))
    assert {name: vector.sources for name, vector in by_name(offered).items() if name not in made} == {
        "thinks": (WEAKER.name,),
        "thinks of the stronger": (STRONGER.name,),
        "checkpoint delta": (WEAKER.name, STRONGER.name),
        "random 1": (),
        "random 2": (),
    }
    assert not any(vector.trained for vector in offered.vectors)


def test_random_directions_hang_on_the_seed():
    one, same, other = (
        candidate_vectors(WEAKER, STRONGER, task_of(), CONFIG.model_copy(update={"seed": seed}))
        for seed in (4, 4, 5)
    )
    first, again, differing = (by_name(each)["random 1"].directions for each in (one, same, other))
    assert torch.equal(first, again)
    assert not torch.equal(first, differing)
    assert not torch.equal(first, by_name(one)["random 2"].directions)


@torch.no_grad()
def test_without_contrasts_vectors_come_from_rollouts():
    # Graded by the last letter or digit, so that some rollouts are right by luck; stopped at common words, so
    # that they differ in length.
    task = task_of(grader=Grader(kind="regex", pattern=r"(\d)\s*$"), stop=["="], max_new_tokens=6)
    config = CONFIG.model_copy(update={"vector_problems": 30, "temperature": 3.0})
    offered = candidate_vectors(WEAKER, STRONGER, task, config)
    problems = [each for each in drawn(task.split("train"), config.seed, 30) for _ in range(ROLLOUTS)]
    prompts = [problem.prompt for problem in problems]
    out = generate(
        WEAKER,
        prompts[::ROLLOUTS],
        max_new_tokens=6,
        stop=["="],
        samples=ROLLOUTS,
        temperature=3.0,
        seed=seeds(problems[::ROLLOUTS], config.seed + 31),
    )
    means, right, length = [], [], []
    for prompt, problem, text, tokens in zip(prompts, problems, out.texts, out.tokens, strict=True):
        if tokens:
            ids = torch.tensor([WEAKER.encode([prompt])[0] + tokens])
            hidden = WEAKER.model(ids, output_hidden_states=True).hidden_states[1:-1]
            means.append(torch.stack([each[0, -len(tokens) :].mean(0) for each in hidden]))
            right.append(grade(task.grader, text, problem.answer).lenient)
            length.append(len(tokens))
    longer = [each > (min(length) + max(length)) / 2 for each in length]
    sides = {"rollouts, right": right, "rollouts, longer": longer}
    for name, side in sides.items():
        if min(sum(side), len(side) - sum(side)) < MIN_SIDE:
            assert name not in by_name(offered)
            assert (
                f"{name}: {sum(side)} rollouts against {len(side) - sum(side)}, too few on a side"
                in offered.notes
            )
            continue
        yes, no = (
            torch.stack([m for m, each in zip(means, side, strict=True) if each is is_on])
            for is_on in (True, False)
        )
        close_to(by_name(offered)[name].directions[:-1], yes.mean(0) - no.mean(0))
        assert offered.access[name] == "weaker only"
    assert "rollouts, longer" in by_name(offered), "no vector was checked"


def test_rollouts_that_are_empty_give_a_note_and_no_vector(monkeypatch):
    def silent(who: Checkpoint, prompts: list[str], **options: Any) -> Generations:
        nothing = [0] * len(prompts)
        return Generations([""] * len(prompts), [[]] * len(prompts), nothing, nothing, nothing, nothing)

    monkeypatch.setattr(candidates, "generate", silent)
    offered = candidate_vectors(WEAKER, STRONGER, task_of(), CONFIG)
    of_delta = [f"{how}: checkpoint delta" for how in ("shuffled", "elsewhere")]
    assert list(by_name(offered)) == ["checkpoint delta", *of_delta, "random 1", "random 2"]
    assert offered.notes == ["rollouts: every sampled answer was empty"]
