"""What a task's grader makes of its own answers and of outputs in a file: what it took, and what is right."""

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from undertext.activations.errors import UserError
from undertext.activations.store.disk import replace_file
from undertext.core.printable import printable, shown
from undertext.core.yaml_file import read_regular, reason
from undertext.tasks.output_grader import OutputGrader
from undertext.tasks.problems_file import parse_object
from undertext.tasks.spans import join
from undertext.tasks.task import Problem, Task
from undertext.tasks.value_positions import reading_text

MOST_BYTES = 256 * 1024 * 1024
Outcome = Literal["right", "right but for its form", "wrong", "no answer"]
OUTCOMES: tuple[Outcome, ...] = ("right", "right but for its form", "wrong", "no answer")


class Checked(NamedTuple):
    """One output as the grader sees it."""

    id: str
    output: str
    taken: str | None
    """What was taken as the answer; None where nothing was."""
    answer: str
    strict: bool
    lenient: bool

    @property
    def outcome(self) -> Outcome:
        """What became of the output."""
        if self.lenient:
            return "right" if self.strict else "right but for its form"
        return "no answer" if self.taken is None else "wrong"

    def line(self) -> str:
        """The output on a line."""
        taken = "nothing" if self.taken is None else shown(self.taken)
        return f"  {printable(self.id, 40)}: took {taken}, the answer is {shown(self.answer)}"


def check_outputs(task: Task, outputs: Sequence[tuple[str, str]]) -> list[Checked]:
    """Grade outputs, each with its problem's id."""
    problems = {problem.id: problem for problem in task.problems}
    grader = OutputGrader(task)
    return [_checked(grader, problems[id], output) for id, output in outputs]


def check_answers(task: Task) -> list[Checked]:
    """Problems whose own answer, as it stands or at the end of their trace, is not graded right.

    The answer alone is left out where the task asks for a form that it need not have (a pattern); mathematics
    is put in a box.
    """
    grader, wrong = OutputGrader(task), []
    for problem in task.problems:
        for written in _own(task, problem):
            checked = [_checked(grader, problem, output) for output in written]
            if not any(each.lenient for each in checked):
                wrong.append(checked[0])
    return wrong


def read_outputs(path: Path, task: Task) -> list[tuple[str, str]]:
    """Ids and outputs from a file of JSON lines `{"id": ..., "output": ...}`; other keys are passed over.

    Raises UserError naming the file and line where one is none, or is of a problem that the task lacks.
    """
    known, found = {problem.id for problem in task.problems}, []
    name = printable(str(path))
    try:
        data = read_regular(path, MOST_BYTES)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the outputs {name}: {reason(error)}") from error
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            row = parse_object(line)
        except ValueError as error:
            raise UserError(f"{name}:{number}: {error}") from None
        id, output = row.get("id"), row.get("output")
        if isinstance(id, bool) or not isinstance(id, str | int | float) or str(id) not in known:
            raise UserError(
                f"{name}:{number}: expected the id of one of the task's problems, got {shown(id)}"
            )
        if not isinstance(output, str):
            raise UserError(f"{name}:{number}: expected an output that is text, got {shown(output)}")
        found.append((str(id), output))
    if not found:
        raise UserError(f"{name}: expected lines with id and output, got none")
    return found


def report(checked: Sequence[Checked], most: int) -> Iterator[str]:
    """How many outputs came out how, and up to `most` of each kind, a line each."""
    counts = Counter(each.outcome for each in checked)
    for outcome in OUTCOMES:
        if counts[outcome]:
            yield f"{outcome}: {counts[outcome]} of {len(checked)}"
            yield from (each.line() for each in [c for c in checked if c.outcome == outcome][:most])


def write_table(checked: Sequence[Checked], path: Path) -> None:
    """A row an output, as Parquet or CSV by the file's ending; whole or not at all."""
    table = pa.Table.from_pylist([{**each._asdict(), "outcome": each.outcome} for each in checked])
    buffer = io.BytesIO()
    write = pyarrow.parquet.write_table if path.suffix == ".parquet" else pyarrow.csv.write_csv
    write(table, buffer)
    try:
        replace_file(path, [buffer.getvalue()])
    except OSError as error:
        raise UserError(f"cannot write the table {printable(str(path))}: {error.strerror}") from error


def _checked(grader: OutputGrader, problem: Problem, output: str) -> Checked:
    strict, lenient = grader(output, problem)
    return Checked(problem.id, output, grader.taken(output, problem), problem.answer, strict, lenient)


def _own(task: Task, problem: Problem) -> Iterator[list[str]]:
    """The forms in which an answer must be right: one of each list."""
    boxed = task.grader.kind == "math" and task.grader.pattern is None
    if boxed and "\\boxed" not in problem.answer:
        yield [rf"\boxed{{{problem.answer.strip().strip('$')}}}"]
    elif not task.grader.asks_for_form or boxed:
        yield [problem.answer]
    if task.grader.kind != "likelihood" and (trace := reading_text(problem)[len(problem.prompt) :].strip()):
        yield [trace, join(trace, problem.answer)]
