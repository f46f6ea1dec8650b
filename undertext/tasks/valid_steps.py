"""Which steps of a trace are valid, by a function of the user's own."""

from undertext.tasks.step_function import FlagFunction


class ValidFunction(FlagFunction):
    """A user's `(steps, problem) -> whether each step is valid`."""

    what, things = "a function that says which steps are valid", "judgements"
