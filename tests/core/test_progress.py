"""How far a job is, on a terminal, in a log and in a notebook; bars of one process are no other's concern."""

import fcntl
import itertools
import multiprocessing
import os
import pty
import signal
import struct
import sys
import termios

import nbclient
import tqdm.std
from nbformat.v4 import new_code_cell, new_notebook
from tqdm.std import tqdm as standard

from tests.killing import forked
from undertext.core.processes import Processes
from undertext.core.progress import Progress, far
from undertext.core.resume import Part

HANGS = 60
"""Seconds after which a process that waits for a lock is ended, and the test fails."""


def test_a_process_killed_while_it_draws_keeps_no_other_from_drawing():
    """As one of a sweep's, killed for its memory."""
    # A lock of these two processes alone: with tqdm's own, every later bar of this one would wait as well.
    shared = multiprocessing.RLock()

    def killed_with_the_lock() -> None:
        standard.set_lock(shared)
        standard.get_lock().acquire()
        os.kill(os.getpid(), signal.SIGKILL)

    def draws() -> None:
        standard.set_lock(shared)
        signal.alarm(HANGS)
        with Progress(False).stage("a stage", 3) as done:
            done(3)

    _, status = os.waitpid(forked(killed_with_the_lock), 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    _, status = os.waitpid(forked(draws), 0)
    assert os.WIFEXITED(status), "it waits for a lock that nobody will open"
    assert os.WEXITSTATUS(status) == 0


def test_what_is_left_is_what_the_rest_takes_as_fast():
    assert far(30, 120, 10.0) == "30 of 120 (25%) after 10 s, about 30 s left"
    assert far(0, 120, 10.0) == "0 of 120 (0%) after 10 s"
    assert far(120, 120, 10.0) == "120 of 120 (100%) after 10 s"
    assert far(7, None, 10.0) == "7 after 10 s"


def read_to_end(master: int) -> bytes:
    """All that was written to a terminal that is closed: on a busy machine it comes in pieces."""
    read = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # EIO: nobody holds the other end
            return read
        if not piece:
            return read
        read += piece


def test_a_terminal_has_a_bar_that_says_what_is_left_and_goes(monkeypatch):
    """By a clock that goes on by a second whenever it is looked at."""
    monkeypatch.setattr(tqdm.std, "time", map(float, itertools.count()).__next__)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))  # a new one has no columns
    with open(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with Progress().stage("a stage", 4) as done:
            done(1)
            done(2)
    drawn = read_to_end(master).decode()
    os.close(master)
    assert "a stage:  75%" in drawn
    assert "3/4" in drawn
    assert "<00:" in drawn, "what is left"
    assert "\n" not in drawn.strip()
    assert drawn.split("\r")[-2].strip() == "", "what was drawn is wiped"


def test_a_log_has_whole_lines_at_most_one_a_minute(monkeypatch, capsys):
    moments = map(float, itertools.count(0, 25))
    monkeypatch.setattr("undertext.core.progress.perf_counter", lambda: next(moments))
    made = []
    parts = [Part(str(n), lambda _done: None, stage="numbers") for n in range(7)]
    Processes(1).make(parts, None, lambda part, _value: made.append(part.key), Progress())
    assert made == list("0123456")
    out, err = capsys.readouterr()
    assert out == ""
    assert "\r" not in err
    # After 75 and 150 s, and at the end, after 200 s.
    assert err.splitlines() == [
        "numbers: 3 of 7 (43%) after 75 s, about 100 s left",
        "numbers: 6 of 7 (86%) after 150 s, about 25 s left",
        "numbers: 200 s",
    ]


def test_a_notebook_shows_one_bar_and_nothing_else():
    cell = new_code_cell(
        "from undertext.core.progress import Progress\n"
        "bars = Progress()\n"
        "for name in ('first', 'a <b> & c'):\n"
        "    with bars.stage(name, 3) as done:\n"
        "        done(1)\n"
        "        done(2)\n"
    )
    notebook = new_notebook(cells=[cell])
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    (output,) = notebook.cells[0].outputs
    assert output.output_type == "display_data"
    assert output.data["text/plain"] == "a <b> & c: 0 s"
    assert '<progress max="1" value="1.000">' in output.data["text/html"]
    assert "a &lt;b&gt; &amp; c: 0 s" in output.data["text/html"]
