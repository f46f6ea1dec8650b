"""`compare`: a verdict on two checkpoints and a task."""
