"""Tasks: problems with answers and a way to grade outputs, kept as folders anyone can write by hand."""

from undertext.tasks.builtin.chain import new_chain
from undertext.tasks.draws import check_prompts, drawn, shared_prompts
from undertext.tasks.grade import Grade, Grader, grade
from undertext.tasks.load import load_task
from undertext.tasks.spans import join
from undertext.tasks.task import Contrast, Problem, Step, Task, fill
from undertext.tasks.value_positions import (
    ValuePosition,
    reading_text,
    said_positions,
    unsaid_positions,
    value_positions,
    values_not_said,
    values_said_twice,
)
from undertext.tasks.write import write_task

__all__ = [
    "Contrast",
    "Grade",
    "Grader",
    "Problem",
    "Step",
    "Task",
    "ValuePosition",
    "check_prompts",
    "drawn",
    "fill",
    "grade",
    "join",
    "load_task",
    "new_chain",
    "reading_text",
    "said_positions",
    "shared_prompts",
    "unsaid_positions",
    "value_positions",
    "values_not_said",
    "values_said_twice",
    "write_task",
]
