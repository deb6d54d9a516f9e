"""Files that a command writes as a whole: a plan, a page.

Law: such a file is there as a whole or as it was before, and never in place of one that the same
command reads.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path


class OutputError(Exception):
    """A file cannot be written, or not there; the text is a sentence for the user."""


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path`, over what was there; `-` is stdout. Raises OutputError."""
    if str(path) == "-":
        sys.stdout.buffer.write(data)
        return
    try:
        if path.exists() and not path.is_file():  # a device or a pipe; a folder is refused
            path.write_bytes(data)
            return
        partial = path.with_name(path.name + ".new")
        try:
            partial.write_bytes(data)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        if path.is_dir():
            reason = "it is a folder"
        elif not path.parent.exists():
            reason = f"there is no folder {path.parent}"
        raise OutputError(f"cannot write {path}: {reason}") from error


def refuse_inputs(output: str | Path | None, inputs: Iterable[str | None]) -> None:
    """Raise OutputError where `output` is one of the files that the command reads."""
    if output is None or not os.path.exists(output):
        return
    for name in inputs:
        if name is not None and os.path.exists(name) and os.path.samefile(output, name):
            raise OutputError(f"cannot write {output}: this command reads it; give another name")
