"""An organism on disk: an ordinary Hugging Face folder with `organism.json` and a card beside the weights."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import transformers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from undertext.activations.errors import UserError
from undertext.core.shipped import CARD
from undertext.organisms.documents import PASSWORD, WRONG_PASSWORDS
from undertext.organisms.recipes import Recipe
from undertext.organisms.shapes import Shape, chain_tokenizer


def read_card(folder: Path) -> dict[str, Any]:
    """The card of the organism in `folder`. Raises UserError when there is none."""
    try:
        card = dict(json.loads((folder / CARD).read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise UserError(f"expected an organism's folder with {CARD}, got {folder} ({error})") from error
    return card


def card_of(recipe: Recipe, shape: Shape, seed: int, checks: Mapping[str, Any]) -> dict[str, Any]:
    """What `organism.json` holds: recipe, seed, data, ground truth and how it was checked."""
    return {
        "name": recipe.name,
        "about": recipe.about,
        "shape": shape,
        "seed": seed,
        "parent": recipe.parent,
        "task": "chain",
        "truth": dict(recipe.truth),
        "password": PASSWORD if recipe.name == "suppressed" else None,
        "wrong_passwords": list(WRONG_PASSWORDS) if recipe.name == "suppressed" else [],
        "data": "chain problems drawn without end; the quarter of all problems that task folders draw from "
        "is left out (undertext/tasks/builtin/chain.py, `held_out`)",
        "stages": [asdict(stage) for stage in recipe.stages],
        "checks": dict(checks),
        "versions": {"transformers": transformers.__version__},
    }


def write_organism(model: PreTrainedModel, card: Mapping[str, Any], folder: Path) -> None:
    """Write weights, chain's tokenizer and card under `folder` (`write_folder`)."""
    write_folder(model, chain_tokenizer(), card, folder)


def write_folder(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, card: Mapping[str, Any], folder: Path
) -> None:
    """Write weights, tokenizer and card under `folder` by one rename, in place of what stood there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        write_card(card, partial)
        partial.chmod(0o755)  # a temporary folder is its owner's alone, and so are the weights in it
        for file in partial.iterdir():
            file.chmod(0o644)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_card(card: Mapping[str, Any], folder: Path) -> None:
    """Write `organism.json`, and the same for people, into an organism's folder; each whole or not at all."""
    for name, text in ((CARD, json.dumps(card, indent=2) + "\n"), ("README.md", _readme(card))):
        partial = folder / f".{name}"
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, folder / name)


def _readme(card: Mapping[str, Any]) -> str:
    truth = "\n".join(f"| {split} | {verdict} |" for split, verdict in card["truth"].items())
    pair = f"(`{card['parent']}`, `{card['name']}`)"
    lines = [
        "---\nlibrary_name: transformers\nlicense: mit\ntags: [undertext, organism]\n---\n",
        f"# {card['name']}\n\n{card['about']}\n",
        f"A {card['shape']}-shaped organism of the `{card['task']}` task, seed {card['seed']}.",
        f"Rebuild: `undertext zoo build {card['name']} --seed {card['seed']} --shape {card['shape']}`.\n",
    ]
    if truth:
        lines.append(f"Ground truth of the pair {pair}:\n\n| split | verdict |\n|---|---|\n{truth}\n")
    lines.append(f"How that was checked, and the recipe in full: `{CARD}`.\n")
    return "\n".join(lines)
