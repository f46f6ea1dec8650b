"""A checkpoint that reads words, one that reads bytes, and texts for them."""

from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from tests.toys import WORDS, byte_tokenizer, tiny_model, word_tokenizer
from undertext.activations import Checkpoint


def checkpoint_with(tokenizer: PreTrainedTokenizerFast) -> Checkpoint:
    return Checkpoint.load(tiny_model("llama", len(tokenizer), n_layers=1), tokenizer=tokenizer)


WORD = checkpoint_with(word_tokenizer())
BYTE = checkpoint_with(byte_tokenizer())

spaced_words = st.lists(
    st.tuples(st.sampled_from(WORDS), st.sampled_from([" ", "  ", "\n", " \t"])), min_size=1, max_size=12
).map(lambda pairs: "".join(word + space for word, space in pairs))
