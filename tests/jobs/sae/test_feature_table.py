"""What features predict and survive: against scikit-learn, and on features whose words are known."""

import json

import pyarrow.parquet as pq
import pytest
import torch
from sklearn.metrics import roc_auc_score

from tests.jobs.sae.conftest import FEATURES, WORDS
from tests.toys import embedding
from undertext.activations import Checkpoint, UserError
from undertext.core.resume import JobFolder
from undertext.jobs.sae_features.config import FeaturesConfig
from undertext.jobs.sae_features.job import feature_table
from undertext.jobs.sae_features.result import FeatureTable
from undertext.saes import encode, load_sae

CONFIG = FeaturesConfig(words=WORDS, pages=4, threads=1)


@pytest.fixture(scope="module")
def found(task, folders, tmp_path_factory):
    out = tmp_path_factory.mktemp("table") / "out"
    return feature_table(str(folders["base"]), task, folders["sae"], config=CONFIG, out=out), out


def test_auroc_is_scikit_learns_at_the_tokens_read(found, task, folders):
    """Activations at the point are the embeddings, so that the tokens alone say what fires."""
    result, _ = found
    base, sae = Checkpoint.load(folders["base"]), load_sae(folders["sae"])
    weights = embedding(base.model).detach()
    problems = task.split("test")
    at_end = encode(sae, torch.stack([weights[base.encode([p.prompt])[0][-1]] for p in problems]))
    classes = result.table("classes")
    for value in "345":
        labels = [p.answer == value for p in problems]
        rows = classes[(classes.kind == "value") & (classes["class"] == value)].set_index("feature")
        for feature in range(len(FEATURES)):
            expected = roc_auc_score(labels, at_end[:, feature])
            assert rows.auroc[feature] == pytest.approx(expected), (value, feature)
    features = result.table("features")
    assert features.value_class[:2].tolist() == ["3", "4"]
    assert features.value_auroc[:2].tolist() == [1.0, 1.0]
    assert features.part_class[2] == "rest"
    assert features.part_class[5] == "step"
    assert features.part_auroc[5] > 0.6
    tokens = base.encode([f"{p.prompt} {p.trace}" for p in problems])
    so = base.tokenizer.convert_tokens_to_ids("so")
    answer = base.tokenizer.convert_tokens_to_ids("answer")
    fires = sum(token in (so, answer) for ids in tokens for token in ids) / sum(map(len, tokens))
    assert features.frequency[2] == pytest.approx(fires)
    assert "valid_auroc" in features


def test_word_detectors_and_what_hangs_on_a_wording_fail(found):
    table = found[0].table("features")
    assert table.word_detector.tolist() == [i == 2 for i in range(len(FEATURES))]
    assert table.wording_bound.tolist() == [i == 3 for i in range(len(FEATURES))]
    assert table.fails.tolist() == [i in (2, 3) for i in range(len(FEATURES))]
    assert not table.tested[4]
    assert (table.injection_p_holm >= table.injection_p).all()
    assert table.reason_score.argmax() == 2
    summary = found[0].summary
    assert summary["falsification"]["tested"] == {
        "features": 9,
        "fail": 2 / 9,
        "word_detectors": 1 / 9,
        "wording_bound": 1 / 9,
        "fail_uncorrected": 2 / 9,
    }
    assert summary["most_associated"][:2] == [0, 1]


def test_the_files_hold_what_was_found(found):
    result, out = found
    assert pq.read_table(out / "tables" / "features.parquet").equals(result.tables["features"])
    assert json.loads((out / "result.json").read_text()) == {"run": result.id, **result.summary}
    run = json.loads((out / "run.json").read_text())
    assert run["rule"]["shift"]["test"] == "welch"
    assert set(run["files"]) == {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    html = (out / "report.html").read_text()
    assert "For &lt;a test&gt;." in html
    assert html.count(">Feature ") == len(result.pages) == 4
    loaded = FeatureTable.load(out)
    assert loaded.pages == result.pages
    assert loaded.files() == result.files()
    assert loaded.page(result.pages[1].feature)._repr_html_().startswith("<section")
    with pytest.raises(UserError, match="feature 9 has no page; there are pages of: 0, 1"):
        loaded.page(9)
    assert "that fire at any text" in loaded._repr_html_()
    assert list(loaded.figures()) == ["association"]
    first = result.summary["associated"][0]
    assert (first["value"], first["class"], first["feature"]) == ("v", "3", 0)
    assert first["auroc"] == {"dev": 1, "test": 1}


def test_killed_it_goes_on_and_ends_the_same(found, task, folders, tmp_path, monkeypatch):
    written = JobFolder.write
    made: list[str] = []

    def dying(self, key, value):
        made.append(key)
        if key == "falsification" and len(made) < 4:
            raise KeyboardInterrupt
        written(self, key, value)

    monkeypatch.setattr(JobFolder, "write", dying)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        feature_table(str(folders["base"]), task, folders["sae"], config=CONFIG, out=out)
    again = feature_table(str(folders["base"]), task, folders["sae"], config=CONFIG, out=out)
    assert made == ["encoding/chosen", "encoding/reported", "falsification", "falsification"]
    assert again.summary == found[0].summary
    assert all(table.equals(found[0].tables[name]) for name, table in again.tables.items())
    assert not (out / "parts").exists()


def test_without_paraphrases_and_words_in_the_texts_it_says_so(task, folders):
    bare = task.model_copy(
        update={"problems": [p.model_copy(update={"paraphrases": []}) for p in task.problems]}
    )
    config = CONFIG.model_copy(update={"words": ("k",), "pages": 0})
    result = feature_table(str(folders["base"]), bare, folders["sae"], config=config)
    assert len(result.summary["notes"]) == 2
    assert result.tables["features"]["reason_score"].null_count == len(FEATURES)
    assert result.tables["features"]["paraphrase_d"].null_count == len(FEATURES)
    assert result.summary["falsification"]["tested"]["wording_bound"] is None
