"""The one exception that means "the user can mend this"."""


class UserError(ValueError):
    """A mistake a user can mend; the message is one line: what was wanted, what came, what is valid."""
