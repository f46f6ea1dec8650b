"""Activations on disk: a folder of safetensors shards and a manifest (the format: docs/store.md)."""

from undertext.activations.store.capturing import capture_to_store, tokens_fingerprint
from undertext.activations.store.capturing_pair import capture_pair_to_store
from undertext.activations.store.pairing import PairBatch, StorePair, open_pair
from undertext.activations.store.reader import Batch, Store
from undertext.activations.store.writer import StoreWriter

__all__ = [
    "Batch",
    "PairBatch",
    "Store",
    "StorePair",
    "StoreWriter",
    "capture_pair_to_store",
    "capture_to_store",
    "open_pair",
    "tokens_fingerprint",
]
