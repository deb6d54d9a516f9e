"""JSON Lines read strictly: one value a line, in constant memory, each fault with its own sentence.

Law: what is accepted is JSON (RFC 8259) in UTF-8, and means the same to every reader: no NaN, no
number beyond float64, no field given twice, no half of a surrogate pair. Knows nothing about
programs or parameters.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO, NoReturn

from sglc.ir.host.expr import Value

MAX_LINE_BYTES = 16 * 2**20  # no context takes more; a longer line is skipped unread
MAX_DEPTH = 200  # lists and objects inside each other

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_BOM = b"\xef\xbb\xbf"


class BadJson(Exception):
    """A line that is not strict JSON. `code` is stable; the message is a lower-case sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def read_lines(stream: BinaryIO, max_bytes: int = MAX_LINE_BYTES) -> Iterator[tuple[int, bytes]]:
    """(line number from 1, its bytes with the newline) of every line that is not blank.

    Of a line over `max_bytes` only the first `max_bytes` + 1 bytes are kept: `parse_line` refuses
    it by its length. A byte order mark before the first line is dropped.
    """
    number = 0
    while line := stream.readline(max_bytes + 1):
        number += 1
        if len(line) > max_bytes and not line.endswith(b"\n"):
            _skip_line(stream, max_bytes)
        if number == 1:
            line = line.removeprefix(_BOM)
        if not line.isspace() and line:
            yield number, line


def _skip_line(stream: BinaryIO, step: int) -> None:
    while (rest := stream.readline(step)) and not rest.endswith(b"\n"):
        pass


def parse_line(line: bytes, max_bytes: int = MAX_LINE_BYTES) -> Value:
    """The line's value. Raises BadJson."""
    if len(line) > max_bytes:
        raise BadJson("line_too_long", f"the line is longer than {max_bytes:,} bytes")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadJson(
            "bad_utf8", f"byte 0x{line[error.start]:02x} at byte {error.start + 1} is not UTF-8"
        ) from None
    return parse_text(text)


def parse_text(text: str) -> Value:
    """The value of strict JSON text. Raises BadJson."""
    try:
        value: Value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        what = error.msg[:1].lower() + error.msg[1:].removesuffix(" at")
        column = min(error.pos, len(text.rstrip())) + 1  # a text that ends early ends on its line
        raise BadJson("bad_json", f"not valid JSON: {what} at column {column}") from None
    except RecursionError:
        raise _too_deep() from None
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise _too_deep()
    if _SURROGATE_ESCAPE.search(text):
        _refuse_lone_surrogates(value)
    return value


def _too_deep() -> BadJson:
    return BadJson("bad_json", f"lists and objects are nested more than {MAX_DEPTH} deep")


def _refuse_constant(name: str) -> NoReturn:
    raise BadJson("bad_json", f"{name} is not JSON (write null, or leave the field out)")


def _finite_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise BadJson("bad_json", f"{_short(text)} is beyond the largest float64")
    return value


def _parse_int(text: str) -> int:
    try:
        return int(text)
    except ValueError:  # Python's bound on the digits of an int
        raise BadJson("bad_json", f"the integer {_short(text)} has too many digits") from None


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:20]}... ({len(text)} characters)"


def _unique_fields(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise BadJson("bad_json", f'the field "{counts.most_common(1)[0][0]}" is given twice')
    return fields


_DECODER = json.JSONDecoder(
    parse_constant=_refuse_constant,
    parse_float=_finite_float,
    parse_int=_parse_int,
    object_pairs_hook=_unique_fields,
)


def _depth(value: Value) -> int:
    depth, level = 0, [value]
    while level:
        inner: list[Value] = []
        for item in level:
            if isinstance(item, list):
                inner += item
            elif isinstance(item, dict):
                inner += item.values()
        depth += any(isinstance(item, list | dict) for item in level)
        level = inner
    return depth


def _refuse_lone_surrogates(value: Value) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(error.object[error.start])
        raise BadJson(
            "bad_json", f"\\u{code:04x} is half of a surrogate pair, which stands for no character"
        ) from None
