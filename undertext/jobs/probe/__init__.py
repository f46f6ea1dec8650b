"""`probe`: values read on many checkpoints, layers and positions, with controls."""
