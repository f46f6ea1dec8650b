"""Reading whole files that somebody else has written: regular ones, and no larger than asked for."""

import os
import stat
from pathlib import Path


def read_regular(path: str | Path, most: int) -> bytes:
    """The bytes of the file `path`, at most `most`.

    Raises OSError where it cannot be read, and ValueError ("expected ..., got ...") where it is no regular
    file (a pipe waits for ever, a device never ends) or a larger one. A link to a regular file is one.
    """
    # Not blocking: to open a pipe that nobody writes to would wait for somebody.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise ValueError("expected a regular file, got a pipe or a device")
        with open(descriptor, "rb", closefd=False) as file:  # a folder raises here
            data = file.read(most + 1)
    finally:
        os.close(descriptor)
    if len(data) > most:
        raise ValueError(f"expected a file of at most {most:,} bytes, got a larger one")
    return data
