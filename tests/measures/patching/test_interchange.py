"""Interchange moves the answer where a value is used, and not where it is only there to be read."""

import random

import numpy as np
import pytest
import torch

from tests.toys import embedding, random_model, tiny_config, word_tokenizer
from undertext.activations import Checkpoint, HookPoint, UserError, capture
from undertext.measures.patching.ablation import mean_activation, measure_ablation
from undertext.measures.patching.counterfactual_pairs import OUTCOMES, Outcomes, counterfactual_pairs
from undertext.measures.patching.interchange import Interchange, measure_interchange
from undertext.measures.patching.patching import PatchAt
from undertext.measures.patching.subspaces import of_logistic, of_means
from undertext.probes import LogisticProbe, principal_directions
from undertext.tasks import Grader, Problem, Step, Task
from undertext.tasks.value_positions import said_positions, value_positions
from undertext.tasks.value_tokens import locate_values

LETTERS = "abcdefghijklmnop"
USED, UNUSED, NOISE = slice(0, 4), slice(4, 8), slice(8, 32)
FIRST = HookPoint(0, "resid_post")


@pytest.fixture(scope="module")
def planted() -> Checkpoint:
    """A Llama whose last token holds two values: its answer reads the one, and no weight the other.

    Letter `t` holds `t // 4` in the first four coordinates and `t % 4` in the next; every norm's weight,
    through which alone anything is read, is zero there. The blocks otherwise do random things, in the
    rest of the stream.
    """
    tokenizer = word_tokenizer()
    model = random_model(tiny_config("llama", len(tokenizer), n_layers=2))
    digits, letters = ([tokenizer.get_vocab()[word] for word in words] for words in ("0123", LETTERS))
    with torch.no_grad():
        stream = embedding(model)
        stream.mul_(0.3)
        stream[letters, :8] = 0.0
        for t, token in enumerate(letters):
            stream[token, t // 4] = stream[token, 4 + t % 4] = 2.0
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter[UNUSED] = 0.0
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                parameter.mul_(0.1)
                parameter[:8] = 0.0
        head = model.get_output_embeddings().weight
        head[:] = 0.0
        head[:, NOISE] = 0.1 * torch.randn(len(head), 24, generator=torch.Generator().manual_seed(1))
        for value, token in enumerate(digits):
            head[token, value] = 10.0
    return Checkpoint.load(model, tokenizer=tokenizer)


def planted_task(seed: int = 0) -> Task:
    """Read some letters: the answer is the last one's first value, and the task claims it depends on both."""
    rng = random.Random(seed)
    problems = []
    for split, count in (("train", 160), ("dev", 40), ("test", 80)):
        for number in range(count):
            letters = [rng.randrange(16) for _ in range(rng.randrange(2, 5))]
            used, unused = divmod(letters[-1], 4)
            problems.append(
                Problem(
                    id=f"{split} {number}",
                    split=split,
                    prompt=" ".join(LETTERS[t] for t in letters),
                    answer=str(used),
                    values={"used": used, "unused": unused},
                    counterfactuals={
                        "used": {str(v): str(v) for v in range(4)},
                        "unused": {str(v): str((used + v - unused) % 4) for v in range(4)},
                    },
                )
            )
    return Task(
        name="letters",
        description="A made-up one.",
        grader=Grader(kind="exact"),
        max_new_tokens=1,
        problems=problems,
    )


def measured(checkpoint: Checkpoint, name: str) -> Interchange:
    return measure_interchange(checkpoint, planted_task(), "test", name=name, draws=3)


def test_a_used_direction_moves_the_answer_and_random_ones_do_not(planted: Checkpoint) -> None:
    found = measured(planted, "used")
    assert found.nothing.share("stayed") == 1.0
    assert found.subspace.share("counterfactual") == found.full.share("counterfactual") == 1.0
    assert found.size == 3
    assert all(each.share("counterfactual") < 0.1 for each in found.random)
    assert len(found.random) == len(found.random_points) == 3
    ablated = measure_ablation(
        planted, planted_task(), "test", found.point, found.basis, at="last_prompt", draws=2
    )
    assert ablated.nothing.all()
    assert ablated.subspace.mean() < 0.5 < 0.9 < ablated.random.mean()


@pytest.mark.parametrize("name", ["used", "unused"])
def test_both_values_are_decodable(planted: Checkpoint, name: str) -> None:
    task = planted_task()
    X, y = {}, {}
    for split in ("train", "test"):
        problems = task.split(split)
        X[split] = capture(planted, [p.prompt for p in problems], [FIRST])[FIRST]
        y[split] = torch.tensor([p.values[name] for p in problems])
    assert float(LogisticProbe().fit(X["train"], y["train"]).score(X["test"], y["test"])) == 1.0


def test_an_unused_direction_fails_interchange(planted: Checkpoint) -> None:
    found = measured(planted, "unused")
    for each in (found.nothing, found.subspace, *found.random):
        assert each.share("counterfactual") <= 0.1
    assert found.subspace.texts == found.nothing.texts
    # Sources differ in the used value too, so the whole activation carries over their answer.
    assert found.full.share("source") > 0.5
    assert max(found.on_dev.values()) <= 0.1


def test_ablation_costs_what_is_used(planted: Checkpoint) -> None:
    task = planted_task()
    bases = {name: torch.eye(32)[part] for name, part in (("used", USED), ("unused", UNUSED))}
    found = {
        name: measure_ablation(planted, task, "test", FIRST, basis, at="last_prompt", draws=4)
        for name, basis in bases.items()
    }
    assert found["used"].nothing.all()
    assert found["unused"].subspace.all()
    # All that is left is the mean's own answer.
    assert found["used"].subspace.mean() < 0.5
    assert found["used"].random.shape == (4, 80)
    assert found["used"].random.mean() > 0.9
    # By hand: the mean over all tokens but the texts' first, put into the four coordinates.
    texts = planted.encode([p.prompt for p in task.split("train")])
    total = torch.cat([capture(planted, [ids], [FIRST], "all")[FIRST][1:] for ids in texts])
    torch.testing.assert_close(mean_activation(planted, task, FIRST), total.mean(0))
    answer = str(int(total.mean(0)[USED].argmax()))
    assert found["used"].subspace.tolist() == [p.answer == answer for p in task.split("test")]


def test_reading_a_used_value_elsewhere_does_not_move_it(planted: Checkpoint) -> None:
    # The noise names each letter, so a probe reads it there as well, and the model does not.
    task = planted_task()
    found = {
        kind: measure_interchange(
            planted, task, "test", name="used", points=[FIRST], draws=0, subspaces={kind: subspace}
        )
        for kind, subspace in (("logistic", of_logistic), ("means", of_means))
    }
    assert found["means"].subspace.share("counterfactual") == 1.0
    assert found["logistic"].subspace.share("counterfactual") < 0.5
    assert found["means"].random == []


def test_the_seed_decides(planted: Checkpoint) -> None:
    one, other = (measured(planted, "used") for _ in range(2))
    assert repr(one) == repr(other)


def test_pairs_keep_to_their_rules(planted: Checkpoint) -> None:
    problems = planted_task().split("test")
    sites = locate_values(planted, problems)
    places = [site for problem in problems for site in value_positions(problem)]
    pairs = counterfactual_pairs(sites, places, problems, "unused", "0123", seed=3)
    assert [pair.problem for pair in pairs] == list(range(len(problems)))
    for pair in pairs:
        problem, source = problems[pair.problem], problems[int(sites.problem[pair.source])]
        assert places[pair.row].name == places[pair.source].name == "unused"
        assert int(sites.problem[pair.row]) == pair.problem != int(sites.problem[pair.source])
        put_in = int(sites.label[pair.source])
        used, unused = problem.values["used"], problem.values["unused"]
        assert isinstance(used, int)
        assert isinstance(unused, int)
        assert put_in != unused
        assert pair.counterfactual == str((used + put_in - unused) % 4) != pair.own == problem.answer
        assert pair.sources == source.answer != pair.counterfactual
    assert len({pair.source for pair in pairs}) > 20
    assert pairs != counterfactual_pairs(sites, places, problems, "unused", "0123", seed=4)
    some = counterfactual_pairs(sites, places, problems, "unused", "12", seed=3)
    assert {sites.label[pair.source] for pair in some} == {"1", "2"}
    assert (
        counterfactual_pairs(sites, places, problems, "unused", "0123", seed=3, allowed=lambda site: False)
        == []
    )


def test_a_problem_whose_answer_cannot_change_has_no_pair(planted: Checkpoint) -> None:
    fixed = [
        problem.model_copy(update={"counterfactuals": {"used": {str(v): problem.answer for v in range(4)}}})
        for problem in planted_task().split("test")
    ]
    sites = locate_values(planted, fixed)
    places = [site for problem in fixed for site in value_positions(problem)]
    assert counterfactual_pairs(sites, places, fixed, "used", "0123", seed=0) == []


def test_outcomes_count_each_text_once() -> None:
    grades = torch.tensor([[1, 0, 0], [0, 1, 1], [0, 0, 1], [0, 0, 0], [1, 1, 1]], dtype=torch.bool)
    outcomes = Outcomes.of(list("abcde"), grades)
    assert [OUTCOMES[kind] for kind in outcomes.kind] == [
        "counterfactual", "stayed", "source", "other", "counterfactual",
    ]  # fmt: skip
    assert outcomes.shares == {"counterfactual": 0.4, "stayed": 0.2, "source": 0.2, "other": 0.2}
    assert np.isclose(sum(outcomes.shares.values()), 1.0)


def test_the_means_subspace_holds_their_differences() -> None:
    X = torch.randn(2, 60, 7, generator=torch.Generator().manual_seed(0))
    y = torch.arange(60) % 4
    means = torch.stack([X[:, y == c].mean(1) for c in range(4)], 1)
    found, wanted = of_means(X, y, X, y), principal_directions(means)
    torch.testing.assert_close(found.mT @ found, wanted.mT @ wanted)


def test_what_cannot_be_measured_is_refused(planted: Checkpoint) -> None:
    task = planted_task()
    for split in ("train", "dev"):
        with pytest.raises(UserError, match="cannot be reported on"):
            measure_interchange(planted, task, split, name="used")
    for name, got in ((None, "no name"), ("uesd", "'uesd'")):
        with pytest.raises(UserError, match=f"got {got}; there are: used, unused"):
            measure_interchange(planted, task, "test", name=name)
    for sizes in ([], [0], [4]):
        with pytest.raises(UserError, match=r"expected sizes from 1 to 3, got \["):
            measure_interchange(planted, task, "test", name="used", sizes=sizes)
    places: tuple[tuple[PatchAt, str], ...] = (
        ("generation", "no two problems in dev"),
        ("said", "there are: none"),
    )
    for place, message in places:
        with pytest.raises(UserError, match=message):
            measure_interchange(planted, task, "test", name="used", place=place)
    numbered = [p.model_copy(update={"values": p.values | {"used": i}}) for i, p in enumerate(task.problems)]
    many = task.model_copy(update={"problems": numbered})
    with pytest.raises(UserError, match=r"'used' is not one: it has 160 distinct values, more than max_clas"):
        measure_interchange(planted, many, "test", name="used")
    with pytest.raises(UserError, match=r"expected a template with \{prompt\} in it, got 'Q:'"):
        measure_interchange(planted, task, "test", name="used", template="Q:")
    bare = task.model_copy(
        update={"problems": [p.model_copy(update={"counterfactuals": {}}) for p in task.problems]}
    )
    with pytest.raises(UserError, match=r"needs the name of .* there are: none"):
        measure_interchange(planted, bare, "test", name="used")


def test_said_sites_end_where_the_value_does() -> None:
    steps = [Step(text="b = 12 ;", values={"b": 12, "c": 7})]
    problem = Problem(id="p", split="test", prompt="Q?", answer="1", trace="hm b = 12 ; 1", steps=steps)
    (site,) = said_positions(problem)
    assert (site.name, site.char_offset, site.said_after) == ("b", len("Q? hm b = 12"), "b = ")
