"""`sae train`: an SAE of a checkpoint, of a difference, or a crosscoder of a pair."""
