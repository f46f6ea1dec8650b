"""What an SAE or a crosscoder shows of a pair in which it is known: what is kept, retained and chosen."""

import math

import pytest
import torch

from tests.toys import family_config, random_model, word_tokenizer
from undertext.activations import Checkpoint, HookPoint, capture, load_pair
from undertext.activations.forced import forced
from undertext.activations.pair import Pair
from undertext.core.terms import ROLES, Role
from undertext.measures.features.at_tokens import TokenFeature
from undertext.measures.features.config import EncodingConfig
from undertext.measures.features.crosscoder import encode_latents
from undertext.measures.features.in_pair import BY_LABELS, BY_STRENGTH, features_in_pair, trained_on
from undertext.measures.features.kept import Kept, poorly_kept, sae_keeps, some_problems
from undertext.measures.features.latents import latents_in_pair
from undertext.measures.features.opening import open_sae
from undertext.measures.features.rule import feature_rule
from undertext.saes import Crosscoder, feature_page, fidelity, loss_recovered
from undertext.tasks import Problem
from undertext.tasks.value_positions import reading_text

CONFIG, RULE = EncodingConfig(pages=4), feature_rule()


@pytest.fixture(scope="module")
def pair(folders) -> Pair:
    return load_pair(folders["base"], folders["tuned"])


@pytest.fixture(scope="module")
def opened(folders, pair):
    return open_sae(folders["sae"], None, pair.base, CONFIG)


@pytest.fixture(scope="module")
def few(task):
    return some_problems(task, ["dev", "test"], 0, 12)


def test_fates_rows_and_pages_are_of_the_planted_features(opened, pair, task):
    found = features_in_pair(opened, pair, task, CONFIG, RULE, {5: "steered with: a contrast"})
    # The features of 3 and of 4 and 5 predict the value at the tokens that say it; `*` is seen no more.
    rows = {row["feature"]: row for row in found.rows}
    assert len(found.rows) == 4
    assert found.rows[0]["feature"] == 5
    assert rows[5]["fate"] == "silenced"
    assert rows[5]["chosen_by"] == "steered with: a contrast"
    assert rows[5]["frequency_tuned"] == pytest.approx(0)
    assert {0, 1} < set(rows)
    assert rows[0]["predicts"] == "v = 3"
    assert rows[0]["chosen_by"] == BY_LABELS["value"]
    assert (rows[0]["auroc_base"], rows[0]["auroc_tuned"]) == pytest.approx((1, 1))
    assert found.fates == {"stable": 0.7, "moved": 0, "silenced": 0.2, "new": 0.1}
    assert found.retained == (2, 2)  # 4 and 5 are told by one feature
    assert found.features == [row["feature"] for row in found.rows]
    assert [page["feature"] for page in found.pages] == found.features
    assert found.notes == []


def test_what_is_kept_is_what_plain_calls_say_of_scaled_activations(opened, pair, few):
    found = features_in_pair(opened, pair, few, CONFIG, RULE, {})
    texts = pair.base.encode([reading_text(problem) for problem in few.split("dev")])
    X = [capture(one, texts, [opened.point], "all")[opened.point] for one in pair]
    norms = [float(each.norm(dim=1).mean()) for each in X]
    assert found.scales == pytest.approx((1, norms[0] / norms[1]))
    for role, one, rows, scale in zip(ROLES, pair, X, found.scales, strict=True):
        assert found.kept[role].explained_variance == pytest.approx(
            fidelity(opened.sae, rows * scale).explained_variance
        )
        loss = loss_recovered(opened.sae, one, texts, opened.point, scale=scale)
        assert found.kept[role].loss_recovered == pytest.approx(loss.recovered_from_mean)


def test_the_loss_at_a_scale_is_that_of_an_sae_that_scales_itself(opened, pair, few):
    """With a scale, an SAE with a bias does what the same SAE does whose bias is divided by the scale."""
    texts = pair.base.encode([problem.prompt for problem in few.split("dev")])
    sae, b_enc = opened.sae, opened.sae.b_enc.detach().clone()
    try:
        with torch.no_grad():
            sae.b_enc -= 0.5
        scaled = loss_recovered(sae, pair.tuned, texts, opened.point, scale=3.0).spliced
        plain = loss_recovered(sae, pair.tuned, texts, opened.point).spliced
        with torch.no_grad():
            sae.b_enc.copy_(b_enc - 0.5 / 3)
        divided = loss_recovered(sae, pair.tuned, texts, opened.point).spliced
    finally:
        with torch.no_grad():
            sae.b_enc.copy_(b_enc)
    assert scaled == pytest.approx(divided, abs=1e-5)
    assert scaled != pytest.approx(plain, abs=1e-4)


def test_a_task_that_says_nothing_of_its_texts_shows_what_writes_most(opened, pair, few):
    plain = few.model_copy(
        update={
            "problems": [
                Problem(id=each.id, split=each.split, prompt=each.prompt, answer="3") for each in few.problems
            ]
        }
    )
    # The answer counts as a value, and is the same everywhere; of parts of a text a prompt has but one.
    found = features_in_pair(opened, pair, plain, CONFIG, RULE, {})
    assert found.retained is None
    assert {row["chosen_by"] for row in found.rows} == {BY_STRENGTH}
    assert all(row["predicts"] is None for row in found.rows)
    assert "no feature is shown by what it predicts" in found.notes[0]
    texts = pair.base.encode([problem.prompt for problem in plain.split("dev")])
    strengths = opened.sae.encode(capture(pair.base, texts, [opened.point], "all")[opened.point])
    writes = strengths.mean(dim=0) * opened.sae.W_dec.norm(dim=1)
    assert found.features == writes.argsort(descending=True, stable=True)[:4].tolist()


def test_nothing_is_said_of_what_cannot_be_told(opened, pair, few):
    row = torch.ones(1, pair.base.d_model)
    assert sae_keeps(opened, pair.base, [[5]], row, 1.0) == Kept(None, None)
    assert sae_keeps(opened, pair.base, [[5], [5]], row.expand(2, -1), 1.0) == Kept(None, None)
    one = [
        Problem(id=f"{split}-{k}", split=split, prompt="p", answer="3")
        for split in ("dev", "test")
        for k in range(2)
    ]
    silent = [each.model_copy(update={"prompt": "k"}) for each in one]
    found = features_in_pair(opened, pair, few.model_copy(update={"problems": silent}), CONFIG, RULE, {})
    assert found.rows == found.pages == []
    assert math.isnan(found.fates["stable"])
    assert found.notes[-1] == "no feature of the SAE fires at any of the texts"
    assert len(poorly_kept(found.kept, RULE.keeps)) == 2  # what nothing fires at is not kept


def test_what_is_kept_too_little_is_said_of_each_checkpoint():
    kept: dict[Role, Kept] = {"base": Kept(0.95, 0.5), "tuned": Kept(0.3, -1.25)}
    assert poorly_kept(kept, 0.8) == [
        "0.50 of the loss of the base",
        "0.30 of the variance of the activations and -1.25 of the loss of the tuned",
    ]
    assert poorly_kept(kept, 0.2) == ["-1.25 of the loss of the tuned"]


def test_a_feature_at_tokens_is_what_the_sae_encodes_there(opened, pair, few):
    texts = pair.base.encode([reading_text(problem) for problem in few.split("test")])
    places = [list(range(1, len(ids))) for ids in texts]
    of = TokenFeature(opened.sae, opened.point, 1, {"base": 1.0, "tuned": 3.0})
    for role, scale in of.scales.items():
        one = getattr(pair, role)
        read = forced(one, texts, places, reads=[of.reading(role)]).read[0]
        for ids, own in zip(texts, read, strict=True):
            X = capture(one, [ids], [opened.point], "all")[opened.point]
            assert own == pytest.approx(opened.sae.encode(X * scale)[1:, 1].tolist(), abs=1e-5)
    assert any(map(any, read))
    others = [
        of._replace(feature=0),
        of._replace(scales={"base": 2.0}),
        of._replace(point=HookPoint(1, "resid_pre")),
    ]
    assert len({each.digest("base") for each in (of, *others)}) == 4


def test_the_checkpoint_an_sae_names_is_the_one_it_was_trained_on(opened, pair):
    metadata = opened.sae.cfg.metadata
    before = metadata.fingerprint, metadata.model_name
    try:
        for fingerprint, name, role in (
            (None, None, "base"), (pair.tuned.fingerprint, None, "tuned"), (None, pair.tuned.name, "tuned"),
            (pair.base.fingerprint, pair.tuned.name, "base"), ("another", pair.tuned.name, "base"),
        ):  # fmt: skip
            metadata.fingerprint, metadata.model_name = fingerprint, name
            assert trained_on(opened.sae, pair) == role
    finally:
        metadata.fingerprint, metadata.model_name = before


@pytest.fixture(scope="module")
def crosscoder(pair) -> Crosscoder:
    """Latents at two points: of the base alone, of both (opposite in tuned), of the tuned alone, and dead."""
    noise = torch.Generator().manual_seed(0)
    encoders = torch.randn(2, 2, pair.base.d_model, 4, generator=noise)
    decoders = torch.randn(2, 2, 4, pair.base.d_model, generator=noise)
    decoders[1, :, 0], decoders[0, :, 2] = 0.0, 0.0
    decoders[1, :, 1] = -decoders[0, :, 1]
    scales = torch.tensor([[1.0, 2.0], [1.0, 2.0]])
    return Crosscoder(
        (HookPoint(0, "resid_post"), HookPoint(1, "resid_post")), encoders,
        torch.tensor([0.0, 0.0, 0.0, -1e6]), torch.zeros(4), decoders,
        torch.zeros(2, 2, pair.base.d_model), scales,
    )  # fmt: skip


def test_latents_norms_cosines_and_variance_are_those_of_plain_sums(crosscoder, pair, few):
    found = latents_in_pair(crosscoder, pair, few, CONFIG, RULE)
    columns = found.columns
    assert columns["relative_norm"][:3] == pytest.approx([0, 0.5, 1])
    assert columns["cosine"][:3] == pytest.approx([0, -1, 0], abs=1e-6)
    assert columns["kind_by_norm"] == ["base_only", "shared", "tuned_only", "dead"]
    encoded, activations = encode_latents(crosscoder, pair, few, "test", CONFIG)
    assert columns["frequency"] == pytest.approx(encoded.frequency[0].tolist())
    assert found.tokens == activations.shape[2]
    latents = crosscoder.encode(activations[0], activations[1])
    written = crosscoder.decode(latents)
    for m, role in enumerate(ROLES):
        # The units of training: each point is multiplied by its scale.
        X, Y = (
            (each[m] * torch.tensor([1.0, 2.0])[:, None, None]).double() for each in (activations, written)
        )
        spread = sum(float((x - x.mean(dim=0)).pow(2).sum()) for x in X)
        expected = 1 - float((X - Y).pow(2).sum()) / spread
        assert found.kept[role].explained_variance == pytest.approx(expected)
        assert found.kept[role].loss_recovered is None
    assert {row["latent"] for row in found.rows} == {0, 1, 2}
    first = found.pages[0]
    of = pair.tuned if first["feature"] == 2 else pair.base
    assert first["names"] == (of.name,)
    direction = crosscoder.decoders[int(first["feature"] == 2), -1, first["feature"]]
    assert feature_page(first["feature"], direction, encoded.texts, [of]).logits[0].raised[0].value == (
        pytest.approx(first["logits"][0]["raised"][0]["value"])
    )


def test_latents_that_write_into_heads_have_no_page(few):
    words, noise, point = word_tokenizer(), torch.Generator().manual_seed(0), HookPoint(0, "z")
    one = Checkpoint.load(random_model(family_config("qwen3", len(words))), tokenizer=words)
    width = one.width(point)
    assert width != one.d_model
    weights = torch.randn(2, 2, 1, width, 3, generator=noise)
    heads = Crosscoder(
        (point,), weights[0], torch.zeros(3), torch.zeros(3), weights[1].transpose(2, 3).contiguous(),
        torch.zeros(2, 1, width), torch.ones(2, 1),
    )  # fmt: skip
    found = latents_in_pair(heads, Pair(one, one), few, CONFIG, RULE)
    assert found.rows == found.pages == []
    assert len(found.columns["latent"]) == 3
    assert found.notes == [
        "no latent has a page: what it writes at blocks.0.attn.hook_z is not in the stream that is unembedded"
    ]


def test_latents_of_a_task_that_says_nothing_are_shown_all_the_same(crosscoder, pair, few):
    plain = [Problem(id=p.id, split=p.split, prompt=p.prompt, answer="3") for p in few.problems]
    found = latents_in_pair(
        crosscoder,
        pair,
        few.model_copy(update={"problems": plain}),
        CONFIG.model_copy(update={"pages": 2}),
        RULE,
    )
    assert len(found.rows) == len(found.pages) == 2
    assert {row["chosen_by"] for row in found.rows} == {BY_STRENGTH}
