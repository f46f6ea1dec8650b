"""What the trace reader of a comparison's page shows: every problem, with its outputs token by token."""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from undertext.core.terms import ROLES
from undertext.jobs.compare.result import Comparison
from undertext.jobs.compare.token_parts import OUTPUTS
from undertext.jobs.compare.words import grade
from undertext.report.numbers import number, visible
from undertext.report.reader import Packed, Shades, Shown, Written, pack

Row = Mapping[str, Any]

FILTERS = {
    "gap": "in the gap: the stronger right, the weaker wrong",
    "both": "solved by both",
    "neither": "solved by neither",
    "tuned": "solved by the tuned alone",
    "base": "solved by the base alone",
    "differ": "outputs differ",
    "flagged": "flagged",
    "unfinished": "unfinished",
}
"""Which problems are shown, by name."""
READINGS = {
    "surprise base": "surprise, by the base",
    "surprise tuned": "surprise, by the tuned",
    "surprise own": "surprise, each by its writer",
    "probability base": "probability, by the base",
    "probability tuned": "probability, by the tuned",
    "probability own": "probability, each by its writer",
    "rank base": "rank under the base",
    "rank tuned": "rank under the tuned",
    "probe base": "probe, of the base",
    "probe tuned": "probe, of the tuned",
    "probe own": "probe, each of its writer",
    "feature base": "feature, in the base",
    "feature tuned": "feature, in the tuned",
    "feature own": "feature, each in its writer",
    "steered x": "steered or not",
    "plain x": "none",
}
"""What tokens are shaded by: a reading and who reads, and what it is called."""
MOST_NATS = 6.0
"""Surprise from which a token has the darkest shade."""
LEGENDS = {
    "surprise": f"No shade: 0 nats, a token that is certain. Darkest: {MOST_NATS:g} nats or more, a "
    "probability of 0.0025 or less.",
    "probability": "No shade: a probability of 1. Darkest: 0.",
    "probe": "Darkest: once the token is read, the reader's own probe gives the true {value} a probability "
    "of 1. No shade: 0. It is the linear probe of `decodable`, fitted on train where the value is about to "
    "be said, {layers}. Of the values that count there this one is read best on dev; of several in one "
    "problem the last is meant. Away from where it was fitted a probe still names some value, and need not "
    "know better than chance.",
    "feature": "Darkest: once the token is read, feature {feature} of the SAE fires in the reader with "
    "strength {strongest}, the greatest at any token of these outputs. No shade: it is silent. It is read "
    "{point}{scaled}.",
    "rank": "No shade: the likeliest token. Light: the second or third. Dark: none of these.",
    "steered": "Shaded: tokens of the steered output that were chosen in a pass which the vector changed, "
    "by the setting's rule. Where that depends on the text (a token, a pattern, a threshold) it was not "
    "kept, and none is shaded.",
    "plain": "No shade.",
}
TOKEN = (
    "Point at a token, press it, or go to it with the tab and arrow keys, for its probability, surprise and "
    "rank under each checkpoint{more}."
)


class Reader(NamedTuple):
    """The reader, as the template takes it."""

    packed: Packed
    problems: int
    splits: list[str]
    readings: Mapping[str, str]
    """By value of the chooser, its words."""
    filters: list[str]
    sampled: bool
    """Whether samples of pass@k are shown."""


def reader_of(result: Comparison) -> Reader | None:
    """The reader of a result; None of one without problems."""
    problems = _shown(result)
    if not problems:
        return None
    recovery = _table(result, "recovery")
    splits = list(dict.fromkeys(each.split for each in problems))
    steered = any("steered" in each.written for each in problems)
    unread = not any(written.shades for each in problems for written in each.written.values())
    probe = _probe(result)
    left_out = {"probe"} if probe is None else set()
    fires = _feature(result)
    left_out |= set() if steered else {"steered"}
    left_out |= {"feature"} if fires is None else set()
    left_out |= {"surprise", "probability", "rank"} if unread else set()
    readings = {key: words for key, words in READINGS.items() if key.split()[0] not in left_out}
    legends = {key: words for key, words in LEGENDS.items() if key not in left_out}
    if probe is not None:
        legends["probe"] = legends["probe"].format_map(probe)
    if fires is not None:
        legends["feature"] = legends["feature"].format_map(fires)
    packed = pack(
        problems,
        list(FILTERS),
        of=[_of_split(result, split, recovery) for split in splits],
        most=MOST_NATS,
        legends=legends,
        token="" if unread else TOKEN.format(more=_more(probe is not None, fires is not None)),
    )
    sampled = any(each.samples for each in problems)
    return Reader(packed, len(problems), splits, readings, list(FILTERS.values()), sampled)


def _probe(result: Comparison) -> dict[str, str] | None:
    """Which value probes read at the tokens, and at which layers, in words; None where they read none."""
    table = result.tables.get("tokens")
    if table is None or "name" not in table.column_names:  # results of older versions have no such column
        return None
    rows = table.select(["reader", "name", "layer"]).drop_null().to_pylist()
    if not rows:
        return None
    layers = {row["reader"]: row["layer"] for row in rows}
    where = [f"in the {role} at layer {layers[role]}" for role in ROLES if role in layers]
    return {"value": visible(f"`{rows[0]['name']}`"), "layers": " and ".join(where)}


def _more(probe: bool, feature: bool) -> str:
    """What else is said of a token."""
    said = ["what its probe reads"] if probe else []
    said += ["how strongly the feature fires"] if feature else []
    return f", and {' and '.join(said)}" if said else ""


def _feature(result: Comparison) -> dict[str, str] | None:
    """Which feature is read at the tokens, and where, in words; None where none is."""
    table, sae = result.tables.get("tokens"), result.summary.get("sae")
    if table is None or sae is None or "strength" not in table.column_names:
        return None
    strengths = table["strength"].drop_null()
    if not len(strengths):
        return None
    strongest = max((max(each, default=0.0) for each in strengths.to_pylist()), default=0.0)
    scaled = [role for role in ROLES if sae["scales"][role] != 1]
    return {
        "feature": str(sae["token_feature"]),
        "strongest": number(strongest),
        "point": visible(f"at {sae['hook_point']}"),
        "scaled": "".join(
            f"; activations of the {role} are multiplied by {number(sae['scales'][role])} first, to the mean "
            "norm of those that the SAE was trained on"
            for role in scaled
        ),
    }


def _of_split(result: Comparison, split: str, recovery: list[Row]) -> dict[str, Any]:
    """Who wrote what on a split, and which tokens of the steered outputs were chosen in a steered pass."""
    found = result.splits.get(split)
    weaker = "base" if found is None or found.weaker == "neither" else found.weaker
    best = next((row for row in recovery if row["split"] == split and row["best_vector"]), None)
    return {
        "writer": {**{role: role for role in ROLES}, "steered": weaker},
        "names": {"steered": f"{weaker}, steered"},
        "steered": None if best is None else steered_tokens(best["at"]),
    }


def steered_tokens(at: str) -> tuple[int, int | None] | None:
    """From which token of an output, up to before which (None: its end), tokens were chosen in a pass that
    the vector changed; None where the setting alone does not say.

    A pass reads one token and chooses the next: steering the prompt's last token changes the choice of the
    first of the output, and steering a generated one that of the token after it. What stands earlier in the
    prompt is read before any choice.
    """
    place, *more = at.split(", ")
    first = next((int(found[1]) for each in more if (found := re.fullmatch(r"first (\d+)", each))), None)
    if any(not re.fullmatch(r"first \d+|decay [\d.e-]+", each) for each in more):
        return None
    match place:
        case "last_prompt" | "prompt" | "prompt token -1":
            return 0, 1
        case "generated":
            return 1, None if first is None else 1 + first
        case "all":
            return 0, None if first is None else 1 + first
    return None


def _shown(result: Comparison) -> list[Shown]:
    shades: dict[tuple[str, str, str], dict[str, Shades]] = defaultdict(dict)
    values: dict[tuple[str, str], str] = {}
    for row in _table(result, "tokens"):
        own = Shades(row["starts"], row["end"], row["log_probs"], row["ranks"], row.get("probe"),
                     row.get("strength"))  # fmt: skip
        shades[row["split"], row["id"], row["output"]][row["reader"]] = own
        if (label := row.get("label")) is not None:
            values[row["split"], row["id"]] = label
    samples: dict[tuple[str, str], list[Written]] = defaultdict(list)
    for row in _table(result, "samples"):
        graded = Written(row["output"], "right" if row["right"] else "wrong", row["right"])
        samples[row["split"], row["id"]].append(graded)
    problems = []
    for row in _table(result, "problems"):
        written: dict[str, Written] = {
            who: Written(
                row[f"{who}_output"],
                grade(row[f"{who}_strict"], row[f"{who}_lenient"], row[f"{who}_unfinished"]),
                bool(row[f"{who}_lenient"]),
                shades.get((row["split"], row["id"], who), {}),
            )
            for who in OUTPUTS
            if row[f"{who}_output"] is not None
        }
        flags = [flag for flag in (row.get("flags") or "").split("; ") if flag]
        problems.append(
            Shown(
                row["split"], row["id"], row["type"], row["prompt"], row["answer"], _marks(row, flags), flags,
                written, samples.get((row["split"], row["id"]), ()), values.get((row["split"], row["id"])),
            )
        )  # fmt: skip
    return problems


def _marks(row: Row, flags: list[str]) -> list[str]:
    base, tuned = bool(row["base_lenient"]), bool(row["tuned_lenient"])
    marks = {
        "gap": row["gap"],
        "both": base and tuned,
        "neither": not base and not tuned,
        "tuned": tuned and not base,
        "base": base and not tuned,
        "differ": row["base_output"] != row["tuned_output"],
        "flagged": bool(flags),
        "unfinished": any(row[f"{who}_unfinished"] for who in OUTPUTS),
    }
    return [name for name, holds in marks.items() if holds]


def _table(result: Comparison, name: str) -> list[Row]:
    """The rows of a table; none where there is no such table."""
    rows: list[Row] = result.tables[name].to_pylist() if name in result.tables else []
    return rows
