"""Whether a checkpoint uses a value it holds: interchange, counterfactual pairs, ablation."""
