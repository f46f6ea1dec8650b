"""`demo`: the shipped pairs, judged."""
