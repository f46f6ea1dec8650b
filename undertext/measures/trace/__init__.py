"""What can be read along a trace."""
