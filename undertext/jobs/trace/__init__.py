"""`read_trace`: the answer read along a trace."""
