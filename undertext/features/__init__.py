"""Jobs on SAE features: training, a table of what each carries, what became of them in a tune."""
