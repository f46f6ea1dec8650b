"""What outputs reach that know no more of their problems than the weaker checkpoint's own."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray


def guessed_anew(
    before: Float[ndarray, " problem"],
    by_chance: Float[ndarray, " problem"],
    chance: Float[ndarray, " problem"],
) -> Float[ndarray, " problem"]:
    """The null of outputs that know what the weaker's know and guess anew; its mean is what counts.

    `before` is whether the weaker's own outputs are right, `by_chance` what these score on other problems and
    `chance` what the outputs asked about do. They solve the share of the problems that the weaker's accuracy
    over chance stands for (none, where it is below chance), and of the others what they solve of other
    problems. It is less than where the weaker's lucky answers are kept: who guesses anew loses as many as it
    gains. A figure of each problem, so that resamples weigh both alike.
    """
    if float((before - by_chance).mean()) <= 0:
        return chance
    return np.asarray(chance + (before - by_chance) * (1 - chance.mean()) / (1 - by_chance.mean()))
