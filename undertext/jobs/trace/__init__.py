"""`trace`: the answer read along a trace, token by token."""
