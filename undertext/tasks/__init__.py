"""Tasks: problems with answers and a way to grade outputs, kept as folders anyone can write by hand."""

from undertext.tasks.grade import Grade, grade
from undertext.tasks.grader import Grader
from undertext.tasks.load import load_task
from undertext.tasks.new import new_chain
from undertext.tasks.sites import ReadingSite, reading_sites, reading_text, said_sites
from undertext.tasks.spans import join
from undertext.tasks.task import Contrast, Problem, Step, Task, fill
from undertext.tasks.write import write_task

__all__ = [
    "Contrast",
    "Grade",
    "Grader",
    "Problem",
    "ReadingSite",
    "Step",
    "Task",
    "fill",
    "grade",
    "join",
    "load_task",
    "new_chain",
    "reading_sites",
    "reading_text",
    "said_sites",
    "write_task",
]
