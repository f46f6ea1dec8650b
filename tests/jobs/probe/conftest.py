import pytest

from tests.reading_task import made_task
from tests.toys import tiny_model, word_tokenizer
from undertext.activations import Checkpoint
from undertext.tasks import Task
from undertext.tasks.open import open_task


@pytest.fixture(scope="session")
def task() -> Task:
    return open_task(made_task())  # problems in the order in which jobs read them


@pytest.fixture(scope="session")
def pair() -> dict[str, Checkpoint]:
    tokenizer = word_tokenizer()
    return {
        name: Checkpoint.load(tiny_model("llama", len(tokenizer), seed=seed), tokenizer=tokenizer)
        for seed, name in enumerate(("base", "tuned"))
    }
