"""A comparison made up for these tests: every figure in it is invented, and nothing in it was measured."""

import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa
import pytest
from playwright.sync_api import Browser, Dialog, Page, sync_playwright

from tests.browser import NAMES, QUIET, find_browser
from tests.report import made_up, made_up_features
from tests.report.made_up import DOSES, PROBLEMS, UNBROKEN, VECTORS
from undertext.core.output import plain
from undertext.core.statistics import Estimate, proportion
from undertext.core.terms import ROLES
from undertext.jobs.compare.result import SCHEMA, Comparison, EvidenceLine, SplitResult

Opener = Callable[[Mapping[str, bytes], int], Page]
READ = {"problem": "p0", "ids": [1, 7], "tokens": ["<bos>", "Q: 1"], "length": 2}


def _split(problems: pa.Table, split: str) -> SplitResult:
    rows = [row for row in problems.to_pylist() if row["split"] == split]
    base = proportion([row["base_lenient"] for row in rows])
    tuned = proportion([row["tuned_lenient"] for row in rows])
    null, share = Estimate(0.17, 0.15, 0.21, PROBLEMS), Estimate(0.8, 0.7, 0.9, 40)
    lines = [
        EvidenceLine("behaviour", "unclear", base, null, 0.41, "none", UNBROKEN, share),
        EvidenceLine(
            "decodable",
            "latent",
            Estimate(0.85, 0.8, 0.9, 40),
            null,
            0.002,
            "weaker only",
            "Null: control labels.",
            share,
        ),
        EvidenceLine(
            "transported",
            "latent",
            Estimate(0.6, 0.5, 0.7, 40),
            null,
            0.013,
            "stronger's activations",
            "",
            share,
        ),
        EvidenceLine(
            "recovered",
            "latent",
            Estimate(0.94, 0.85, 1.03, 40),
            Estimate(0.1, -0.02, float("inf"), 40),
            0.0004,
            "stronger's activations",
            f"{VECTORS[0]} at blocks.2.hook_resid_post, dose 2, on the last prompt token.",
            share,
        ),
    ]
    return SplitResult(
        verdict="elicited" if split == "test" else "undetermined",
        confidence=0.93 if split == "test" else 0.58,
        stability=0.999 if split == "test" else 0.58,
        weaker="base",
        accuracy={
            "base": base,
            "tuned": tuned,
            "difference": Estimate(tuned.value - base.value, 0.63, 0.92, PROBLEMS),
        },
        unfinished={"base": 0.075, "tuned": 0.0},
        latent=Estimate(0.82, 0.7, 0.93, 31) if split == "test" else None,
        opened={"behaviour": 0.2, "prompted": 0.45, "recovered": 0.8} if split == "test" else {},
        withstood=None,
        evidence=lines if split == "test" else lines[:2],
        flags=[]
        if split == "test"
        else ["3 of 40 base outputs reached the token limit: <i>their answers</i> may be cut off", UNBROKEN],
        smallest_detectable_difference=0.124,
    )


@pytest.fixture(scope="session")
def comparison() -> Comparison:
    """Complete, with hostile model text: elicited on `test`, undetermined on `ood`."""
    problems = made_up.problems()
    shape = {"n_layers": 4, "d_model": 64, "d_vocab": 41, "dtype": "float32"}
    described = {
        "base": {"name": UNBROKEN, "fingerprint": "00112233445566aa", **shape},
        "tuned": {"name": "zoo/<script>alert('ran')</script>", "fingerprint": "ffeeddccbbaa9988", **shape},
        "task": {
            "name": "chain",
            "description": "Variables assigned one from another by arithmetic modulo 7.",
            "fingerprint": "abcdef0123456789",
            "problems": {"train": 400, "dev": 40, "test": PROBLEMS, "ood": PROBLEMS},
            "max_new_tokens": 64,
            "stop": [],
            "chosen": ["max_new_tokens", "stop"],
        },
    }
    splits = {split: plain(asdict(_split(problems, split))) for split in ("test", "ood")}
    return Comparison(
        summary={
            "schema": SCHEMA,
            **described,
            "read": dict.fromkeys(ROLES, READ),
            "seed": 0,
            "splits": splits,
            **made_up_features.summary(),
        },
        run={
            "job": "compare",
            "feature_rule": {"keeps": made_up_features.KEEPS},
            **described,
            "config": {
                "splits": ["test", "ood"],
                "steering": {"doses": list(DOSES), "tolerance": float("nan")},
            },
            "rule": {"rationalised_above": 0.5, "lost_above": 0.5},
            "versions": {"python": "3.11.2", "torch": "2.13.0"},
            "timings_s": {"behaviour": 9.123456, "probes": 12.5, "steering": 19.9},
            "elapsed_s": 41.52,
            "made": {"command": "undertext compare --base a --tuned b", "device": "cpu", "dtype": "float32"},
            "device": UNBROKEN,
        },
        tables={
            "problems": problems,
            "probes": made_up.probes(),
            "positions": made_up.positions(),
            "accuracy_by_key": made_up.accuracy_by_key(),
            "sweep": made_up.sweep(),
            "recovery": made_up.recovery(),
            "trace": made_up.trace(),
            "curves": made_up.curves(),
            "tokens": made_up.tokens(problems),
            "samples": made_up.samples(problems),
            "keys": made_up.keys(),
            **made_up_features.tables(),
        },
    )


@pytest.fixture(scope="session")
def preserved(comparison: Comparison) -> Comparison:
    """A pair that does not differ: only its problems were measured, one other table is there and empty."""
    same = comparison.tables["problems"].to_pylist()
    for row in same:
        row |= {"tuned_output": row["base_output"], "steered_output": None, "gap": False}
        row |= {f"tuned_{kind}": row[f"base_{kind}"] for kind in ("strict", "lenient")}
        row |= {f"steered_{kind}": None for kind in ("strict", "lenient")}
    result = comparison.splits["test"]
    base = result.accuracy["base"]
    alike = replace(
        result,
        verdict="preserved",
        weaker="neither",
        accuracy={"base": base, "tuned": base, "difference": Estimate(0.0, -0.05, 0.05, PROBLEMS)},
        evidence=[],
        latent=None,
        opened={},
    )
    table = pa.Table.from_pylist(same, schema=comparison.tables["problems"].schema)
    empty = comparison.tables["sweep"].slice(0, 0)
    summary = {name: value for name, value in comparison.summary.items() if name not in ("sae", "crosscoder")}
    return replace(
        comparison,
        summary={**summary, "splits": {"test": plain(asdict(alike))}},
        run={"device": "cpu"},
        tables={"problems": table, "sweep": empty},
    )


@pytest.fixture(scope="session")
def rendered(
    comparison: Comparison, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> dict[str, bytes]:
    """The files of the comparison's run, drawn once for all processes that the tests run in: at least where
    one of them has them before another wants them."""
    if not hasattr(request.config, "workerinput"):
        return comparison.files()
    kept = tmp_path_factory.getbasetemp().parent / "rendered.pickle"  # of this run of the tests, by xdist
    if not kept.exists():
        own = kept.with_suffix(f".{os.getpid()}")
        own.write_bytes(pickle.dumps(comparison.files()))
        own.replace(kept)
    files: dict[str, bytes] = pickle.loads(kept.read_bytes())
    return files


@pytest.fixture(scope="module")  # other modules have their own, and there can be but one at a time
def browser() -> Iterator[Browser]:
    path = find_browser()
    if path is None:
        pytest.fail(f"expected one of {', '.join(NAMES)} on PATH, found none: run `make browser`")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield opened
        opened.close()


@contextmanager
def opened(
    browser: Browser, files: Mapping[str, bytes], folder: Path, width: int, scheme: str = "light"
) -> Iterator[Page]:
    """The report, opened from its folder; fails at the end where it asked for anything or complained."""
    complaints: list[str] = []
    for name, data in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)

    def local(url: str) -> bool:
        return url.startswith("data:") or url == (folder / "report.html").as_uri()

    def dismiss(dialog: Dialog) -> None:
        complaints.append(dialog.message)
        dialog.dismiss()

    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page.on("request", lambda sent: None if local(sent.url) else complaints.append(sent.url))
    page.on("dialog", dismiss)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto((folder / "report.html").as_uri(), wait_until="load")
    yield page
    page.close()
    assert complaints == []


@pytest.fixture(
    params=[(1280, "light"), pytest.param((390, "light"), marks=pytest.mark.slow), (390, "dark")], ids=str
)
def view(
    request: pytest.FixtureRequest, browser: Browser, rendered: dict[str, bytes], tmp_path: Path
) -> Iterator[Page]:
    width, scheme = request.param
    with opened(browser, rendered, tmp_path, width, scheme) as page:
        yield page


@pytest.fixture
def open_report(browser: Browser, tmp_path: Path) -> Iterator[Opener]:
    """Opens a report's files at a width."""
    with ExitStack() as stack:
        yield lambda files, width: stack.enter_context(opened(browser, files, tmp_path, width))
