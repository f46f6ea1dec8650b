"""Logs of lm-evaluation-harness: what `--log_samples` writes, `samples_TASK_DATE.jsonl`."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from undertext.activations.errors import UserError
from undertext.core.printable import printable, shown
from undertext.tasks.importers.choices import CHOICE_GRADER, choice_fields
from undertext.tasks.importers.solutions import MATH_GRADER, NUMBER_GRADER, gsm8k_solution, last_boxed
from undertext.tasks.importers.source import Item, Source, read_lines
from undertext.tasks.spans import join
from undertext.tasks.task import MOST_NEW_TOKENS

_FILE = re.compile(r"samples_(.+?)_(\d{4}-\d{2}-\d{2}T[\d.-]+)\.jsonl")


def lm_eval_source(path: str | Path) -> Source:
    """What a log holds: the prompts as the harness sent them, few-shot examples and all.

    A document that several filters graded counts once. A folder must hold the log of one task. Requests of
    kind generate_until become prompts with the harness's stop texts; several log-likelihoods of one prompt
    become choices; one alone, its continuation as the answer. Raises UserError for another kind of log.
    """
    file = _file(Path(path))
    match = _FILE.fullmatch(file.name)
    name = match[1] if match else file.stem
    items: list[Item] = []
    seen: set[str] = set()
    until: list[Any] = []
    choices: list[bool] = []
    spaced = True
    for place, row in read_lines(file):
        if "arguments" not in row or "doc_id" not in row or "target" not in row:
            wanted = "a line as --log_samples writes it, with doc_id, target and arguments"
            raise UserError(
                f"{place}: expected {wanted}, got {printable(', '.join(row), 200) or 'no fields'}"
            )
        if (key := str(row["doc_id"])) in seen:
            continue
        seen.add(key)
        doc = row["doc"] if isinstance(row.get("doc"), Mapping) else {}
        try:
            requests = _requests(row["arguments"])
            fields, output = _problem(row, requests)
        except ValueError as error:
            items.append(Item(place, doc, fault=str(error)))
            continue
        choices.append(len(requests) > 1)
        spaced &= not choices[-1] or all(_goes_on(*request) for request in requests)
        until.append(requests[0][1])
        items.append(Item(place, doc, {"id": row["doc_id"], **fields}, output=output))
    if any(choices) and not all(choices):
        raise UserError(
            f"{printable(file.name)}: expected problems of one kind, got some with choices and some without"
        )
    grader, settings = None, {}
    if any(choices):
        grader = CHOICE_GRADER
    elif until and isinstance(until[0], Mapping):
        settings = _settings(until)
        solved = [item.fields for item in items if "answer" in item.fields]
        if any(fields.get("trace") for fields in solved):
            grader = NUMBER_GRADER
        elif any(last_boxed(str(_doc_solution(item.row))) for item in items):
            grader = MATH_GRADER
    about = f"Problems of the lm-evaluation-harness task {name}, from its log."
    apart = "choices: scored here after the prompt and a space, which the harness did not put before them"
    return Source(name, about, items, grader, settings, [] if spaced else [apart])


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    files = sorted(path.rglob("samples_*.jsonl"))
    if len(files) != 1:
        names = ", ".join(file.name for file in files[:8]) + ", ..." * (len(files) > 8)
        got = f"{len(files)}: {printable(names)}" if files else "none"
        raise UserError(
            f"{printable(str(path))}: expected one file samples_*.jsonl, or the name of one, got {got}"
        )
    return files[0]


def _requests(arguments: Any) -> list[tuple[str, Any]]:
    """The prompt of each request, and what goes with it: a continuation, or how to generate."""
    if isinstance(arguments, Mapping):
        parts = [arguments[key] for key in sorted(arguments, key=lambda key: (len(key), key))]
    else:
        parts = arguments if isinstance(arguments, list) else []
    found: list[tuple[str, Any]] = []
    for part in parts:
        values = list(part.values()) if isinstance(part, Mapping) else part
        if not isinstance(values, list) or len(values) < 2:
            wanted = "requests of a prompt and a continuation, or how to generate"
            raise ValueError(f"expected {wanted}, got {shown(part)} (loglikelihood_rolling has no answer)")
        found.append((_prompt(values[0]), values[1]))
    if not found:
        raise ValueError("expected a request or more in arguments, got none")
    # The mutual information form asks for each choice after an empty prompt as well.
    return [each for each in found if each[0]] or found


def _prompt(sent: Any) -> str:
    """The text that was sent; of a chat of one user's turn, what the user says."""
    if isinstance(sent, list) and len(sent) == 1 and isinstance(sent[0], str):
        sent = sent[0]
    if not isinstance(sent, str):
        raise ValueError(f"expected a prompt in text, got {shown(sent)}")
    if not sent.startswith('[{"role"'):
        return sent
    try:
        turns = json.loads(sent)
        users = [turn["content"] for turn in turns if turn["role"] == "user"]
        others = [turn for turn in turns if turn["role"] not in ("user", "system")]
    except (ValueError, KeyError, TypeError, RecursionError):
        return sent
    if len(users) != 1 or others or not isinstance(users[0], str):
        raise ValueError(
            "expected a chat of one user's turn, got one of several turns: log it with --num_fewshot 0"
        )
    return users[0]


def _problem(row: Mapping[str, Any], requests: list[tuple[str, Any]]) -> tuple[dict[str, Any], str | None]:
    prompt, given = requests[0]
    target = row["target"] if isinstance(row["target"], str) else str(row["target"])
    responses = row.get("resps")
    if isinstance(given, Mapping):
        first = responses[0] if isinstance(responses, list) and responses else None
        first = first[0] if isinstance(first, list) and first else first
        return {"prompt": prompt, **_answer(target, row)}, first if isinstance(first, str) else None
    continuations = [continuation for _, continuation in requests]
    if not all(isinstance(text, str) for text in continuations):
        raise ValueError("expected continuations in text, got others")
    if len(requests) == 1:
        return {"prompt": prompt, "answer": given.strip()}, None
    if any(context != prompt for context, _ in requests):
        raise ValueError("expected choices after one prompt, got prompts that differ (as winogrande's do)")
    right = int(target) if target.isdecimal() else None
    if right is None or right >= len(requests):
        matches = [i for i, text in enumerate(continuations) if text.strip() == target.strip()]
        if len(matches) != 1:
            wanted = f"the number or the text of one of {len(requests)} choices as target"
            raise ValueError(f"expected {wanted}, got {shown(target)}")
        (right,) = matches
    return choice_fields(prompt, continuations, right), None


def _goes_on(prompt: str, continuation: str) -> bool:
    """Whether the harness put what a task of kind likelihood puts between a prompt and a choice."""
    return join(prompt, continuation.strip()) == prompt + continuation.rstrip()


def _answer(target: str, row: Mapping[str, Any]) -> dict[str, Any]:
    if "####" in target:
        return gsm8k_solution(target, "keep").fields  # as the examples in the prompt have them
    boxed = last_boxed(target)
    return {"answer": target.strip() if boxed is None else boxed}


def _doc_solution(doc: Mapping[str, Any]) -> Any:
    return doc.get("solution", "")


def _settings(given: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Where outputs end: what all requests have in common."""
    settings: dict[str, Any] = {}
    stops = [
        [each["until"]] if isinstance(each.get("until"), str) else each.get("until") or [] for each in given
    ]
    if all(stop == stops[0] for stop in stops):
        settings["stop"] = [text for text in stops[0] if isinstance(text, str) and text]
    lengths = {each.get("max_gen_toks") for each in given}
    if len(lengths) == 1 and isinstance(length := lengths.pop(), int) and 1 <= length <= MOST_NEW_TOKENS:
        settings["max_new_tokens"] = length
    return settings
