"""What a trace says of how an answer comes about: the answer read along it, token by token."""
