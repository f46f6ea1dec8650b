"""What can be measured on a checkpoint or a pair: figures a problem, with no thresholds and no verdict words."""
