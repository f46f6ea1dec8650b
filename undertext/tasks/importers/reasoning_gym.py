"""Problems that a generator of reasoning-gym (an extra) makes, graded by its own `score_answer`."""

from collections.abc import Mapping
from typing import Any

from undertext.activations.errors import UserError
from undertext.activations.files import one_line
from undertext.core.printable import printable
from undertext.tasks.grade import Grader
from undertext.tasks.importers.source import Item, Source, plain_json
from undertext.tasks.reasoning_gym import generator, score


def reasoning_gym_source(name: str, size: int, seed: int, options: Mapping[str, Any] | None = None) -> Source:
    """`size` problems of the generator `name`, with its own settings but for `options`.

    Problems that come again are left out. One whose own answer its grader does not accept, as kept in JSON,
    has a fault. Raises UserError for a name or for options that reasoning-gym does not have.
    """
    made = generator(name, {**(options or {}), "size": size, "seed": seed})
    items: list[Item] = []
    seen: set[str] = set()
    for i in range(size):
        try:
            entry = made[i]
        except Exception as error:
            raise UserError(
                f"{printable(name)}: its problem {i} cannot be made: {one_line(error)}"
            ) from error
        if entry["question"] in seen:
            continue
        seen.add(entry["question"])
        items.append(_item(made, name, i, entry))
    notes = [f"left out: {size - len(items)} problems that came again"] if len(items) < size else []
    grader = Grader(kind="reasoning_gym", dataset=name)
    about = f"Problems of reasoning-gym's generator {name}."
    return Source(name, about, items, grader, notes=notes)


def _item(made: Any, name: str, number: int, entry: Mapping[str, Any]) -> Item:
    place = f"problem {number}"
    try:
        metadata = plain_json(entry.get("metadata") or {})
    except (TypeError, ValueError) as error:
        return Item(place, {}, fault=f"expected metadata that JSON can hold, got: {one_line(error)}")
    if not isinstance(entry["answer"], str):
        return Item(place, {}, fault=f"expected an answer in text, got {printable(str(entry['answer']), 60)}")
    fields = {"id": number, "prompt": entry["question"], "answer": entry["answer"], "type": name}
    if score(made, entry["answer"], entry["question"], entry["answer"], metadata) < 1:
        wanted = f"a problem whose own answer the grader of {name} accepts, as kept in JSON"
        return Item(place, {}, fault=f"expected {wanted}, got one that it does not")
    return Item(place, metadata, {**fields, "metadata": metadata})
