"""Every block of Python in the README and in docs/ runs as it stands, a page's blocks one after the other.

A page's `Setup` makes what its blocks open, makes smaller what would take long, and says what they must give.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import log, nan
from pathlib import Path
from typing import Any

import pytest

from tests.activations.store.made_rows import fill
from tests.imports import ROOT
from tests.reading_task import made_task
from tests.toys import tiny_folder
from undertext import TraceConfig, TraceResult, new_chain, read_trace
from undertext.activations import HookPoint, Store, capture_pair_to_store
from undertext.core.shipped import SHIPPED
from undertext.tasks import write_task

Names = Mapping[str, Any]
PAGES = {
    str(path.relative_to(ROOT)): re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL)
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}


@dataclass(frozen=True)
class Setup:
    """What stands around the blocks of one page."""

    prepare: Callable[[Path, pytest.MonkeyPatch], None]
    """Makes, in an empty folder that is the current one, the files that the blocks open."""
    check: Callable[[Names], None]
    """Asserts what the names that the blocks leave must hold."""
    smaller: Mapping[str, str] = field(default_factory=dict)
    """What is replaced in the blocks, so that they end soon."""
    slow: bool = False


def two_tiny(folder: Path, n_layers: int = 3) -> None:
    for seed, name in enumerate(("BASE", "TUNED")):
        tiny_folder(folder / name, seed=seed, n_layers=n_layers)


def readme(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "path" / "to").mkdir(parents=True)
    for name, organism in (("base", "base"), ("tuned", "elicited")):
        (folder / "path" / "to" / name).symlink_to(SHIPPED / organism)
    write_task(new_chain(0, train=100, dev=40, test=60, ood=0), folder / "path" / "to" / "task")


def check_readme(names: Names) -> None:
    assert list(names["comparison"].splits) == ["test"]
    assert Path("report/verdict.json").is_file()


def ground(folder: Path, patch: pytest.MonkeyPatch) -> None:
    tiny_folder(folder / "CHECKPOINT")


def check_ground(names: Names) -> None:
    tokens = sum(map(len, names["checkpoint"].encode(names["prompts"])))
    assert names["captured"][names["stream"]].shape == (tokens, 32)
    assert names["captured"].heads(names["heads"]).shape == (tokens, 4, 8)
    assert len(names["first"].rows) == 5
    assert len(names["names"].rows) == 2
    assert len(names["drawn"].texts) == 8
    assert names["steered"].touched == names["steered"].steered == [1] * 5
    assert all(isinstance(count, int) for count in names["steered"].produced)
    lengths = [len(ids) for ids in names["texts"]]
    assert names["forward"].logits.shape[:2] == (2, max(lengths))
    touched = [count.all for count in names["forward"].touched]
    assert touched == [length - head for length, head in zip(lengths, (6, 2), strict=True)]
    assert names["steered"].texts[2] == names["plain"].texts[0]
    assert len(set(names["steered"].texts)) > 1
    assert len(names["scores"].of(0)) == 3


def store(folder: Path, patch: pytest.MonkeyPatch) -> None:
    fill(folder / "STORE", 12)
    two_tiny(folder)


def check_store(names: Names) -> None:
    whole = Store.open("STORE")
    assert names["activations"].equal(whole[HookPoint(1, "resid_post")])
    assert names["problems"] == whole.rows["problem"].tolist()
    assert names["batch"].activations.shape[2] == whole.d_model
    assert len(names["pair"]) == 2 < len(names["store"])


def probes(folder: Path, patch: pytest.MonkeyPatch) -> None:
    small = new_chain(0, train=60, dev=30, test=30, ood=5)
    patch.setattr("undertext.tasks.open.new_chain", lambda seed: small)


def check_probes(names: Names) -> None:
    assert names["layers"].pivot_table(index="fitted", columns="read", values="figure").shape == (4, 4)
    assert len(names["exchanged"].random) == 2
    assert names["traced"].by_layer


def saes(folder: Path, patch: pytest.MonkeyPatch) -> None:
    two_tiny(folder, n_layers=4)
    prompts = {i: f"a = {i % 10} + {i % 7} ; find a so answer {i % 3} b c d" for i in range(30)}
    capture_pair_to_store("BASE", "TUNED", prompts, [HookPoint(3, "resid_post")], "all", "runs")


def check_saes(names: Names) -> None:
    assert names["fates"].rows == len(names["pair"])
    assert names["effects"][0].controls.shape == (2, 5, 2)
    assert names["association"].auroc.shape == (3, 64)
    assert names["trial"].injection.d.shape == (64,)
    assert names["page"].contexts


def check_tasks(names: Names) -> None:
    task = names["imported"].task
    assert len(task.problems) == 10
    assert task.problems[0].steps[1].values.keys() == {"step2"}


def check_measures(names: Names) -> None:
    assert names["found"].of("faithfulness", "another: follows the trace", "own traces").tuned.value > 0.5
    gained, moved, held = names["gained"], names["moved"], names["held"]
    assert gained.steps.tolist() == pytest.approx([log(2), log(4)])
    assert [gained.total, gained.unsaid, gained.published] == pytest.approx([log(8), log(2), 1.0])
    assert gained.published_steps.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert [gained.before, gained.after] == pytest.approx([1 / 8, 1.0])
    assert [moved.commitment, moved.monotonicity, moved.area] == pytest.approx([0.75, 0.75, 0.4])
    assert names["along_trace"].tolist() == [0.5, 0.8, 0.9]
    assert (names["by_probe"].commitment, names["by_probe"].area) == (0.0, pytest.approx(0.25))
    ends = names["ends"]
    assert (ends.known, ends.dead, ends.entered, ends.left, ends.cut) == (6, 4, 2, 2, 0)
    assert (ends.recovered, ends.share, ends.rate) == pytest.approx((1.0, 4 / 6, 2 / 6))
    assert [(each.step, each.state) for each in names["asked"]] == [(0, "dead"), (3, "alive"), (5, "alive")]
    assert names["over"].tolist() == [0.5, 0.0]
    assert names["pairs"] == ([0], [0])
    assert held.trace.tolist() == [1, 0, 1]
    assert held.kept.tolist() == pytest.approx([0, 1, nan], nan_ok=True)
    assert names["score"] == pytest.approx(2 / 3)
    assert {name: count for name, count in names["counted"].items() if count} == {
        "hedges": 2, "boosters": 1, "self-mention": 1, "backtracking": 1,
    }  # fmt: skip
    assert list(names["shares"].values()) == [0.5, 0.25, 0.25]
    assert names["scores"] == pytest.approx((0.3, 0.225))


def batch(folder: Path, patch: pytest.MonkeyPatch) -> None:
    tiny_folder(folder / "CHECKPOINT")
    for seed in (0, 1):
        config = TraceConfig(layers=(0,), readers=("logit_lens",), problems=6, threads=1, seed=seed)
        read_trace("CHECKPOINT", made_task(), config=config, out=f"build/runs/seed={seed}", progress=False)


def check_batch(names: Names) -> None:
    assert names["joined"].jobs["trace"].settings == ["seed"]
    assert names["table"]["seed"].tolist() == [0, 1]
    assert Path("build/joined/report.html").is_file()


def cluster(folder: Path, patch: pytest.MonkeyPatch) -> None:
    tiny_folder(folder / "CHECKPOINT")
    write_task(made_task(train=60, dev=20, test=20), folder / "TASK")


def check_cluster(names: Names) -> None:
    assert isinstance(names["readings"], TraceResult)
    assert [path for path in names["files"] if path.endswith("result.json")]
    assert 0 < names["cost"].device_hours < 10


def check_serving(names: Names) -> None:
    assert {each.operator for each in names["checked"]} >= {"read", "add", "ablate", "mixed"}
    done = {(each.operator, each.gate) for each in names["partly"] if each.outcome == "equal"}
    assert ("add", "all") in done
    assert "ablate" not in {operator for operator, _ in done}


def check_interop(names: Names) -> None:
    """tests/docs/test_interop.py runs each block by itself, without undertext."""
    assert len(names["torch_texts"]) == len(names["lens_texts"]) == 4


SETUPS = {
    "docs/interop.md": Setup(ground, check_interop),
    "docs/serving.md": Setup(lambda _, __: None, check_serving),
    "docs/batch.md": Setup(batch, check_batch),
    "docs/cluster.md": Setup(cluster, check_cluster),
    "README.md": Setup(
        readme,
        check_readme,
        {
            "CompareConfig(seed=0)": "CompareConfig(seed=0, threads=1, splits=('test',), max_layers=1, "
            "search='halving', samples=2, random_directions=1)"
        },
    ),
    "docs/ground.md": Setup(ground, check_ground),
    "docs/store.md": Setup(store, check_store),
    "docs/probes.md": Setup(
        probes,
        check_probes,
        {
            "ProbeConfig(threads=1)": "ProbeConfig(threads=1, positions=(0,), controls=(), "
            "transfer=('layer',))",
            "problems=60": "problems=20",
        },
        slow=True,
    ),
    "docs/measures.md": Setup(
        probes, check_measures, {"MeasureConfig(problems=60)": "MeasureConfig(problems=8, threads=1)"}
    ),
    "docs/tasks.md": Setup(lambda folder, patch: None, check_tasks),
    "docs/saes.md": Setup(
        saes,
        check_saes,
        {"d_sae=4096, k=32, steps=20_000": "d_sae=64, k=8, steps=30, batch_size=64, held_out=40"},
    ),
}


def test_every_page_with_blocks_has_a_setup():
    assert {page for page, blocks in PAGES.items() if blocks} == set(SETUPS)


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] * setup.slow) for page, setup in SETUPS.items()],
)
def test_the_blocks_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    setup, names = SETUPS[page], dict[str, Any]()
    monkeypatch.chdir(tmp_path)
    setup.prepare(tmp_path, monkeypatch)
    for old in setup.smaller:
        assert any(old in block for block in PAGES[page]), f"{page} no longer holds {old!r}"
    for block in PAGES[page]:
        for old, new in setup.smaller.items():
            block = block.replace(old, new)
        exec(compile(block, page, "exec"), names)
    setup.check(names)


def test_a_store_is_read_without_this_package():
    assert not re.search(r"^(from|import) undertext", PAGES["docs/store.md"][0], re.MULTILINE)
