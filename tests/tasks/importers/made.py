"""Sources for the importers' tests, and how the logs in `logs/` came about.

`samples_*.jsonl`: lm-eval 0.4.13, its `dummy` model, `--log_samples`; `tiny_gsm8k` is generate_until with one
example in the prompt and two filters, the others are multiple_choice over texts and over letters. `*.eval`,
`sums.json`: inspect-ai 0.3.285, its `mockllm/model`; six sums twice (two epochs), five problems with choices.
"""

from pathlib import Path
from typing import Any

LOGS = Path(__file__).parent / "logs"
GSM8K, CHOICE, LETTERS = (
    next(LOGS.glob(f"samples_tiny_{name}_*")) for name in ("gsm8k", "choice", "letters")
)
NOUNS = ("apples", "pens", "stones")


def gsm8k_rows(n: int = 30) -> list[dict[str, Any]]:
    """Rows as GSM8K has them."""
    return [
        {
            "question": f"Tom has {a} {noun}, buys {b} more and gives {c} away. How many are left?",
            "answer": f"He has {a}+{b}=<<{a}+{b}={a + b}>>{a + b} {noun}.\n"
            f"That leaves {a + b}-{c}=<<{a + b}-{c}={a + b - c}>>{a + b - c}.\n#### {a + b - c}",
            "noun": noun,
        }
        for a, b, c, noun in ((3 * i + 4, i + 2, i + 1, NOUNS[i % 3]) for i in range(n))
    ]
