"""A feature's page as plain values, against plain computations."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from tests.saes.planted_words import POINT, toy_checkpoint, word_sae
from tests.toys import embedding
from undertext.activations.errors import UserError
from undertext.activations.pair import Pair
from undertext.report.feature_page import page_html
from undertext.saes import TextFirings, decoder_directions, feature_page, read_texts
from undertext.saes.pages import page_of

TEXTS = ["a so b so so c", "find 7 so", "a b c d", "so find so 7 = 7", "k k k k k k k k k k k k 7 k k k k"]
WRITTEN = [{"7": 1.0, "so": 0.25}, {"answer": 1.0}]


@pytest.fixture(scope="module")
def pair():
    base, tuned = toy_checkpoint(), toy_checkpoint(seed=1)
    with torch.no_grad():
        word = tuned.tokenizer.convert_tokens_to_ids("so")
        embedding(tuned.model)[word] *= 3
    return Pair(base, tuned)


@pytest.fixture(scope="module")
def sae(pair):
    return word_sae(pair.base, WRITTEN)


@pytest.fixture(scope="module")
def reads(pair, sae):
    return read_texts(sae, pair.base, TEXTS, POINT), read_texts(sae, pair.tuned, TEXTS, POINT)


@pytest.fixture(scope="module")
def page(pair, sae, reads):
    d = decoder_directions(sae)[0]
    return feature_page(0, d, reads, pair, contexts=3, around=4, bins=5, tokens=4)


def test_contexts_are_the_texts_where_it_fires_most(page, reads):
    assert [context.text for context in page.contexts] == [1, 3, 4]
    columns = [read.firings.column(0) for read in reads]
    for context in page.contexts:
        words = ["<bos>", *TEXTS[context.text].split()]
        peak = context.start + context.peak
        assert words[peak] == "7"
        assert context.start == max(0, peak - 4)
        assert list(context.tokens) == words[context.start : peak + 5]
        begin = int((reads[0].texts < context.text).sum()) + context.start
        for column, strengths in zip(columns, context.strengths, strict=True):
            assert list(strengths) == column[begin : begin + len(words[context.start : peak + 5])].tolist()
    second = page.contexts[1]
    assert second.tokens[second.peak - 1 : second.peak + 1] == ("so", "7")
    assert tuple(each[second.peak - 1] for each in second.strengths) == (0.25, 0.75)


def test_figures_are_those_of_numpy(page, reads):
    columns = [read.firings.column(0).double().numpy() for read in reads]
    assert page.rows == len(columns[0])
    assert page.frequency == tuple((column > 0).mean() for column in columns)
    top = max(map(np.max, columns))
    for column, counts in zip(columns, page.histogram.counts, strict=True):
        expected, edges = np.histogram(column[column > 0], bins=5, range=(0, top))
        assert list(page.histogram.edges) == pytest.approx(edges)
        assert sum(counts) == expected.sum()
    assert page.histogram.counts == ((0, 6, 0, 0, 4), (0, 0, 0, 6, 4))  # 0.25 and 1, 0.75 and 1


def test_logits_are_the_decoder_row_through_the_unembedding(page, pair, sae):
    d = sae.W_dec[0].detach()
    for effects, checkpoint in zip(page.logits, pair, strict=True):
        added = (checkpoint.model.lm_head.weight.detach() * d).sum(dim=1)
        names = checkpoint.tokenizer.convert_ids_to_tokens(added.argsort(descending=True).tolist())
        assert [one.token for one in effects.raised] == names[:4]
        assert [one.token for one in effects.lowered] == names[::-1][:4]
        values = [one.value for one in (*effects.raised, *reversed(effects.lowered))]
        ends = added.sort(descending=True).values
        assert values == pytest.approx([*ends[:4].tolist(), *ends[-4:].tolist()])
    assert page.logits[0] != page.logits[1]


def test_a_page_comes_back_from_its_plain_values(page):
    assert page_of(json.loads(json.dumps(asdict(page)))) == page


def test_a_page_of_one_checkpoint_is_the_pair_s_without_the_other(page, pair, sae, reads):
    d = decoder_directions(sae)[0]
    alone = feature_page(0, d, reads[:1], pair[:1], contexts=3, around=4, bins=5, tokens=4)
    assert [context.tokens for context in alone.contexts] == [context.tokens for context in page.contexts]
    for mine, both in zip(alone.contexts, page.contexts, strict=True):
        assert mine.strengths == both.strengths[:1]
    assert (alone.frequency, alone.logits) == (page.frequency[:1], page.logits[:1])
    assert alone.histogram.counts == (page.histogram.counts[0],)
    html = page_html(asdict(alone))
    assert "tuned" not in html
    assert ">tokens</th>" in html


def test_a_feature_that_never_fires_has_a_page(pair, sae, reads):
    page = feature_page(1, decoder_directions(sae)[1], reads, pair)
    assert page.contexts == ()
    assert page.frequency == (0, 0)
    assert sum(map(sum, page.histogram.counts)) == 0
    assert "fires at none" in page_html(asdict(page))


def test_what_does_not_fit_is_refused(pair, sae, reads):
    d = decoder_directions(sae)[0]
    other = TextFirings(reads[1].firings, reads[1].tokens + 1, reads[1].texts)
    with pytest.raises(UserError, match="read different texts"):
        feature_page(0, d, (reads[0], other), pair)
    with pytest.raises(UserError, match="from 0 to 1, got 2"):
        feature_page(2, d, reads, pair)
    with pytest.raises(UserError, match=r"width 64, .* got 63"):
        feature_page(0, d[1:], reads, pair)
    with pytest.raises(UserError, match="got 1 for 2"):
        feature_page(0, d, reads[:1], pair)
