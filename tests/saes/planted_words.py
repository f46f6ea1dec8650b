"""A toy model whose SAE has features that are known: each fires at the words it is given."""

import torch
from sae_lens import StandardSAE, StandardSAEConfig

from tests.toys import embedding, tiny_model, word_tokenizer
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hookpoint import HookPoint

POINT = HookPoint(0, "resid_pre")
"""What is read there are the embeddings of tokens, so a feature can be given its tokens."""


def toy_checkpoint(seed=0):
    words = word_tokenizer()
    model = tiny_model("llama", len(words), seed=seed, d_model=64)
    with torch.no_grad():
        # One dimension a token: words are told apart without error.
        embedding(model).copy_(torch.eye(len(words), model.config.hidden_size) * 2)
    return Checkpoint.load(model, tokenizer=words)


def word_sae(checkpoint, features):
    """Each feature is a mapping of words to the strength with which it fires at them."""
    ids = checkpoint.tokenizer.convert_tokens_to_ids
    sae = StandardSAE(StandardSAEConfig(d_in=checkpoint.d_model, d_sae=len(features)))
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.zero_()
        for j, strengths in enumerate(features):
            for word, strength in strengths.items():
                sae.W_enc[ids(word), j] = strength / 2
                sae.W_dec[j, ids(word)] = strength
    sae.cfg.metadata.hook_name = str(POINT)
    return sae.eval()
