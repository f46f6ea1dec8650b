"""`sae features`: what each feature of an SAE is associated with."""
