"""A file that grows by whole pieces: after any failure it ends where the last whole piece ended."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path


class ResultError(Exception):
    """Results cannot be written, or not here; the text is a sentence for the user."""


class AppendFile:
    """Appends to an open descriptor, which it owns, from the descriptor's present end on."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.size = os.lseek(descriptor, 0, os.SEEK_END)

    def append(self, data: bytes) -> None:
        """Write all of `data`. Raises ResultError, with the file as it was before."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                self.truncate(self.size)
            raise ResultError(_sentence(self.path, error)) from error
        self.size += len(data)

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes; what is appended next stands there."""
        os.ftruncate(self.descriptor, size)
        os.lseek(self.descriptor, size, os.SEEK_SET)
        self.size = size

    def sync(self) -> None:
        """Wait until the disk has it all, where the file system can say."""
        with contextlib.suppress(OSError):
            os.fsync(self.descriptor)

    def close(self) -> None:
        os.close(self.descriptor)


def _sentence(path: Path, error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return (
            f"no room to write {path}: {reason}; the finished rows are safe: "
            "make room, and the same command goes on"
        )
    return f"cannot write {path}: {reason}"
