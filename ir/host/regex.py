"""Python's regular expressions with a limit on their time.

`re` goes back and tries again: a pattern such as `(a+)+b` tries twice as many ways for each further
`a`, and the interpreter stands still meanwhile. What surely takes few steps is searched here. The
rest is sent to another process, which the system ends when one search has taken `SECONDS` of its
processor time; a busy machine does not count.
Law: what is found is what `re` finds, or it is `SearchFailed`.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any, Literal

from sglc.ir.host import regex_worker

SECONDS = 1.0  # of processor time, for one search
FEW = 50_000_000  # steps, counted too high: 0.12 s at the most in 20 patterns (EPYC, 2026-11)

Method = Literal["search", "match", "fullmatch", "finditer"]
Spans = tuple[tuple[int, int], ...]  # of the match and of each group; (-1, -1): took no part


class SearchFailed(Exception):
    """A search took too long, or more than the machine has. The message is a phrase."""


def spans(method: Method, pattern: str, text: str) -> list[Spans]:
    """The match that `re.<method>` finds, or all of `finditer`; none is an empty list.

    Raises what `re.compile` raises for a wrong pattern, and SearchFailed.
    """
    compiled, longest = _compiled(pattern)
    if len(text) <= longest:
        return regex_worker.spans(method, compiled, text)
    return _WORKER.spans(method, pattern, text)


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> tuple[re.Pattern[str], int]:
    """The pattern, and how long a text may be for its search to take few steps."""
    compiled = re.compile(pattern)
    tree = _parser.parse(pattern)
    longest = -1
    length = 16
    while length < 1 << 26 and (length + 1) * len(pattern) * _ways(tree, length) <= FEW:
        longest = length
        length *= 2
    return compiled, longest


def _ways(tree: Iterable[tuple[Any, Any]], length: int) -> float:
    """At most so many ways there are to go through a parsed pattern from one place of a text."""
    ways = 1.0
    for code, argument in tree:
        ways *= _node_ways(code, argument, length)
    return min(ways, 1e300)


def _node_ways(code: Any, argument: Any, length: int) -> float:
    if code in (op.LITERAL, op.NOT_LITERAL, op.IN, op.ANY, op.AT):
        return 1
    if code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        _, high, body = argument
        rounds: int = min(int(high), length // max(1, body.getwidth()[0]) + 1)
        inner = _ways(body, length)
        # a sum of powers of `inner`; past 64 rounds it is not few anyway
        return rounds + 1 if inner <= 1 else pow(min(inner, 1e4), float(min(rounds + 1, 64)))
    if code in (op.SUBPATTERN, op.ATOMIC_GROUP):
        return _ways(argument[-1] if code is op.SUBPATTERN else argument, length)
    if code in (op.ASSERT, op.ASSERT_NOT):
        return 1 + _ways(argument[1], length)
    if code is op.BRANCH:
        return sum(_ways(branch, length) for branch in argument[1])
    if code is op.GROUPREF_EXISTS:
        _, yes, no = argument
        return _ways(yes, length) + (_ways(no, length) if no is not None else 1)
    if code is op.GROUPREF:
        return length + 1  # it compares so many characters
    return float("inf")


class _Worker:
    """The other process: started when first needed, and again after a search was too slow. Such a
    search is remembered: a row's expressions are evaluated more than once."""

    MAX_REMEMBERED = 4096

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._too_slow: dict[bytes, str] = {}  # hash of a request -> what was said of it

    def spans(self, method: Method, pattern: str, text: str) -> list[Spans]:
        request = json.dumps([SECONDS, method, pattern, text]).encode() + b"\n"
        with self._lock:
            key = hashlib.blake2b(request, digest_size=16).digest() if self._too_slow else b""
            if key in self._too_slow:
                raise SearchFailed(self._too_slow[key])
            process = self._running()
            assert process.stdin is not None and process.stdout is not None
            try:
                process.stdin.write(request)
                process.stdin.flush()
                answer = process.stdout.readline()
            except BrokenPipeError:
                answer = b""
            except BaseException:
                self.stop()  # half a question or an answer that nobody reads
                raise
            if not answer:
                status = self.stop()
                reason = _reason(status, pattern, text)
                if status == -signal.SIGPROF:
                    self._remember(request, reason)
                raise SearchFailed(reason)
        return [tuple((a, b) for a, b in found) for found in json.loads(answer)]

    def _remember(self, request: bytes, reason: str) -> None:
        if len(self._too_slow) >= self.MAX_REMEMBERED:
            self._too_slow.clear()
        self._too_slow[hashlib.blake2b(request, digest_size=16).digest()] = reason

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(Path(regex_worker.__file__))],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C is for this process
                )
            except OSError as error:
                raise SearchFailed(f"the process that searches cannot start: {error}") from error
        return self._process

    def stop(self) -> int | None:
        """End the process, if there is one; its exit status."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.kill()
        with suppress(BrokenPipeError), process:  # closes its pipes, and waits
            pass
        return process.returncode

    def forget(self) -> None:
        """In a copy of this process: what was started is the other's."""
        self._lock = threading.Lock()
        self._process = None


def _reason(status: int | None, pattern: str, text: str) -> str:
    shown = pattern if len(pattern) <= 60 else f"{pattern[:57]}..."
    search = f"the regex `{shown}` on a text of {len(text)} characters"
    if status != -signal.SIGPROF:
        return f"{search} ended its process (status {status})"
    return (
        f"{search} took over {SECONDS:g} s; repeats that can share out a text in many ways, such "
        "as `(a+)+` or `.*.*`, try them all: write the regex so that there is only one way"
    )


_WORKER = _Worker()
atexit.register(_WORKER.stop)
os.register_at_fork(after_in_child=_WORKER.forget)
