"""Building and judging a bench of organisms that were hardly trained: the machinery, not the verdicts."""

import pytest

from undertext.activations.errors import UserError
from undertext.bench import score
from undertext.core.shipped import organisms
from undertext.core.statistics import Estimate
from undertext.core.terms import LineName
from undertext.jobs.bench.build import build_bench
from undertext.jobs.bench.config import BenchConfig, RunConfig
from undertext.jobs.bench.judges import ALONE, Said, baselines, ours
from undertext.jobs.bench.run import name_of, run_bench
from undertext.jobs.compare.result import EvidenceLine, SplitResult
from undertext.organisms.folder import read_card

ASKED: list[tuple[str, str, str]] = []


def judge(base, tuned, task):
    """Says what it is told to, and writes down what it was asked."""
    ASKED.append((base.name, tuned.name, task.name))
    said = {"verdict": "suppressed", "confidence": 0.75, "share": (0.5, 0.25, 0.75)}
    return dict.fromkeys(("test", "ood"), said)


def says_too_little(base, tuned, task):
    """Gives no confidence."""
    return {split: {"verdict": "taught"} for split in ("test", "ood")}


def says_what_is_none(base, tuned, task):
    """Gives a word that is no verdict, and a share without bounds."""
    return {
        "test": {"verdict": "maybe", "confidence": 0.5},
        "ood": {"verdict": "taught", "confidence": 0.5, "share": 0.5},
    }


def leaves_a_split_out(base, tuned, task):
    """Speaks of one split alone."""
    return {"test": Said("taught", 0.5)}


@pytest.fixture(scope="module")
def built(plan, tmp_path_factory):
    """A bench of one world, and the cases that building it returned."""
    out = tmp_path_factory.mktemp("bench")
    return out, build_bench(BenchConfig(plan=plan, only=("chain",), jobs=1), out)


def run_config(plan, judge: str, seed: int = 0) -> RunConfig:
    return RunConfig(plan=plan, only=("chain",), jobs=1, judge=f"{__name__}:{judge}", seed=seed)


def test_a_bench_is_built_judged_and_gone_on_with(plan, built):
    out, cases = built
    assert {case.organism for case in cases["chain-llama-word-1"]} == {"password", "preserved"}
    assert {case.truth for case in cases["chain-llama-word-1"]} == {"suppressed", "preserved"}
    assert {case.part for case in cases["chain-llama-word-1"]} == {"tuning"}
    ASKED.clear()
    own = run_config(plan, "judge", 3)
    judged = run_bench(own, out)
    assert sorted(ASKED) == [("fluent", "password", "chain"), ("fluent", "preserved", "chain")]
    assert {(each.verdict, each.confidence, each.share, each.seed) for each in judged} == {
        ("suppressed", 0.75, (0.5, 0.25, 0.75), 3)
    }
    assert [each.problems for each in judged] == [6] * 4
    assert run_bench(own, out) == judged
    assert len(ASKED) == 2  # nothing is judged twice
    (file,) = (out / "judged" / f"{__name__}.judge-3" / "chain-llama-word-1").glob("password-*.json")
    file.unlink()
    assert len(run_bench(own, out)) == 4
    assert ASKED[2:] == [("fluent", "password", "chain")]


def test_any_function_is_scored_from_python(plan, built, tmp_path):
    out, cases = built
    asked = []

    def own(base, tuned, task):
        asked.append(tuned.name)
        return dict.fromkeys(("test", "ood"), Said("suppressed", 0.75))

    def scored(by):
        return score(by, out, plan=plan, only=("chain",), out=tmp_path / "page")

    scores = scored(own)
    found = scores.of(name_of(own), "tuning")
    truths = [case.truth for case in cases["chain-llama-word-1"] if not case.ambiguous]
    assert (found.all.cases, found.all.right.count) == (len(truths), truths.count("suppressed"))
    assert (tmp_path / "page" / "bench.md").is_file()
    assert scored(own) == scores
    assert sorted(asked) == ["password", "preserved"], "nothing is judged twice"
    (folder,) = (out / "judged").glob("*own-0")
    (folder / "source").write_text("an older version's")
    with pytest.raises(UserError, match=r"holds what another version of .*own said: remove the folder"):
        scored(own)


@pytest.mark.parametrize(
    ("judge", "says"),
    [
        ("nowhere:judge", "expected a judge as module:function"),
        (f"{__name__}:nothing", "expected a judge as module:function"),
        ("text", "expected a judge as module:function"),
        (f"{__name__}:says_too_little", "expected a verdict .* for split test, got {'verdict': 'taught'}"),
        (f"{__name__}:says_what_is_none", "expected a verdict .* for split test"),
        (f"{__name__}:leaves_a_split_out", "expected a verdict .* for split ood, got None"),
        (f"{__name__}:ASKED", "expected a judge as module:function.*no function"),
    ],
)
def test_what_is_no_judge_is_refused_in_one_line(plan, built, judge, says):
    with pytest.raises(UserError, match=says):
        run_bench(RunConfig(plan=plan, only=("chain",), jobs=1, judge=judge), built[0])


def test_a_bench_that_was_not_built_says_how(plan, tmp_path):
    with pytest.raises(UserError, match="undertext bench build --out"):
        run_bench(RunConfig(plan=plan, jobs=1, judge=f"{__name__}:judge"), tmp_path)
    with pytest.raises(
        UserError, match=r"expected families or worlds of the set \(chain, chain-llama-word-1"
    ):
        build_bench(BenchConfig(plan=plan, only=("chess",)), tmp_path)
    with pytest.raises(UserError, match="no-such-device"):
        build_bench(BenchConfig(plan=plan, device="no-such-device"), tmp_path)
    assert not list(tmp_path.iterdir())


def split_result(difference: float, shares: dict[LineName, float]) -> SplitResult:
    """A result of this difference, and of lines of these shares."""

    def around(value: float) -> Estimate:
        return Estimate(value, value - 0.1, value + 0.1, 50)

    lines = [
        EvidenceLine(name, "unclear", around(share), around(0.0), 0.5, "none", "", around(share))
        for name, share in shares.items()
    ]
    accuracy = {"base": around(0.5), "tuned": around(0.5), "difference": around(difference)}
    return SplitResult(
        verdict="undetermined",
        confidence=0.6,
        stability=0.7,
        weaker="base",
        accuracy=accuracy,  # type: ignore[arg-type]
        unfinished={},
        latent=around(0.3),
        opened={},
        withstood=None,
        evidence=lines,
        flags=[],
        smallest_detectable_difference=0.1,
    )


def test_baselines_look_at_one_figure():
    found = baselines({"test": split_result(0.4, {"recovered": 0.8, "continued": 0.2})})
    assert set(found) == {"accuracy alone", *ALONE}
    said = {name: splits["test"] for name, splits in found.items()}
    assert said["accuracy alone"] == Said("taught", 1.0)
    assert said["recovered alone"] == Said("elicited", 1.0)
    assert said["next step alone"] == said["decodable alone"] == Said("taught", 1.0)
    worse = baselines({"test": split_result(-0.4, {"recovered": 0.8})})
    assert worse["recovered alone"]["test"].verdict == "suppressed"
    assert worse["accuracy alone"]["test"].verdict == "overwritten"
    same = baselines({"test": split_result(0.0, {})})
    assert {splits["test"].verdict for splits in same.values()} == {"preserved"}


def test_ours_is_the_verdict_its_confidence_and_the_share():
    (said,) = ours({"ood": split_result(0.4, {})}).values()
    assert said[:2] == ("undetermined", 0.6)
    assert said.share == pytest.approx((0.3, 0.2, 0.4))
    assert (said.stability, said.against) == (0.7, 0)


def test_the_shipped_zoo_is_judged_without_a_bench(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = []

    def says_taught(base, tuned, task):
        asked.append((base.name, tuned.name))
        assert base.is_dir()
        assert tuned.is_dir()
        return {split: Said("taught", 0.7) for split in ("test", "ood")}

    scores = score(says_taught, "zoo:", out=tmp_path / "scores")
    (mine,) = scores.judges
    truths = {
        (name, split): truth
        for name, folder in organisms().items()
        for split, truth in read_card(folder)["truth"].items()
    }
    assert sorted(tuned for _, tuned in asked) == sorted({name for name, _ in truths})
    assert (mine.part, mine.all.right.of) == ("tuning", len(truths))
    assert mine.all.right.count == sum(truth == "taught" for truth in truths.values()) > 0
    assert {path.name for path in tmp_path.iterdir()} == {"scores"}
    assert (tmp_path / "scores" / "bench.json").exists()


def test_our_verdict_and_the_baselines_judge_the_shipped_zoo(monkeypatch):
    made = []

    def compared(base, tuned, task, *, seed, out, device):
        made.append((base.name, tuned.name, out))
        raise UserError("seen")

    monkeypatch.setattr("undertext.jobs.bench.run.our_comparison", compared)
    with pytest.raises(UserError, match="seen"):
        score(None, "zoo:")
    assert made[0][2] is None
