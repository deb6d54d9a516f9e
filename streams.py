"""The three streams that a process starts with, where one of them is closed or full.

Law: whatever the shell did to them, a command ends with a sentence and an exit code.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any

# what writing meets: nobody reads, no room, no such descriptor, a broken device
_OF_WRITING = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EBADF, errno.EIO)


def open_closed_streams() -> None:
    """Give a closed stdin, stdout or stderr its descriptor back, so that no file that is opened
    later takes its place. Reading such a stdin finds nothing and talk goes nowhere; results may
    not get lost, so writing to such a stdout fails."""
    if sys.stdin is None:
        sys.stdin = os.fdopen(_null(0, os.O_RDONLY))
    if sys.stdout is None:
        sys.stdout = os.fdopen(_null(1, os.O_RDONLY), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(_null(2, os.O_WRONLY), "w")


class _Talk(io.FileIO):
    """A descriptor that loses what it cannot take."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return memoryview(data).nbytes


def let_talk_be_lost() -> None:
    """A stderr that is full, or that nobody reads any more, is no reason to fail: results count,
    talk about them does not."""
    sys.stderr.flush()
    talk = io.BufferedWriter(_Talk(sys.stderr.fileno(), "wb", closefd=False))
    sys.stderr = io.TextIOWrapper(
        talk, encoding=sys.stderr.encoding, errors="backslashreplace", line_buffering=True
    )


def is_of_stdout(error: Exception) -> bool:
    """Whether stdout could not be written: an error of writing that names no file."""
    return isinstance(error, OSError) and error.filename is None and error.errno in _OF_WRITING


def leave_stdout() -> None:
    """Forget what stdout could not take: it must not fail again when Python flushes it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _null(descriptor: int, mode: int) -> int:
    opened = os.open(os.devnull, mode)
    if opened != descriptor:
        os.dup2(opened, descriptor)
        os.close(opened)
    return descriptor
