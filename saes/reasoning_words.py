"""Words by which English text shows that it reasons, and their spellings as token ids."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

WORDS = (
    *("wait", "hmm", "maybe", "perhaps", "actually", "alternatively", "however", "but"),
    *("so", "because", "since", "thus", "therefore", "hence", "then", "let"),
    *("check", "recall", "first", "next", "finally"),
)


def spellings(tokenizer: PreTrainedTokenizerBase, words: Sequence[str] = WORDS) -> dict[str, list[list[int]]]:
    """Each word's spellings as token ids: with and without a space before it, small and capital.

    A spelling with an unknown token in it is left out, and so is a word without spellings.
    """
    spelled = {}
    for word in words:
        written = dict.fromkeys((word, f" {word}", word.capitalize(), f" {word.capitalize()}"))
        ids = [known for text in written if (known := _known(tokenizer, text)) is not None]
        if ids:
            spelled[word] = [list(one) for one in dict.fromkeys(map(tuple, ids))]
    return spelled


def _known(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int] | None:
    try:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False, verbose=False)
    except Exception:  # the tokenizers library raises bare ones for a word that it lacks
        return None
    if not ids or tokenizer.unk_token_id in ids:
        return None
    decoded = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return ids if str(decoded).strip() == text.strip() else None
