"""Features of an SAE as vectors to steer with: which are taken, what stands beside them, what is known."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from tests.made_up_sae import LAYER, sae_of
from tests.made_up_task import CONFIG, STRONGER, WEAKER, checkpoint, task_of
from undertext.activations import Checkpoint, UserError
from undertext.measures.recovery.candidates import candidate_vectors
from undertext.measures.recovery.feature_vectors import feature_vectors, own_texts
from undertext.measures.recovery.search import search_settings
from undertext.saes import encode
from undertext.saes.reasoning_words import WORDS
from undertext.tasks import Contrast, Problem, Task

CONTRAST = Contrast(name="thinks", positive="find {prompt} so", negative="{prompt} answer")
NORMS = torch.tensor([1.0, 2.0, 3.0])
FEW = CONFIG.model_copy(update={"sae_features": 2, "random_features": 3})


def traced() -> Task:
    """With a solution for each problem, which begins in one of two ways."""
    task = task_of([CONTRAST])
    problems = [
        problem.model_copy(update={"trace": f"{'so' if i % 3 else 'a'} = {problem.answer}"})
        for i, problem in enumerate(task.problems)
    ]
    return task.model_copy(update={"problems": problems})


def prompts(task: Task) -> list[Problem]:
    return task.split("train")[: CONFIG.vector_problems]


@torch.no_grad()
def resid(checkpoint: Checkpoint, text: str | list[int]) -> torch.Tensor:
    """[token, d_model] after block LAYER, by transformers alone."""
    ids = torch.tensor(checkpoint.encode([text]) if isinstance(text, str) else [text])
    return checkpoint.model(ids, output_hidden_states=True).hidden_states[LAYER + 1][0]


def by(found, name: str) -> set[str]:
    return {vector.name for vector in found.vectors if name in vector.made}


def highest(scores: torch.Tensor, names: int = 2) -> set[str]:
    order = scores.nan_to_num(-torch.inf).argsort(descending=True)
    return {f"feature {int(f)}" for f in order[:names] if scores[f] > 0}


@torch.no_grad()
def test_features_are_ranked_by_what_the_weaker_checkpoint_tells():
    sae, task = sae_of(WEAKER), traced()
    found = feature_vectors(sae, WEAKER, task, FEW, NORMS)
    read = torch.cat([resid(WEAKER, ids) for ids in own_texts(WEAKER, task, prompts(task))])
    fires = (encode(sae, read) > 0).any(dim=0)
    assert not fires.all()
    lengths = sae.W_dec.norm(dim=1).where(fires, torch.nan)
    sides = [
        torch.stack(
            [encode(sae, resid(WEAKER, form.format(prompt=each.prompt))[-1:])[0] for each in prompts(task)]
        )
        for form in (CONTRAST.positive, CONTRAST.negative)
    ]
    assert by(found, "contrast 'thinks'") == highest((sides[0].mean(0) - sides[1].mean(0)) * lengths)
    words = [str(each.trace).split()[0] for each in prompts(task)]
    first = Counter(WEAKER.tokenizer.convert_tokens_to_ids(word) for word in words)
    assert len(first) == 2
    weights = WEAKER.model.get_output_embeddings().weight
    raised = (sae.W_dec / lengths[:, None]) @ weights.T
    scores = sum(count * raised[:, token] for token, count in first.items()) / len(prompts(task))
    assert by(found, "the first token of a trace") == highest(scores - raised.mean(dim=1))
    assert by(found, "ReasonScore")
    known = {word for word in WORDS if word in WEAKER.tokenizer.get_vocab()}
    assert known == {"so"}  # of the words of reasoning, this tokenizer has one


@torch.no_grad()
def test_what_raises_all_logits_alike_raises_none():
    """The same for every token added to the unembedding changes nothing that is written, and no ranking."""
    shifted = checkpoint(0)
    unembedding = shifted.model.get_output_embeddings().weight
    assert unembedding is not shifted.model.get_input_embeddings().weight
    unembedding += 5 * torch.randn(unembedding.shape[1], generator=torch.Generator().manual_seed(7))
    plain, other = (feature_vectors(sae_of(each), each, traced(), FEW, NORMS) for each in (WEAKER, shifted))
    assert by(plain, "the first token") == by(other, "the first token")
    assert by(plain, "the first token")


def test_the_stronger_checkpoint_has_no_part_in_it():
    task, sae = traced(), sae_of(WEAKER)
    alone, beside = (candidate_vectors(WEAKER, each, task, FEW, sae=sae) for each in (None, STRONGER))
    assert alone.features == beside.features
    assert alone.features
    for name in alone.features:
        one, other = (
            next(vector for vector in each.vectors if vector.name == name) for each in (alone, beside)
        )
        assert torch.equal(one.directions, other.directions)
        assert beside.access[name] == "weaker only"
        assert one.sources == (WEAKER.name,)


def test_controls_are_random_features_of_equal_norm_under_the_same_search():
    sae = sae_of(WEAKER)
    offered = candidate_vectors(WEAKER, STRONGER, traced(), FEW, sae=sae)
    vectors = {vector.name: vector for vector in offered.vectors}
    settings = search_settings(offered, [0, 1, 2], FEW)
    rows = sae.W_dec.detach()
    for name in offered.features:
        feature = int(name.removeprefix("feature "))
        assert torch.equal(vectors[name].directions[LAYER], rows[feature])
        own = [
            n
            for n, each in offered.controls.items()
            if each == replace(each, kind="random features", of=name)
        ]
        assert len(own) == FEW.random_features
        assert f"elsewhere: {name}" in offered.controls
        for control in own:
            other = int(control.rsplit(" ", 1)[1])
            assert f"feature {other}" not in offered.features
            direction = vectors[control].directions[LAYER]
            torch.testing.assert_close(direction.norm(), rows[feature].norm())
            cosine = torch.cosine_similarity(direction, rows[other], dim=0)
            assert cosine.item() == pytest.approx(1, abs=1e-5)
            assert offered.access[control] == offered.access[name]
            tried = [
                [(s.layers, s.dose, s.gate, s.operator) for s in settings if s.vector == each]
                for each in (name, control)
            ]
            assert tried[0] == tried[1]
            assert {s[0] for s in tried[0]} == {(LAYER,)}
    # An SAE whose layer is not among those searched is searched at its own.
    assert {s.layers for s in search_settings(offered, [2], FEW) if s.vector == offered.features[0]} == {
        (LAYER,)
    }


def test_an_sae_of_another_checkpoint_counts_as_knowing_more():
    for sae, of in ((sae_of(STRONGER), "a checkpoint it does not name"), (sae_of(WEAKER), "someone/else")):
        if of == "someone/else":
            sae.cfg.metadata.fingerprint, sae.cfg.metadata.model_name = None, of
        offered = candidate_vectors(WEAKER, STRONGER, traced(), FEW, sae=sae)
        assert {offered.access[name] for name in offered.features} == {"stronger's activations"}
        assert any(of in note and "stronger's activations" in note for note in offered.notes)
    named = sae_of(WEAKER)
    named.cfg.metadata.fingerprint, named.cfg.metadata.model_name = None, WEAKER.name
    offered = candidate_vectors(WEAKER, STRONGER, traced(), FEW, sae=named)
    assert {offered.access[name] for name in offered.features} == {"weaker only"}
    named.cfg.metadata.fingerprint = STRONGER.fingerprint  # weights are asked before names
    offered = candidate_vectors(WEAKER, STRONGER, traced(), FEW, sae=named)
    assert {offered.access[name] for name in offered.features} == {"stronger's activations"}


def test_what_cannot_be_ranked_by_is_said():
    found = feature_vectors(sae_of(WEAKER), WEAKER, task_of(), FEW, NORMS)
    assert "SAE features: no trace in train begins with a token of its own" in found.notes
    assert {vector.made.split("chosen by ")[1] for vector in found.vectors} == {"ReasonScore"}


@pytest.mark.parametrize(
    ("sae", "message"),
    [
        (sae_of(WEAKER, "blocks.1.hook_mlp_out"), "resid_post at a layer from 0 to 2.*blocks.1.hook_mlp_out"),
        (sae_of(WEAKER, "blocks.7.hook_resid_post"), "from 0 to 2, got one that reads blocks.7"),
        (sae_of(WEAKER, None), "got one that reads an unnamed hook point"),
        (sae_of(WEAKER, width=16), "width 16"),
    ],
)
def test_an_sae_that_does_not_fit_is_refused(sae, message):
    with pytest.raises(UserError, match=message):
        candidate_vectors(WEAKER, None, traced(), FEW, sae=sae)


def test_a_vector_of_the_same_name_is_refused():
    sae = sae_of(WEAKER)
    vector = feature_vectors(sae, WEAKER, traced(), FEW, NORMS).vectors[0]
    with pytest.raises(UserError, match="choose another name"):
        candidate_vectors(WEAKER, None, traced(), FEW, [vector], sae=sae)


def test_the_layer_and_the_units_of_dose():
    found = feature_vectors(sae_of(WEAKER, "blocks.2.hook_resid_post"), WEAKER, traced(), FEW, NORMS)
    assert {vector.layers for vector in found.vectors} == {(2,)}
    assert torch.equal(found.vectors[0].norms, NORMS)
