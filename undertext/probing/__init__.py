"""`probe`: many checkpoints, tasks, layers and positions read in one job, into one table."""
