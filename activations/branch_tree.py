"""The tokens that a text's branches need, each distinct prefix once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool


@dataclass(frozen=True)
class Branch:
    """A continuation of a trunk (a text's tokens)."""

    at: int
    """How many of the trunk's tokens it follows, from the first on."""
    tokens: Sequence[int]
    """What follows them."""
    given: int = 0
    """How many of `tokens`, from the first on, are read but not scored. At least one token must be read
    before one is scored: `at + given` is 1 or more."""


@dataclass(frozen=True)
class BranchTree:
    """What a model must read to score all branches of one trunk.

    A node is a token after a certain prefix, and its parent is the token before it. The trunk comes
    first; a node comes after its parent. A branch runs along nodes that are there already (the trunk's
    own, or those of a branch that opens alike) as far as it can. The last token of a branch needs no
    node: it is predicted, never read.
    """

    tokens: list[int]
    """The node's token."""
    parents: list[int]
    """The node's parent; -1 at a first token."""
    positions: list[int]
    """How many tokens stand before the node's: its position in the text it belongs to."""
    n_trunk: int
    """The nodes before this one are the trunk, up to the last branch."""
    readers: list[int]
    """For each scored token, branch by branch, the node whose logits predict it."""
    targets: list[int]
    """The scored token itself."""

    @property
    def n_hung(self) -> int:
        """How many nodes are not the trunk's."""
        return len(self.tokens) - self.n_trunk

    def seen(self, window: int | None) -> Bool[np.ndarray, "node node"]:
        """[node, node]: whether the first reads the second, one of its ancestors or itself.

        With a `window`, only those less than `window` positions before it.
        """
        nodes, trunk = len(self.tokens), self.n_trunk
        seen = np.zeros((nodes, nodes), dtype=np.bool_)
        seen[:trunk, :trunk] = np.tri(trunk, dtype=np.bool_)
        for node in range(trunk, nodes):
            if self.parents[node] >= 0:
                seen[node] = seen[self.parents[node]]
            seen[node, node] = True
        if window is not None:
            positions = np.array(self.positions)
            seen &= positions[:, None] - positions[None] < window
        return seen


def build_tree(trunk: Sequence[int], branches: Sequence[Branch]) -> BranchTree:
    """The tree of a trunk's branches, which must be valid for it."""
    n_trunk = max((branch.at for branch in branches), default=0)
    tokens = list(trunk[:n_trunk])
    parents, positions = list(range(-1, n_trunk - 1)), list(range(n_trunk))
    children = {(node - 1, token): node for node, token in enumerate(tokens)}
    readers, targets = [], []
    for branch in branches:
        node = branch.at - 1
        for index, token in enumerate(branch.tokens):
            if index >= branch.given:
                readers.append(node)
                targets.append(token)
            if index == len(branch.tokens) - 1:
                break
            if (node, token) not in children:
                children[node, token] = len(tokens)
                tokens.append(token)
                parents.append(node)
                positions.append(positions[node] + 1 if node >= 0 else 0)
            node = children[node, token]
    return BranchTree(tokens, parents, positions, n_trunk, readers, targets)
