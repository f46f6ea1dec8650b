"""What SAE features are associated with, what they withstand, and what became of them in a tune."""
