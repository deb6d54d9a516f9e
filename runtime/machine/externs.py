"""Calling host functions (rule 13 of the language) beside the engine's loop.

A plain function runs on a daemon thread of its own, a coroutine function on one event loop in a
daemon thread, so other rows go on meanwhile, and a function that never returns can hold up neither
Ctrl-C nor the end of the process. Every call ends in a value of the declared type or in a
`RowFailure` "extern".
Law: all methods are for one thread, and continuations run in `poll` only.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from functools import lru_cache
from queue import Empty, SimpleQueue
from typing import Any

from sglc.codegen.plan import ExternDecl
from sglc.ir.host.expr import Value
from sglc.ir.values import Mismatch, conform
from sglc.runtime.row import RowFailure

MAX_THREADS = 64

Then = Callable[[Value | RowFailure], None]


@dataclass(slots=True, eq=False)
class _Attempt:
    """One try of one call. `started` and `deadline` are of `time.monotonic`, set when it begins to
    run: waiting for a thread does not count against the timeout."""

    decl: ExternDecl
    args: Sequence[Value]
    owner: object
    then: Then
    tries_left: int
    deadline: float | None = None
    future: Future[Any] | None = None  # of a coroutine


class ExternCalls:
    """The calls in flight of one run. `functions` holds one for each of `decls`; raises
    `ValueError` where one is missing."""

    def __init__(self, decls: Sequence[ExternDecl], functions: Mapping[str, Callable[..., Any]]):
        missing = [decl.name for decl in decls if decl.name not in functions]
        if missing:
            names = ", ".join(f"`{name}`" for name in missing)
            raise ValueError(f"the program needs extern functions that are not given: {names}")
        self._decls = {decl.name: decl for decl in decls}
        self._functions = functions
        self._waiting: deque[_Attempt] = deque()  # for a thread
        self._on_threads: set[_Attempt] = set()
        self._on_loop: set[_Attempt] = set()
        self._done: SimpleQueue[tuple[_Attempt, Any, BaseException | None]] = SimpleQueue()

    @property
    def num_pending(self) -> int:
        return len(self._waiting) + len(self._on_threads) + len(self._on_loop)

    def call(self, name: str, args: Sequence[Value], owner: object, then: Then) -> None:
        """Start a call; `then` gets its value, or its failure, in a later `poll`. The function gets
        copies of the arguments."""
        decl = self._decls[name]
        self._start(_Attempt(decl, args, owner, then, decl.retries))

    def poll(self, wait: float = 0.0) -> None:
        """Run the continuations of what has ended or timed out; waits at most `wait` seconds for
        the first."""
        running = [*self._on_threads, *self._on_loop]
        deadlines = [attempt.deadline for attempt in running if attempt.deadline is not None]
        if deadlines:
            wait = max(0.0, min(wait, min(deadlines) - time.monotonic()))
        while True:
            try:
                attempt, value, error = self._done.get(block=wait > 0, timeout=wait)
            except Empty:
                break
            wait = 0.0
            if self._take(attempt):
                self._finish(attempt, value, error)
        if deadlines:
            self._expire()
        self._fill_threads()

    def forget(self, owner: object) -> None:
        """Give up all calls of `owner`; their continuations will not run."""
        self._waiting = deque(attempt for attempt in self._waiting if attempt.owner is not owner)
        for attempt in [*self._on_threads, *self._on_loop]:
            if attempt.owner is owner:
                self._take(attempt)

    def close(self) -> None:
        """Give up all calls. Threads that are stuck die with the process."""
        self._waiting.clear()
        for attempt in [*self._on_threads, *self._on_loop]:
            self._take(attempt)

    # ------------------------------------------------------------ one attempt

    def _start(self, attempt: _Attempt) -> None:
        function = self._functions[attempt.decl.name]
        if not inspect.iscoroutinefunction(function):
            self._waiting.append(attempt)
            self._fill_threads()
            return
        self._set_deadline(attempt)
        self._on_loop.add(attempt)
        coroutine = _invoke(function, _copies(attempt.args))
        attempt.future = asyncio.run_coroutine_threadsafe(coroutine, _event_loop())
        attempt.future.add_done_callback(lambda future: self._coroutine_done(attempt, future))

    def _fill_threads(self) -> None:
        while self._waiting and len(self._on_threads) < MAX_THREADS:
            attempt = self._waiting.popleft()
            self._set_deadline(attempt)
            self._on_threads.add(attempt)
            threading.Thread(target=self._run, args=(attempt,), daemon=True).start()

    def _set_deadline(self, attempt: _Attempt) -> None:
        if attempt.decl.timeout is not None:
            attempt.deadline = time.monotonic() + attempt.decl.timeout

    def _run(self, attempt: _Attempt) -> None:
        """On the attempt's own thread."""
        try:
            value = self._functions[attempt.decl.name](*_copies(attempt.args))
            if inspect.iscoroutine(value):  # of a partial, or of an object with an async __call__
                value = asyncio.run_coroutine_threadsafe(value, _event_loop()).result()
        except BaseException as error:
            self._done.put((attempt, None, error))
        else:
            self._done.put((attempt, value, None))

    def _coroutine_done(self, attempt: _Attempt, future: Future[Any]) -> None:
        """On the event loop's thread."""
        error = CancelledError() if future.cancelled() else future.exception()
        self._done.put((attempt, None if error else future.result(), error))

    def _take(self, attempt: _Attempt) -> bool:
        """No longer in flight; false if it was not."""
        if attempt in self._on_threads:
            self._on_threads.discard(attempt)
            return True
        if attempt in self._on_loop:
            self._on_loop.discard(attempt)
            if attempt.future is not None:
                attempt.future.cancel()
            return True
        return False

    def _finish(self, attempt: _Attempt, value: Any, error: BaseException | None) -> None:
        name = attempt.decl.name
        if error is not None:
            said = f"{type(error).__name__}: {error}".removesuffix(": ")
            self._fail(attempt, f"extern `{name}` raised {said}")
            return
        try:
            answer: Value | RowFailure = conform(value, attempt.decl.result)
        except Mismatch as mismatch:
            answer = RowFailure("extern", f"extern `{name}` returned a wrong value: {mismatch}")
        attempt.then(answer)

    def _expire(self) -> None:
        now = time.monotonic()
        for attempt in [*self._on_threads, *self._on_loop]:
            if attempt.deadline is not None and now >= attempt.deadline:
                self._take(attempt)
                timeout = f"{attempt.decl.timeout:g} s"
                self._fail(attempt, f"extern `{attempt.decl.name}` did not return in {timeout}")

    def _fail(self, attempt: _Attempt, message: str) -> None:
        if not attempt.tries_left:
            attempt.then(RowFailure("extern", message))
            return
        decl, tries_left = attempt.decl, attempt.tries_left - 1
        self._start(_Attempt(decl, attempt.args, attempt.owner, attempt.then, tries_left))


@lru_cache(maxsize=1)
def _event_loop() -> asyncio.AbstractEventLoop:
    """One loop for the whole process, since clients that users keep are bound to their loop."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="sglc-extern-loop", daemon=True).start()
    return loop


async def _invoke(function: Callable[..., Any], args: Sequence[Value]) -> Any:
    return await function(*args)


def _copies(args: Sequence[Value]) -> list[Value]:
    """Copies that the function may change; values of a program are shared and never change."""
    return [_copy(arg) for arg in args]


def _copy(value: Value) -> Value:
    if isinstance(value, list):
        return [_copy(item) for item in value]
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return value
