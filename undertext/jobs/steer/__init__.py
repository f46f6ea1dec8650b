"""`steer`: what a vector recovers in a checkpoint, beside controls."""
