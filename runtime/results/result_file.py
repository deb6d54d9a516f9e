"""The output file of a run that may be killed at any moment and run again.

Law: the file holds the result lines of rows 0 to n-1, in order, and at most one torn line behind
them; rows that finish before an earlier one wait in the journal beside it (`out.jsonl.run`). So a
finished row is on disk once, resuming is cutting the torn line and counting, and the final file is
that of an undisturbed run. While a process holds the file it is locked; the lock dies with the
process.

A retry of failed rows writes the file anew beside the old one (`out.jsonl.before`), taking the good
lines from there, so it can be killed as well.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from sglc.runtime.results.append_file import AppendFile, ResultError
from sglc.runtime.results.journal import (
    Identity,
    Journal,
    JournalState,
    Mark,
    Waiting,
    read_journal,
)
from sglc.runtime.results.result_line import is_failed

_CHUNK_BYTES = 2**20  # lines written at once


class ResultFile:
    """Rows' results on disk. For each row of the input, in order: `has`, then `put` when it ran.

    `num_rows` and `num_failed` count the lines in the file, those of earlier runs included.
    `verified` is what an earlier run saw of the input: its first rows and their hash.
    """

    def __init__(self, path: str, identity: Identity, *, retry_errors: bool = False) -> None:
        self.path = Path(os.path.realpath(path))
        self._journal_path = self.path.with_name(self.path.name + ".run")
        self._before_path = self.path.with_name(self.path.name + ".before")
        self.num_rows = 0
        self.num_failed = 0
        descriptor, is_new = _open_locked(self.path)
        self._file = AppendFile(self.path, descriptor)
        try:
            state = self._recover(identity, is_new)
            if retry_errors:
                self._begin_retry(state)
            self._kept = KeptLines(self._before_path)
            self._asked = KeptLines(self._before_path)
            self._journal = Journal(self._journal_path, state)
        except BaseException:
            self._file.close()
            raise
        try:
            self._write(self._ready(self.num_rows))
        except BaseException:
            self.close()
            raise
        self.verified = self._journal.newest_mark(max(self.num_rows, self._kept.num_rows))

    # ------------------------------------------------------------ rows

    def has(self, index: int, digest: bytes) -> bool:
        """Whether the row needs no run. `digest` is the input's, this row included.

        Asked once for each row, in order. Raises ResultError when the input is another one.
        """
        if self.verified is not None and index + 1 == self.verified.rows:
            self.verify(digest)
        if index < self.num_rows or self._asked.line(index) is not None:
            return True
        waiting = self._journal.waiting.get(index)
        if waiting is not None and waiting.digest != digest:
            self._journal.forget([index])  # the input was edited behind what was written
            return False
        return waiting is not None

    def verify(self, digest: bytes | None) -> None:
        """Refuse an input whose first `verified.rows` rows hash to something else (None: it ends
        before them)."""
        if self.verified is not None and digest != self.verified.digest:
            what = f"the first {self.verified.rows} rows of the input are not what they were"
            raise _refusal(self.path, what)

    def put(self, index: int, digest: bytes, line: bytes) -> None:
        """Record a finished row; on return it survives the process."""
        row = Waiting(digest, line)
        if index == self.num_rows:
            self._write(row)
        else:
            self._journal.wait(index, row)

    def finish(self, num_rows: int) -> None:
        """All `num_rows` rows of the input are done. A journal of a few lines stays."""
        if self.num_rows > num_rows or self._kept.num_rows > num_rows or self._journal.waiting:
            what = f"it has results of more rows than the {num_rows} of this input (or --limit)"
            raise _refusal(self.path, what)
        self._journal.compact()
        self._file.sync()
        self._before_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file; without `finish` before, a later run goes on from here."""
        self._journal.close()
        self._file.close()

    def _ready(self, index: int) -> Waiting | None:
        """The line of row `index`, when it is there already."""
        row = self._journal.waiting.get(index)
        if row is None and (line := self._kept.line(index)) is not None:
            row = Waiting(b"", line)
        return row

    def _write(self, row: Waiting | None) -> None:
        """Append `row`, which is the next one, and all that waited for it."""
        while row is not None:
            lines: list[bytes] = []
            size = 0
            mark: Mark | None = None
            while row is not None and size < _CHUNK_BYTES:
                lines.append(row.line)
                size += len(row.line)
                if row.digest:
                    mark = Mark(self.num_rows + len(lines), row.digest)
                row = self._ready(self.num_rows + len(lines))
            if mark is not None:
                self._journal.mark(mark)
            self._file.append(b"".join(lines))
            written = range(self.num_rows, self.num_rows + len(lines))
            self.num_rows = written.stop
            self.num_failed += sum(map(is_failed, lines))
            self._journal.forget(written)

    # ------------------------------------------------------------ coming back to a file

    def _recover(self, identity: Identity, is_new: bool) -> JournalState:
        """The state that the last run left, with the file cut to whole lines and counted."""
        state = read_journal(self._journal_path)
        is_empty = self._file.size == 0 and not self._before_path.exists()
        if is_new or (is_empty and (state is None or not state.waiting)):
            self._before_path.unlink(missing_ok=True)
            return JournalState(identity)
        if state is None:
            raise ResultError(
                f"{self.path} exists and was not written by `sglc run -o`: "
                f"there is no {self._journal_path.name} beside it; give another -o, or remove it"
            )
        for name, now in identity.items():
            if (was := state.identity.get(name)) != now:
                what = f"its {name} was {_shown(was)}, this run's is {_shown(now)}"
                raise _refusal(self.path, what)
        if self._before_path.exists() and self._before_path.samefile(self.path):
            self._before_path.unlink()  # a retry was killed before it began
        self._count_lines()
        state.waiting = {i: row for i, row in state.waiting.items() if i >= self.num_rows}
        return state

    def _count_lines(self) -> None:
        size = 0
        with self.path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                if not line.startswith(b'{"index": %d,' % self.num_rows):
                    what = f"its line {self.num_rows + 1} is not the result of row {self.num_rows}"
                    raise _refusal(self.path, what)
                size += len(line)
                self.num_rows += 1
                self.num_failed += is_failed(line)
        self._file.truncate(size)

    def _begin_retry(self, state: JournalState) -> None:
        """Forget the failed rows: the good ones are kept in the old file, a new one takes its
        place."""
        if self._before_path.exists():
            return  # one is under way
        state.waiting = {i: row for i, row in state.waiting.items() if not is_failed(row.line)}
        if not self.num_failed:
            return
        # the journal may still hold failed rows of the old file: in the new one they would be read
        Journal(self._journal_path, state).close()
        new = self.path.with_name(self.path.name + ".new")
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.link(self.path, self._before_path)
            os.rename(new, self.path)
        except BaseException:
            os.close(descriptor)
            raise
        self._file.close()
        self._file = AppendFile(self.path, descriptor)
        self.num_rows = self.num_failed = 0


class KeptLines:
    """The good lines of the result file before a retry, asked for in order of their rows."""

    def __init__(self, path: Path) -> None:
        self.num_rows = 0
        self._lines: Iterator[bytes] = iter(())
        self._index = -1
        self._line: bytes | None = None
        if path.exists():
            with path.open("rb") as lines:
                self.num_rows = sum(line.endswith(b"\n") for line in lines)
            self._lines = iter(path.open("rb"))

    def line(self, index: int) -> bytes | None:
        """Row `index`'s line, or None if it failed or was not reached."""
        while self._index < min(index, self.num_rows):
            self._index += 1
            self._line = next(self._lines, None)
        if index >= self.num_rows or self._line is None or is_failed(self._line):
            return None
        return self._line


def _open_locked(path: Path) -> tuple[int, bool]:
    """An exclusive descriptor of the file, and whether it had to be made."""
    while True:
        try:
            is_new = not path.exists()
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            raise ResultError(f"cannot write {path}: there is no folder {path.parent}") from None
        except OSError as error:
            raise ResultError(f"cannot write {path}: {(error.strerror or '').lower()}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(path.stat(), os.fstat(descriptor)):
                return descriptor, is_new
        except BlockingIOError:
            os.close(descriptor)
            raise ResultError(
                f"another run is writing {path}: wait until it ends, or give another -o"
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise ResultError(f"cannot lock {path}: {(error.strerror or '').lower()}") from None
        os.close(descriptor)  # the file was replaced while we waited for its lock


def _refusal(path: Path, what: str) -> ResultError:
    return ResultError(
        f"cannot go on with {path}: {what}; give another -o, or remove it to start over"
    )


def _shown(value: object) -> str:
    return "not set" if value is None else str(value)
