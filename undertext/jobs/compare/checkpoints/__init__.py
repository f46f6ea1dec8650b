"""`compare` with several tuned checkpoints: a comparison each, and one table over training."""
