"""Result lines: what a row's outcome looks like in the output.

Law: a line is one JSON object that begins with its index: `{"index": 3, ...passed fields...,
"output": ...}` or `{"index": 3, ..., "error": {"code", "message", "where"}}`, then "usage" and
"trace" where asked for.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TextIO

from sglc.ir.host.expr import Value
from sglc.ir.span import Source
from sglc.runtime.results.append_file import ResultError
from sglc.runtime.row import Outcome, RowFailed, Trace

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def where(failed: RowFailed, sources: Sequence[Source]) -> str:
    """Where a row failed: `triage.sgl:14:8`, or `row 3 (line 4), field "score"`."""
    if failed.span is not None and failed.span.file < len(sources):
        return f"{sources[failed.span.file].name}:{failed.span.line}:{failed.span.col}"
    return failed.place if failed.place is not None else f"row {failed.index}"


@dataclass(frozen=True, slots=True)
class ResultFormat:
    """How outcomes become lines. `sources` are the plan's, for positions."""

    sources: Sequence[Source]
    has_usage: bool = False
    has_trace: bool = False

    def line(self, outcome: Outcome, passed: Mapping[str, Value]) -> bytes:
        """The line, newline included. An output that JSON cannot hold makes the row a failed
        one."""
        try:
            return _encode(self._record(outcome, passed))
        except ValueError as error:
            message = f"the output is not JSON: {error}"
            failed = RowFailed(outcome.index, "bad_output", message, usage=outcome.usage)
            return _encode(self._record(failed, passed))

    def _record(self, outcome: Outcome, passed: Mapping[str, Value]) -> dict[str, object]:
        record: dict[str, object] = {"index": outcome.index, **passed}
        trace = None
        if isinstance(outcome, RowFailed):
            record["error"] = {
                "code": outcome.code,
                "message": outcome.message,
                "where": where(outcome, self.sources),
            }
        else:
            record["output"] = outcome.output
            trace = outcome.trace
        if self.has_usage:
            record["usage"] = dataclasses.asdict(outcome.usage)
        if self.has_trace and trace is not None:
            record["trace"] = trace_record(trace)
        return record


def trace_record(trace: Trace) -> dict[str, object]:
    """A trace as JSON: names as a list, since a loop binds a name many times."""
    return {
        "names": [{"name": name, "value": value} for name, value in trace.names],
        "contexts": list(trace.contexts),
    }


def is_failed(line: bytes) -> bool:
    """Whether a result line is an error record."""
    return b'"error":' in line and "error" in json.loads(line)


def _encode(record: dict[str, object]) -> bytes:
    try:
        return _ENCODER.encode(record).encode("utf-8") + b"\n"
    except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can spell
        return json.dumps(record, allow_nan=False).encode("ascii") + b"\n"


Write = Callable[[memoryview], int]


class ResultStream:
    """Results to a terminal, a pipe or a device: in input order, each as soon as those before it
    are out.

    `write` takes bytes and tells how many of them it wrote. Keeps nothing to come back to.
    `num_rows` and `num_failed` count the rows that are out.
    """

    def __init__(self, name: str, write: Write, close: Callable[[], object] = lambda: None) -> None:
        self.num_rows = 0
        self.num_failed = 0
        self._name = name
        self._write_some = write
        self._close = close
        self._waiting: dict[int, bytes] = {}

    def has(self, index: int, digest: bytes) -> bool:
        return False

    def put(self, index: int, digest: bytes, line: bytes) -> None:
        """Raises ResultError, or BrokenPipeError when whoever reads went away."""
        self._waiting[index] = line
        while (ready := self._waiting.pop(self.num_rows, None)) is not None:
            self._write(ready)
            self.num_rows += 1
            self.num_failed += is_failed(ready)

    def _write(self, line: bytes) -> None:
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[self._write_some(rest) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise ResultError(
                f"cannot write {self._name}: {(error.strerror or '').lower()}"
            ) from error

    def finish(self, num_rows: int) -> None:
        pass

    def close(self) -> None:
        self._close()


def to_stdout() -> ResultStream:
    """By its descriptor; where it was replaced by a stream of text without one, to that."""
    try:
        write = partial(os.write, sys.stdout.fileno())
    except (AttributeError, io.UnsupportedOperation):
        write = partial(_write_text, sys.stdout)
    return ResultStream("stdout", write)


def _write_text(stream: TextIO, line: memoryview) -> int:
    stream.write(str(line, "utf-8"))
    return len(line)


def to_device(path: str) -> ResultStream:
    """To what is no file. Raises OSError where it cannot be opened."""
    descriptor = os.open(path, os.O_WRONLY)
    return ResultStream(path, partial(os.write, descriptor), partial(os.close, descriptor))
