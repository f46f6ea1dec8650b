"""Gates in a config: how they are written, and that a search under them is what a plain loop writes."""

import re
from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.activations.reference import write_out
from tests.made_up_task import CONFIG, WEAKER, task_of
from undertext.activations import HookPoint, Intervention, Threshold, UserError
from undertext.core.command import parse
from undertext.core.config import read_config
from undertext.jobs.steer.command import SteerCommand
from undertext.measures.recovery.candidates import candidate_vectors
from undertext.measures.recovery.config import SearchConfig
from undertext.measures.recovery.gate_config import GateConfig
from undertext.measures.recovery.gates import resolve_gates
from undertext.measures.recovery.search import search, search_settings
from undertext.steering import SteeringVector
from undertext.tasks import drawn

ENTRIES: list[Any] = [
    "last_prompt",
    {"first": 1},
    {"decay": 0.5},
    {"at": "all", "decay": 0.25},
    {"pattern": "[a-f] ?"},
    {"at": "prompt", "tokens": ["find", "="]},
    {"above": 0.7},
    {"above": 0.4, "reading": "checkpoint delta", "at": "generated"},
]
DELTA, LAYER, DOSE = "checkpoint delta", 1, 2.0
STEPS = 3


def config(*entries: Any, **options: Any) -> SearchConfig:
    given = {"positions": entries or ENTRIES, "doses": [DOSE], "search_problems": 6, "vector_problems": 20}
    return SearchConfig.model_validate(given | {"search": "grid", "random_directions": 1, **options})


def readings(vector: SteeringVector, prompts: list[str]) -> torch.Tensor:
    """What a direction reads at every token of the prompts, by plain passes over one prompt at a time."""
    direction = vector.directions[LAYER] / vector.directions[LAYER].norm()
    found = []
    for ids in WEAKER.encode(prompts):
        states = WEAKER.model(torch.tensor([ids]), output_hidden_states=True).hidden_states[LAYER + 1]
        found.append(states[0] @ direction)
    return torch.cat(found).detach()


@torch.no_grad()
def test_a_search_under_every_gate_is_what_a_plain_loop_writes():
    task = task_of()
    offered = candidate_vectors(WEAKER, WEAKER, task, config())
    by_name = {vector.name: vector for vector in offered.vectors}
    # A delta of a checkpoint from itself is nothing; what acts here is made up, and goes where it would.
    made = torch.randn(3, 32, generator=torch.Generator().manual_seed(5))
    own = SteeringVector("own", made, by_name["random 1"].norms, "made up", sources=(WEAKER.name,))
    shuffled = replace(own, name=DELTA, directions=made.flip(0))
    vectors = [own, shuffled, by_name["random 1"]]
    prompts = [problem.prompt for problem in drawn(task.split("train"), config().seed, 20)]
    gates = resolve_gates(
        WEAKER, prompts, vectors, config().positions,
        {"own": "weaker only", DELTA: "weaker only", "random 1": "none"},
    )  # fmt: skip
    told = replace(
        offered, vectors=tuple(vectors), access=gates.access, controls={},
        gates=gates.gates, thresholds=gates.thresholds,
    )  # fmt: skip
    found = search(WEAKER, task, told, [LAYER], config()).on_dev
    assert len(found.settings) == 3 * len(ENTRIES)
    tokens = {word: WEAKER.tokenizer.convert_tokens_to_ids(word) for word in ("find", "=")}
    problems = drawn(task.split("dev"), config().seed, 6)
    steered: list[int] = []
    for i, setting in enumerate(found.settings):
        vector = next(each for each in vectors if each.name == setting.vector)
        reader = shuffled if i % len(ENTRIES) == 7 else vector
        direction = reader.directions[LAYER] / reader.directions[LAYER].norm()
        cut = readings(reader, prompts)
        ways: list[dict[str, Any]] = [
            {"at": "last_prompt"},
            {"at": "generated", "first": 1},
            {"at": "generated", "decay": 0.5},
            {"at": "all", "decay": 0.25},
            {"at": "all", "pattern": "[a-f] ?"},
            {"at": "prompt", "tokens": frozenset(tokens.values())},
            {"at": "all", "threshold": Threshold(direction, -float(cut.quantile(0.7)))},
            {"at": "generated", "threshold": Threshold(direction, -float(cut.quantile(0.4)))},
        ]
        acting = Intervention(
            HookPoint(LAYER, "resid_post"),
            vector.directions[LAYER] / vector.directions[LAYER].norm(),
            DOSE * float(vector.norms[LAYER]),
            **ways[i % len(ENTRIES)],
        )
        for j, problem in enumerate(problems):
            head = WEAKER.encode([problem.prompt])[0]
            alone = write_out(WEAKER, head, STEPS, acting)
            assert found.texts[i][j] == WEAKER.decode(alone.tokens).strip(), (setting, problem)
            assert found.touched[i, j] == len(alone.changed)
            assert found.steered[i, j] == sum(place + 1 >= len(head) for place in alone.changed)
        steered.append(int(found.touched[i].sum()))
    assert min(steered) > 0


def test_controls_go_through_the_same_gates():
    offered = candidate_vectors(WEAKER, WEAKER, task_of(), config())
    usual = {name: where for name, where in offered.gates.items() if not name.startswith("elsewhere")}
    assert set(usual) == {DELTA, f"shuffled: {DELTA}", "random 1"}
    plain = {name: [replace(each, threshold=None) for each in where] for name, where in usual.items()}
    assert plain[DELTA] == plain[f"shuffled: {DELTA}"] == plain["random 1"]
    for name, where in usual.items():
        assert where[6].threshold == f"{name} above 0.7"
        assert where[7].threshold == f"{DELTA} above 0.4"
    assert {len(where) for where in usual.values()} == {len(ENTRIES)}
    budgets = {len(each) for each in offered.gates.values()}
    assert len(offered.gates[f"elsewhere: {DELTA}"]) <= len(ENTRIES) in budgets
    settings = search_settings(offered, [0, 1], config())
    assert len(settings) == 2 * sum(map(len, offered.gates.values()))


def test_what_reads_for_a_vector_counts_among_what_it_was_allowed_to_know():
    offered = candidate_vectors(WEAKER, WEAKER, task_of(), config("last_prompt"))
    assert offered.access["random 1"] == "none"
    read = candidate_vectors(WEAKER, WEAKER, task_of(), config({"above": 0.5, "reading": DELTA}))
    assert read.access["random 1"] == "stronger's activations"
    assert read.access[f"elsewhere: {DELTA}"] == offered.access[f"elsewhere: {DELTA}"]


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_an_entry_is_the_same_in_yaml_and_as_a_flag_and_written_back(entry, tmp_path):
    made = GateConfig.model_validate(entry)
    assert GateConfig.model_validate(str(made)) == made
    assert GateConfig.model_validate(made.model_dump(mode="json")) == made
    text = str(made)
    (tmp_path / "job.yaml").write_text(f"positions: [{text}, all]\n")
    assert read_config(SearchConfig, tmp_path / "job.yaml").positions == (made, GateConfig(at="all"))
    flags = parse(SteerCommand, "steer", ["--positions", text, "all"])
    assert flags.positions == (made, GateConfig(at="all"))


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("{firsts: 3}", "positions.0: unknown key 'firsts' (valid: at, first, decay, tokens, pattern"),
        ("{first: 0}", "positions.0.first: Input should be greater than or equal to 1, got 0"),
        ("{decay: 1.5}", "positions.0.decay: Input should be less than 1"),
        ("{above: 1}", "positions.0.above: Input should be less than 1"),
        (
            "{pattern: '('}",
            "positions.0: expected a regular expression, got '(', which does not compile: missing )",
        ),
        ("{at: nowhere}", "positions.0.at: Input should be 'last_prompt', 'prompt', 'generated' or 'all'"),
        ("{at: prompt, first: 2}", "first is of generated tokens, of which there are none at prompt"),
        ("{reading: x}", "reading needs above, the quantile"),
        ("{tokens: []}", "positions.0.tokens"),
        ("{}", "expected last_prompt, prompt, generated, all, or a mapping such as {first: 4}"),
        ("7", "expected last_prompt, prompt, generated, all, or a mapping such as {first: 4}, got 7"),
        ("generated, {at: generated}", "positions: expected each position once, generated is there again"),
    ],
)
def test_an_entry_that_will_not_do_is_one_line(entry, says, tmp_path):
    (tmp_path / "job.yaml").write_text(f"positions: [{entry}]\n")
    with pytest.raises(UserError) as caught:
        read_config(SearchConfig, tmp_path / "job.yaml")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("{first: 0}", "--positions: first: Input should be greater than or equal to 1, got '{first: 0}'"),
        ("lst", "--positions: expected last_prompt, prompt, generated, all, or a mapping"),
        ("{pattern: '('}", "--positions: expected a regular expression, got '(', which does not compile"),
    ],
)
def test_a_flag_that_will_not_do_is_one_line(flag, says):
    with pytest.raises(UserError, match=re.escape(says)) as caught:
        parse(SteerCommand, "steer", ["--positions", "last_prompt", flag])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"tokens": ["find so"]}, "expected tokens of .*, got 'find so', which it reads as 'find', 'so'"),
        ({"tokens": ["mitochondria"]}, "got 'mitochondria', which it reads as '<unk>'"),
        ({"above": 0.5, "reading": "nobody"}, "no vector 'nobody' to read with; there are: checkpoint delta"),
    ],
)
def test_what_checkpoint_and_task_do_not_have_is_named(entry, says):
    with pytest.raises(UserError, match=says):
        candidate_vectors(WEAKER, WEAKER, task_of(), config(entry))


def test_a_reading_at_another_site_is_refused():
    given = SteeringVector("mlp", torch.ones(3, 32), torch.ones(3), "made up", site="mlp_out")
    with pytest.raises(
        UserError, match="'mlp' reads at mlp_out, and vector 'checkpoint delta' acts at resid"
    ):
        candidate_vectors(WEAKER, WEAKER, task_of(), config({"above": 0.5, "reading": "mlp"}), [given])
    own = candidate_vectors(WEAKER, WEAKER, task_of(), config({"above": 0.5}), [given])
    assert {"mlp above 0.5", f"{DELTA} above 0.5"} <= set(own.thresholds)


def test_where_a_setting_acts_in_words():
    offered = candidate_vectors(WEAKER, WEAKER, task_of(), config())
    ids = sorted(WEAKER.tokenizer.get_vocab()[word] for word in ("find", "="))
    assert [str(each) for each in offered.gates[DELTA]] == [
        "last_prompt",
        "generated, first 1",
        "generated, decay 0.5",
        "all, decay 0.25",
        "all, after '[a-f] ?'",
        f"prompt, token {ids[0]} or {ids[1]}",
        f"all, {DELTA} above 0.7",
        f"generated, {DELTA} above 0.4",
    ]
    assert CONFIG.positions == (GateConfig(at="last_prompt"), GateConfig(at="generated"))
