"""The journal beside a result file: what made it, how far the input was, and rows that wait for
earlier ones.

A text file of JSON lines. The first holds the format's version and the identity of the run; then
`{"rows": n, "input": hash}`, a mark: the first n rows of the input had this hash when their results
were about to be written; and `{"row": i, "input": hash, "line": text}`, the result line of row i,
which waits for rows before it. Law: it only grows at its end, or is replaced as a whole; a torn
last line is as if it had never been written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sglc.runtime.results.append_file import AppendFile

VERSION = 1
_COMPACT_BYTES = 2**20  # a journal is rewritten when it is over this and mostly of the past

Identity = Mapping[str, str | int | bool | list[str] | None]


@dataclass(frozen=True, slots=True)
class Mark:
    """The first `rows` rows of the input have the hash `digest`."""

    rows: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Waiting:
    """A result line that waits for rows before it; `digest` as in `Mark`, this row included."""

    digest: bytes
    line: bytes


@dataclass(slots=True)
class JournalState:
    """What a journal says. `marks` are in the order written."""

    identity: Identity
    marks: list[Mark] = field(default_factory=list)
    waiting: dict[int, Waiting] = field(default_factory=dict)


def read_journal(path: Path) -> JournalState | None:
    """The journal's state, up to a torn end; None when there is no journal that this version
    reads."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return None
    state: JournalState | None = None
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            break
        if state is None:
            if not isinstance(record, dict) or record.get("sglc_journal") != VERSION:
                return None
            state = JournalState(record["identity"])
        elif "row" in record:
            digest = bytes.fromhex(record["input"])
            state.waiting[record["row"]] = Waiting(digest, record["line"].encode())
        else:
            state.marks.append(Mark(record["rows"], bytes.fromhex(record["input"])))
    return state


class Journal:
    """The journal being written. Opening it replaces the file by one that holds `state` alone."""

    def __init__(self, path: Path, state: JournalState) -> None:
        self._path = path
        self._identity = state.identity
        self._marks = state.marks
        self._waiting = dict(state.waiting)
        self._live_bytes = sum(len(row.line) for row in self._waiting.values())
        self._file = self._replace()

    @property
    def waiting(self) -> Mapping[int, Waiting]:
        return self._waiting

    def newest_mark(self, num_rows: int) -> Mark | None:
        """The mark of the most rows, among those of at most `num_rows`."""
        marks = (mark for mark in self._marks if mark.rows <= num_rows)
        return max(marks, key=lambda mark: mark.rows, default=None)

    def mark(self, mark: Mark) -> None:
        """Call before the results of these rows are written."""
        # the last mark stays while the write that follows may fail, and the farthest for a retry
        farthest = max(self._marks, key=lambda m: m.rows, default=mark)
        self._marks = [farthest, *self._marks[-1:], mark]
        self._file.append(_mark_line(mark))

    def wait(self, index: int, row: Waiting) -> None:
        self._file.append(_waiting_line(index, row))
        self._waiting[index] = row
        self._live_bytes += len(row.line)

    def forget(self, rows: Iterable[int]) -> None:
        """The rows' lines are in the result file now."""
        for index in rows:
            if (row := self._waiting.pop(index, None)) is not None:
                self._live_bytes -= len(row.line)
        if self._file.size > _COMPACT_BYTES + 4 * self._live_bytes:
            self.compact()

    def compact(self) -> None:
        old, self._file = self._file, self._replace()
        old.close()

    def close(self) -> None:
        self._file.close()

    def _replace(self) -> AppendFile:
        new = self._path.with_name(self._path.name + ".new")
        header = {"sglc_journal": VERSION, "identity": self._identity}
        lines = [json.dumps(header).encode() + b"\n"]
        lines += [_mark_line(mark) for mark in self._marks]
        lines += [_waiting_line(index, row) for index, row in self._waiting.items()]
        file = AppendFile(new, os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666))
        try:
            file.append(b"".join(lines))
            os.rename(new, self._path)
        except BaseException:
            file.close()
            raise
        return file


def _mark_line(mark: Mark) -> bytes:
    return json.dumps({"rows": mark.rows, "input": mark.digest.hex()}).encode() + b"\n"


def _waiting_line(index: int, row: Waiting) -> bytes:
    record = {"row": index, "input": row.digest.hex(), "line": row.line.decode()}
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"
