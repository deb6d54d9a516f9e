"""The rows of a JSON Lines file or of stdin, in constant memory.

Law: a bad line is one failed row; only an input that holds no rows at all (a folder, a JSON array,
an empty file...) is an `InputError`, with a sentence of its own. Lines count from 1, blank ones
included; blank lines are no rows.
"""

from __future__ import annotations

import hashlib
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from sglc.ir.host.expr import Value
from sglc.runtime.row import RowFailed
from sglc.runtime.rows.bind import InputError, InputRow, RowBinder
from sglc.runtime.rows.json_lines import BadJson, parse_line, read_lines

# how a file of another format begins
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "is compressed with gzip; pipe it: zcat {0} | sglc run ... --inputs -"),
    (
        b"\x28\xb5\x2f\xfd",
        "is compressed with zstd; pipe it: zstdcat {0} | sglc run ... --inputs -",
    ),
    (b"PK\x03\x04", "is a zip archive; expected JSON Lines, one object a line"),
    (b"PAR1", "is a Parquet file; expected JSON Lines, one object a line"),
    (b"\xff\xfe", "is UTF-16; expected JSON Lines in UTF-8"),
    (b"\xfe\xff", "is UTF-16; expected JSON Lines in UTF-8"),
)


class RowFile:
    """The rows of a JSON Lines file, or of stdin for `-`, in order; iterated once.

    `num_rows` counts the rows read. A `stream` is read in place of the file `name`.
    """

    def __init__(
        self,
        name: str,
        binder: RowBinder,
        *,
        limit: int | None = None,
        stream: BinaryIO | None = None,
    ) -> None:
        self.name = "stdin" if name == "-" else name
        self.num_rows = 0
        self.is_read = False
        self._bytes_read = 0
        self._binder = binder
        self._limit = limit
        self._stream = stream or _open(name)
        self.is_file = name != "-" and stream is None and Path(name).is_file()
        self._num_bytes = Path(name).stat().st_size if self.is_file else 0

    def __iter__(self) -> Iterator[InputRow]:
        digest = hashlib.blake2b(digest_size=16)
        with self._stream as stream:
            for number, line in read_lines(stream):
                if self.num_rows == 0:
                    _refuse_other_formats(self.name, line)
                index = self.num_rows
                self.num_rows += 1
                self._bytes_read += len(line)
                digest.update(line.strip() + b"\n")
                yield self._row(index, number, line, digest.digest())
                if self.num_rows == self._limit:
                    break
        self.is_read = True
        if self.num_rows == 0:
            raise InputError(f"{self.name} is empty: expected JSON Lines, one object a line")

    def estimate(self) -> int | None:
        """About how many rows there are; exact when all are read, None for a stream."""
        if self.is_read or not self._num_bytes or not self._bytes_read:
            return self.num_rows if self.is_read else self._limit
        rows = max(self.num_rows, round(self.num_rows * self._num_bytes / self._bytes_read))
        return rows if self._limit is None else min(rows, self._limit)

    def _row(self, index: int, number: int, line: bytes, digest: bytes) -> InputRow:
        place = f"row {index} (line {number})"
        try:
            raw = parse_line(line)
        except BadJson as bad:
            return InputRow(RowFailed(index, bad.code, bad.message, place=place), digest=digest)
        row, passed = self._binder.bind(index, raw, place)
        return InputRow(row, passed, digest)


def read_values(name: str) -> Iterator[tuple[str, Value]]:
    """The value of each line of a JSON Lines file, unchecked, with its place in words. Raises
    InputError, for a bad line too."""
    num_rows = 0
    with _open(name) as stream:
        name = "stdin" if name == "-" else name
        for number, line in read_lines(stream):
            if num_rows == 0:
                _refuse_other_formats(name, line)
            place = f"{name}: row {num_rows} (line {number})"
            try:
                value = parse_line(line)
            except BadJson as bad:
                raise InputError(f"{place}: {bad.message}") from None
            yield place, value
            num_rows += 1
    if num_rows == 0:
        raise InputError(f"{name} is empty: expected JSON Lines, one object a line")


def _open(name: str) -> BinaryIO:
    if name == "-":
        return sys.stdin.buffer
    path = Path(name)
    try:
        if path.is_dir():
            raise InputError(f"{name} is a folder; expected a JSON Lines file")
        return path.open("rb")
    except OSError as error:
        raise InputError(f"cannot read {name}: {(error.strerror or str(error)).lower()}") from None


def digest_of(name: str, num_rows: int) -> bytes | None:
    """The hash of a file's first rows, as `InputRow.digest` has it; None if it has fewer."""
    digest = hashlib.blake2b(digest_size=16)
    num_read = 0
    with _open(name) as stream:
        for _, line in itertools.islice(read_lines(stream), num_rows):
            digest.update(line.strip() + b"\n")
            num_read += 1
    return digest.digest() if num_read == num_rows else None


def _refuse_other_formats(name: str, line: bytes) -> None:
    """Raise InputError when the name or the first line shows that the file is not JSON Lines."""
    for magic, what in _MAGIC:
        if line.startswith(magic):
            raise InputError(f"{name} {what.format(name)}")
    start = line.strip()
    if not start.startswith(b"{") and (b"\0" in start or name.endswith((".csv", ".tsv"))):
        what = "not text" if b"\0" in start else "a table of text"
        raise InputError(f"{name} is {what}; expected JSON Lines, one object a line")
    if start == b"{":
        raise InputError(
            f"{name} holds an object spread over lines; JSON Lines has one whole object a line "
            f"(jq -c . {name} rewrites it)"
        )
    if start.startswith(b"[") and (not _is_value(start) or _is_array_of_rows(start)):
        raise InputError(
            f"{name} is a JSON array; JSON Lines has one object a line and no brackets around "
            f"(jq -c '.[]' {name} rewrites it)"
        )


def _is_value(line: bytes) -> bool:
    try:
        parse_line(line)
    except BadJson:
        return False
    return True


def _is_array_of_rows(line: bytes) -> bool:
    value = parse_line(line)
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)
