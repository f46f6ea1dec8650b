"""What is carried across checkpoints, layers, positions and problems, against the pieces it is made of."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from tests.reading_task import CONFIG, by_hand, made_task, rows_of
from undertext.activations import HookPoint, UserError, capture
from undertext.jobs.probe.config import ProbeConfig
from undertext.jobs.probe.job import probe
from undertext.jobs.probe.result import ProbeResult
from undertext.measures.decoding.across import read_across
from undertext.measures.decoding.config import Across
from undertext.measures.decoding.groups import Groups, read_groups
from undertext.measures.decoding.kinds import Fitted
from undertext.measures.decoding.positions import Gathered
from undertext.measures.decoding.table import FittedProbes, table_of
from undertext.measures.decoding.transfer import TRANSFER, Entries
from undertext.measures.decoding.values import Value
from undertext.probes import LDAProbe, Surface, linear_cka, principal_angles, procrustes
from undertext.tasks.value_tokens import ValueTokens

EVERYWHERE = get_args(Across)
LDA = CONFIG.model_copy(
    update={"probes": ("lda",), "controls": (), "positions": (-1, 0), "transfer": EVERYWHERE}
)


def typed_task():
    """Of two types and two lengths; `b` is said in the longer ones alone."""
    task = made_task(train=160, dev=60, test=80)
    problems = [
        p.model_copy(update={"type": "odd" if i % 2 else "even", "steps": p.steps[: 1 + i // 2 % 2]})
        for i, p in enumerate(task.problems)
    ]
    return task.model_copy(update={"problems": problems})


@pytest.fixture(scope="module")
def task():
    return typed_task()


@pytest.fixture(scope="module")
def result(pair, task) -> ProbeResult:
    return probe(pair, {"made": task}, config=LDA)


def figures(result: ProbeResult, **wanted: Any) -> dict[tuple[Any, ...], float]:
    found = rows_of(result.tables["transfer"], task="made", split="test", value="a", probe="lda", **wanted)
    keys = [(row["fitted"], row["read"], row["layer"]) for row in found]
    assert len(set(keys)) == len(keys)
    return {key: row["figure"] for key, row in zip(keys, found, strict=True)}


def fresh(checkpoint, task, offset: int) -> LDAProbe:
    return LDAProbe().fit(*by_hand(checkpoint, task, "train", offset))


def test_layers_are_read_by_one_anothers_probes(result, pair, task):
    X, y = by_hand(pair["base"], task, "test", 0)
    made = fresh(pair["base"], task, 0)
    found = figures(result, across="layer", checkpoint="base", position="0")
    assert set(found) == {(str(a), str(b), None) for a in (0, 2) for b in (0, 2)}
    for i, fitted in enumerate((0, 2)):
        for j, read in enumerate((0, 2)):
            wanted = (X[j] @ made.coef_[i].T + made.intercept_[i]).argmax(1) == y
            assert found[str(fitted), str(read), None] == pytest.approx(
                wanted.double().mean().item(), abs=0.013
            )


def test_positions_are_read_by_one_anothers_probes(result, pair, task):
    found = figures(result, across="position", checkpoint="tuned")
    assert set(found) == {(a, b, layer) for a in ("-1", "0") for b in ("-1", "0") for layer in (0, 2)}
    for fitted in (-1, 0):
        made = fresh(pair["tuned"], task, fitted)
        for read in (-1, 0):
            wanted = made.score(*by_hand(pair["tuned"], task, "test", read)).tolist()
            got = [found[str(fitted), str(read), layer] for layer in (0, 2)]
            assert got == pytest.approx(wanted, abs=0.013)


@pytest.mark.parametrize(
    ("across", "of"), [("type", lambda p: p.type), ("length", lambda p: str(len(p.steps)))]
)
def test_groups_of_problems_are_read_beside_the_surface(result, pair, task, across, of):
    X = {split: by_hand(pair["base"], task, split, 0) for split in ("train", "test")}
    group = {split: [of(p) for p in task.split(split)] for split in X}
    names = sorted(set(group["train"]))
    assert len(names) == 2
    texts = {}
    for split in X:
        ids = pair["base"].encode([f"{p.prompt} {p.trace}" for p in task.split(split)])
        texts[split] = [each[:14] for each in ids]
    surface = Surface(texts["train"])
    for measure, layers in (("accuracy", (0, 2)), ("surface", (None,))):
        features = {
            s: (X[s][0] if measure == "accuracy" else surface.features(texts[s])[None], X[s][1]) for s in X
        }
        found = figures(result, across=across, checkpoint="base", position="0", measure=measure)
        fits = ["all", "others"] if across == "type" else ["all", *names]
        assert set(found) == {(fit, name, layer) for fit in fits for name in names for layer in layers}
        for fit, name, layer in found:
            kept = [
                fit == "all" or (each != name if fit == "others" else each == fit) for each in group["train"]
            ]
            keep, there = torch.tensor(kept), torch.tensor([each == name for each in group["test"]])
            made = LDAProbe().fit(features["train"][0][:, keep], features["train"][1][keep])
            wanted = made.score(features["test"][0][:, there], features["test"][1][there])
            assert found[fit, name, layer] == pytest.approx(wanted[layers.index(layer)].item(), abs=0.026)


def test_checkpoints_are_aligned_on_dev_and_compared(result, pair, task):
    sides = {name: {s: by_hand(each, task, s, 0)[0] for s in ("dev", "test")} for name, each in pair.items()}
    y = by_hand(pair["base"], task, "test", 0)[1]
    made = {name: fresh(each, task, 0) for name, each in pair.items()}
    for fitted, read in (("base", "tuned"), ("tuned", "base")):
        at = {"across": "checkpoint", "fitted": fitted, "read": read, "position": "0"}
        there, here = sides[fitted], sides[read]
        # Where `a` is about to be said `b` is too, in the longer problems, at another token.
        moved = {
            measure: figures(result, **at, measure=measure) for measure in ("accuracy", "aligned", "angle")
        }
        plain = made[fitted].score(here["test"], y).tolist()
        assert [moved["accuracy"][fitted, read, layer] for layer in (0, 2)] == pytest.approx(plain, abs=0.013)
        spans = [(m.coef_[:, 1:] - m.coef_[:, :1]) for m in (made[fitted], made[read])]
        angles = principal_angles(*spans).rad2deg().mean(-1).tolist()
        (one, two) = rows_of(result.tables["transfer"], **at, measure="angle", value="a")
        assert [one["figure"], two["figure"]] == pytest.approx(angles, abs=0.5)
        assert there["dev"].shape == here["dev"].shape
        (diagonal,) = {
            row["figure"]
            for row in rows_of(
                result.tables["transfer"], **(at | {"read": fitted}), value="a", layer=2, split="test"
            )
        }
        assert diagonal == pytest.approx(made[fitted].score(there["test"], y)[1].item(), abs=0.013)
    similar = rows_of(result.tables["transfer"], measure="cka", position="0", split="test", fitted="base")
    tokens = []
    for each in pair.values():
        texts = [f"{p.prompt} {p.trace}" for p in task.split("test")]
        at_each = [[13, 17][: len(p.steps)] for p in task.split("test")]
        points = [HookPoint(layer, "resid_post") for layer in (0, 2)]
        tokens.append(capture(each, each.encode(texts), points, at_each).activations)
    wanted = linear_cka(*tokens, debiased=True).tolist()
    assert [row["figure"] for row in similar] == pytest.approx(wanted, abs=1e-3)
    assert {row["n"] for row in similar} == {tokens[0].shape[1]}


def gathered(X: dict[str, torch.Tensor], y: dict[str, torch.Tensor]) -> dict[str, Gathered]:
    out = {}
    for split, each in X.items():
        n = len(y[split])
        labels = [str(int(v)) for v in y[split]]
        sites = ValueTokens([[1]] * n, torch.arange(n), [0] * n, ["v"] * n, labels)
        out[split] = Gathered(each[None], {0: sites}, {(i, 0): i for i in range(n)})
    return out


def test_a_rotated_copy_fails_as_it_is_and_passes_aligned_and_one_that_is_gone_fails_both():
    generator = torch.Generator().manual_seed(0)
    counts = {"train": 200, "dev": 150, "test": 200}
    d, code = 10, 3 * torch.randn(3, 10, generator=generator)
    y = {split: torch.randint(3, (n,), generator=generator) for split, n in counts.items()}
    X = {split: code[each] + torch.randn(len(each), d, generator=generator) for split, each in y.items()}
    turn = torch.linalg.qr(torch.randn(d, d, generator=generator)).Q
    targets = {
        "rotated": {split: each @ turn + 5.0 for split, each in X.items()},
        "gone": {split: torch.randn(each.shape, generator=generator) for split, each in X.items()},
    }
    source = gathered(X, y)
    made = LDAProbe().fit(X["train"][None], y["train"])
    fitted: FittedProbes = {
        (0, "v", "lda"): Fitted(made.coef_, made.intercept_, made.classes_, torch.zeros(1), 0)
    }
    config = ProbeConfig(positions=(0,), probes=("lda",), transfer=("checkpoint",))
    located = {split: each.tokens for split, each in source.items()}
    found = {}
    for name, moved in targets.items():
        rows = read_across(gathered(moved, y), source, fitted, fitted, located, config, [0], ("b", "a", "t"))
        found[name] = {row["measure"]: row["figure"] for row in rows if row["split"] in (None, "test")}
    rotated, gone = found["rotated"], found["gone"]
    assert rotated["aligned"] > 0.95
    assert max(rotated["accuracy"], rotated["mispaired"], gone["aligned"], gone["accuracy"]) < 0.6
    assert rotated["cka"] > 0.99
    assert abs(gone["cka"]) < 0.1
    assert rotated["angle"] < 1e-2 < rotated["angle_random"]
    by_hand_aligned = procrustes(targets["rotated"]["dev"][None], X["dev"][None]).apply(
        targets["rotated"]["test"][None]
    )
    assert rotated["aligned"] == pytest.approx(float(made.score(by_hand_aligned, y["test"])))


def test_alignment_sees_no_row_that_the_probe_was_fitted_to():
    """Else a probe that learnt noise by heart reads another checkpoint's clean code through the alignment."""
    generator = torch.Generator().manual_seed(1)
    counts = {"train": 200, "dev": 150, "test": 200}
    d, code = 60, 4 * torch.randn(3, 60, generator=generator)
    y = {split: torch.randint(3, (n,), generator=generator) for split, n in counts.items()}
    noise = {split: torch.randn(len(each), d, generator=generator) for split, each in y.items()}
    clean = {split: code[each] + torch.randn(len(each), d, generator=generator) for split, each in y.items()}
    made = LDAProbe().fit(noise["train"][None], y["train"])
    fitted: FittedProbes = {
        (0, "v", "lda"): Fitted(made.coef_, made.intercept_, made.classes_, torch.zeros(1), 0)
    }
    config = ProbeConfig(positions=(0,), probes=("lda",), transfer=("checkpoint",))
    source = gathered(noise, y)
    located = {split: each.tokens for split, each in source.items()}
    rows = read_across(gathered(clean, y), source, fitted, fitted, located, config, [0], ("b", "a", "t"))
    (aligned,) = (row["figure"] for row in rows if (row["measure"], row["split"]) == ("aligned", "test"))
    leaking = procrustes(clean["train"][None], noise["train"][None]).apply(clean["test"][None])
    assert float(made.score(leaking, y["test"])) > 0.9
    assert aligned < 0.6


def test_nothing_is_carried_unless_asked_and_one_group_is_none(pair):
    task = made_task()
    config = LDA.model_copy(update={"transfer": ("type", "length")})
    for transfer in (config.transfer, ()):
        asked = config.model_copy(update={"transfer": transfer})
        table = probe({"base": pair["base"]}, {"made": task}, config=asked).tables["transfer"]
        assert table.schema == TRANSFER
        assert len(table) == 0


def test_the_heatmap_shows_what_was_aligned(result, pair, task):
    figure = result.heatmap("made", value="a", aligned=True)
    cells = {axis.get_title("left"): axis.images[0].get_array() for axis in figure.axes if axis.images}
    assert list(cells) == [
        "base",
        "tuned",
        "tuned's probes on base",
        "the same, aligned",
        "selectivity, base",
    ]
    for i, layer in enumerate((0, 2)):
        for j, position in enumerate(("-1", "0")):
            found = figures(
                result, across="checkpoint", measure="aligned", position=position, fitted="tuned", read="base"
            )
            assert cells["the same, aligned"][i, j] == pytest.approx(found["tuned", "base", layer])
    bare = ProbeResult(result.summary, {**result.tables, "transfer": table_of([], TRANSFER)}, {})
    with pytest.raises(UserError, match=r"transfer: \[checkpoint\]"):
        bare.heatmap("made", aligned=True)
    alone = probe({"base": pair["base"]}, {"made": task}, config=LDA)
    with pytest.raises(UserError, match="between two checkpoints"):
        alone.heatmap("made", aligned=True)


def test_every_column_and_measure_is_documented(result):
    text = (Path(__file__).parents[3] / "docs" / "probes.md").read_text()
    text = text.split("## Transfer")[1].split("\n## ")[0]
    documented = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    measures = ["accuracy", "shifted", "aligned", "mispaired", "surface", "angle", "angle_random", "cka"]
    assert documented == [*EVERYWHERE, *TRANSFER.names, *measures]
    assert set(result.tables["transfer"]["measure"].to_pylist()) == set(measures)


def test_a_type_is_read_by_probes_that_never_saw_it():
    """The two types hold their value in opposite codes: what one teaches is wrong of the other."""
    generator = torch.Generator().manual_seed(0)
    problem = {split: torch.arange(n) for split, n in (("train", 200), ("dev", 60), ("test", 100))}
    y = {split: torch.randint(2, (len(p),), generator=generator) for split, p in problem.items()}
    types = {split: ["plus" if i % 2 else "minus" for i in p.tolist()] for split, p in problem.items()}
    groups: Groups = {"type": {split: [*each] for split, each in types.items()}}
    X = {}
    for split, p in problem.items():
        sign = (2.0 * y[split] - 1) * torch.where(p % 2 == 1, 1.0, -1.0)
        X[split] = (4 * sign[:, None] + torch.randn(len(p), 3, generator=generator))[None]
    texts = {split: [[i % 3, 2] for i in p.tolist()] for split, p in problem.items()}
    value = Value(0, "v", ["0", "1"], y, problem, texts)
    made = LDAProbe().fit(X["train"], y["train"])
    own = Fitted(made.coef_, made.intercept_, made.classes_, torch.zeros(1), 0)
    entries, config = Entries("type", "t", 0), ProbeConfig(probes=("ridge",))
    rows = read_groups("type", value, X, "ridge", own, groups, [0], entries, config)
    wanted = ("others", "accuracy", "test")
    unseen = {r["read"]: r["figure"] for r in rows if (r["fitted"], r["measure"], r["split"]) == wanted}
    assert unseen.keys() == {"plus", "minus"}
    assert max(unseen.values()) < 0.1
