"""Three ways to the same figures: one masked pass, two passes sharing keys and values, one row a branch."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import DynamicCache

from undertext.activations.batching import pad_right
from undertext.activations.branch_attention import CausalFirst
from undertext.activations.branch_tree import BranchTree
from undertext.activations.checkpoint import Checkpoint
from undertext.activations.hooks import logits_only_at

Windows = dict[str, int | None]
"""The kinds of attention layer a model has, by transformers' names, each with its sliding window or None."""

_FLOATS_AT_ONCE = 1 << 24
"""How many logits are taken to float32 together: 64 MiB."""


def packed(
    checkpoint: Checkpoint, trees: Sequence[BranchTree], windows: Windows
) -> list[Float[Tensor, " n"]]:
    """One pass over each tree as one row, its branches told apart by the mask alone."""
    device = checkpoint.device
    width = max(len(tree.tokens) for tree in trees)
    ids = pad_right([tree.tokens for tree in trees], device)
    inputs: dict[str, Any] = {}
    first: CausalFirst | nullcontext[None] = nullcontext()
    if any(tree.n_hung for tree in trees):
        # A row's padding stands at its last position: an embedding of positions must know it.
        inputs["position_ids"] = pad_right([tree.positions for tree in trees], device)
        masks = {
            kind: _additive([_square(tree.seen(window), width) for tree in trees], checkpoint)
            for kind, window in windows.items()
        }
        inputs["attention_mask"] = _by_kind(masks)
        trunk = min(tree.n_trunk for tree in trees)
        causal = [masks[kind] for kind, window in windows.items() if window is None or window >= trunk]
        if device.type == "cpu" and trunk > 1:  # elsewhere it was not measured
            first = CausalFirst(causal, trunk)
    readers = _Readers([tree.readers for tree in trees], device)
    with first:
        logits = _logits(checkpoint, ids, readers, use_cache=False, **inputs)
    return readers.log_probs(logits, [tree.targets for tree in trees])


def cached(
    checkpoint: Checkpoint, trees: Sequence[BranchTree], windows: Windows
) -> list[Float[Tensor, " n"]]:
    """The trunks first, as causal as any text, then all branches over the keys and values kept of them."""
    device = checkpoint.device
    hung = max(tree.n_hung for tree in trees)
    # Every layer keeps the whole trunk, one with a sliding window too: its window is in the mask.
    cache = DynamicCache()
    trunks = pad_right([tree.tokens[: tree.n_trunk] or [0] for tree in trees], device)
    n_trunk = trunks.shape[1]
    early = _Readers([[node for node in tree.readers if node < tree.n_trunk] for tree in trees], device)
    logits = _logits(checkpoint, trunks, early, past_key_values=cache, use_cache=True)
    first = early.log_probs(logits, [_of(tree, early=True) for tree in trees])
    if not hung:
        return first
    masks: dict[str, list[Bool[np.ndarray, "query key"]]] = {kind: [] for kind in windows}
    for tree in trees:
        for kind, window in windows.items():
            seen = tree.seen(window)[tree.n_trunk :]
            mask = np.zeros((hung, n_trunk + hung), dtype=np.bool_)
            mask[: tree.n_hung, : tree.n_trunk] = seen[:, : tree.n_trunk]
            mask[: tree.n_hung, n_trunk : n_trunk + tree.n_hung] = seen[:, tree.n_trunk :]
            mask[range(tree.n_hung, hung), range(n_trunk + tree.n_hung, n_trunk + hung)] = True
            masks[kind].append(mask)
    late = _Readers(
        [[node - tree.n_trunk for node in tree.readers if node >= tree.n_trunk] for tree in trees], device
    )
    logits = _logits(
        checkpoint,
        pad_right([tree.tokens[tree.n_trunk :] or [0] for tree in trees], device),
        late,
        past_key_values=cache,
        use_cache=True,
        position_ids=pad_right([tree.positions[tree.n_trunk :] or [0] for tree in trees], device),
        attention_mask=_by_kind({kind: _additive(rows, checkpoint) for kind, rows in masks.items()}),
    )
    second = late.log_probs(logits, [_of(tree, early=False) for tree in trees])
    merged = []
    for tree, on_trunk, on_branches in zip(trees, first, second, strict=True):
        is_early = torch.tensor([node < tree.n_trunk for node in tree.readers], dtype=torch.bool)
        both = torch.empty(len(tree.readers))
        both[is_early], both[~is_early] = on_trunk, on_branches
        merged.append(both)
    return merged


def naive(
    checkpoint: Checkpoint, texts: Sequence[Sequence[int]], scored: Sequence[int]
) -> list[Float[Tensor, " n"]]:
    """Each text a row of one batch; the log-probabilities of its last `scored` tokens."""
    readers = _Readers(
        [list(range(len(ids) - n - 1, len(ids) - 1)) for ids, n in zip(texts, scored, strict=True)],
        checkpoint.device,
    )
    ids = pad_right([ids[:-1] for ids in texts], checkpoint.device)
    logits = _logits(checkpoint, ids, readers, attention_mask=torch.ones_like(ids), use_cache=False)
    return readers.log_probs(logits, [list(ids[-n:]) for ids, n in zip(texts, scored, strict=True)])


class _Readers:
    """The tokens of a batch at which logits are needed, each once."""

    def __init__(self, nodes: Sequence[Sequence[int]], device: torch.device) -> None:
        self.counts = [len(row) for row in nodes]
        pairs = [(row, node) for row, found in enumerate(nodes) for node in found]
        places = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
        self.rows = torch.tensor([row for row, _ in places], dtype=torch.long, device=device)
        self.positions = torch.tensor([node for _, node in places], dtype=torch.long, device=device)
        self.places = torch.tensor([places[pair] for pair in pairs], dtype=torch.long, device=device)

    def log_probs(
        self, logits: Float[Tensor, "place d_vocab"], targets: Sequence[Sequence[int]]
    ) -> list[Float[Tensor, " n"]]:
        """For each row, the log-probability of each target at its reader: float32, on the CPU."""
        wanted = torch.tensor([t for row in targets for t in row], dtype=torch.long, device=logits.device)
        step = max(1, _FLOATS_AT_ONCE // logits.shape[1])
        totals = [part.float().logsumexp(dim=-1) for part in logits.split(step)]
        found = logits[self.places, wanted].float() - torch.cat(totals)[self.places]
        return list(found.cpu().split(self.counts))


def _logits(
    checkpoint: Checkpoint, ids: Int[Tensor, "row position"], readers: _Readers, **inputs: Any
) -> Float[Tensor, "place d_vocab"]:
    with torch.inference_mode(), logits_only_at(checkpoint, readers.rows, readers.positions):
        output = checkpoint.model(input_ids=ids, **inputs)
    if output.logits.shape[:2] != (1, len(readers.rows)):
        raise RuntimeError(
            f"{checkpoint.name}: expected logits [1, {len(readers.rows)}, {checkpoint.d_vocab}], "
            f"got {list(output.logits.shape)}"
        )
    return output.logits[0]


def _of(tree: BranchTree, *, early: bool) -> list[int]:
    return [
        target
        for node, target in zip(tree.readers, tree.targets, strict=True)
        if (node < tree.n_trunk) == early
    ]


def _square(seen: Bool[np.ndarray, "node node"], width: int) -> Bool[np.ndarray, "width width"]:
    """Padded on the right with tokens that read themselves alone: a row that reads nothing gives NaN."""
    mask = np.eye(width, dtype=np.bool_)
    mask[: len(seen), : len(seen)] = seen
    return mask


def _additive(
    masks: Sequence[Bool[np.ndarray, "query key"]], checkpoint: Checkpoint
) -> Float[Tensor, "row 1 query key"]:
    seen = torch.from_numpy(np.stack(masks)).to(checkpoint.device)[:, None]
    lowest = torch.finfo(checkpoint.dtype).min
    return torch.zeros(seen.shape, dtype=checkpoint.dtype, device=seen.device).masked_fill_(~seen, lowest)


def _by_kind(masks: dict[str, Tensor]) -> Tensor | dict[str, Tensor]:
    """One mask where all layers attend alike; transformers takes several by the kind of layer."""
    return masks if len(masks) > 1 else next(iter(masks.values()))
