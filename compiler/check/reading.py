"""`read` and `read_json`: files that a const takes in while compiling."""

from __future__ import annotations

from pathlib import Path

from sglc.compiler import syntax
from sglc.ir.host.error import HostError
from sglc.ir.host.expr import Value
from sglc.ir.host.text import parse_json


class ReadFailed(Exception):
    """A file could not be taken in; `at` is where the program names it."""

    def __init__(self, message: str, at: syntax.Node, label: str) -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.label = label


def read_file(function: str, folder: Path, path: str, at: syntax.Node) -> Value:
    """The text of a file (line ends as "\\n"), or with `read_json` its value. A relative path
    starts at the folder of the file that says it. Raises ReadFailed."""
    try:
        text = (folder / path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ReadFailed(
            f"there is no file `{path}`", at, "not found from the folder of this file"
        ) from None
    except IsADirectoryError:
        raise ReadFailed(f"`{path}` is a folder, not a file", at, "a folder") from None
    except UnicodeDecodeError as error:
        message = f"`{path}` is not UTF-8: byte {error.start} is invalid"
        raise ReadFailed(message, at, "not a text") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ReadFailed(f"cannot read `{path}`: {reason.lower()}", at, "not readable") from None
    if function == "read":
        return text
    try:
        return parse_json(text)
    except HostError as error:
        raise ReadFailed(f"`{path}` is {error.message}", at, "not readable as JSON") from None
