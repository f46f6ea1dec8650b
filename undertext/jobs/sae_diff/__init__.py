"""`sae diff`: what became of features in a tune."""
