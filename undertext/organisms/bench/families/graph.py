"""Paths in a graph: every node leads to one other; which node is reached after so many edges?"""

import random

from undertext.organisms.bench.families.item import Change, Family, Item, Said, Work
from undertext.tasks.grade import Grader

NODES = tuple("abcdefgh")
COUNTS = ("none", "one", "two", "three", "four", "five")


def _draw(rng: random.Random, size: int, type: str | None) -> Item:
    nodes = rng.sample(NODES, 7)
    # One round of all nodes: no path of a problem comes by a node twice, so none can be guessed from its
    # start.
    leads = {node: nodes[(i + 1) % len(nodes)] for i, node in enumerate(nodes)}
    edges = [f"{node} > {leads[node]} ;" for node in rng.sample(nodes, len(nodes))]
    start = rng.choice(nodes)
    body = f"{' '.join(edges)} {start} {COUNTS[size]}"

    def work(change: Change) -> Work:
        node, steps = start, []
        for i in range(size):
            before, node = node, change(i, leads[node])
            steps.append(Said(f"{before} > {node} ;", node))
        return Work(tuple(steps), node)

    return Item(
        body=body,
        questions=(
            f"{' '.join(edges)} from {start} go {COUNTS[size]} :",
            f"{' '.join(edges)} where is {COUNTS[size]} after {start} ?",
        ),
        type=type or "forward",
        size=size,
        work=work,
        values=tuple(nodes),
        answers=tuple(nodes),
        trait=start < "e",
    )


GRAPH = Family(
    name="graph",
    about="A graph in which every node leads to one other; the node reached from a start is asked for.",
    draw=_draw,
    sizes=(2, 3, 4),
    longer=(5,),
    grader=Grader(kind="regex", pattern=r"answer ([a-h])\b"),
    answer="answer {}",
    wordings=2,
)
