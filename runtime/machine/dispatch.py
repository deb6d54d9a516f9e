"""Between tasks and the engine: what tasks need is gathered, tokenized together, merged, and asked.

A task that needs tokens calls `encode`, one that needs the engine calls `ask`; each gives a
continuation that runs when the answer is there. Requests with equal merge keys are one request
(rule 6 of the language; who asks decides what is deterministic): those that come while it is in
flight wait with it, those that come later get its result again.
Law: a continuation runs at most once, and never for a task that is over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from sglc.runtime.engine.request import Engine, Request, Result
from sglc.runtime.machine.reuse import MergeKey, Reuse
from sglc.runtime.machine.stretch import Encoded, Piece, StretchEncoder
from sglc.runtime.machine.task import Task
from sglc.runtime.row import RowFailure

T = TypeVar("T")
OnEncoded = Callable[[list[Encoded]], None]
OnResult = Callable[[Result], None]


@dataclass(slots=True)
class _InFlight:
    merge_key: MergeKey | None
    is_shared: bool
    waiting: list[tuple[Task, OnResult]] = field(default_factory=list)


class Dispatch:
    """`on_failure` takes a task whose continuation raised, and what it raised. Unless
    `reuses_results`, only what all rows share is merged."""

    def __init__(
        self,
        engine: Engine,
        encoder: StretchEncoder,
        on_failure: Callable[[Task, RowFailure], None],
        *,
        reuses_results: bool = True,
    ) -> None:
        self._engine = engine
        self._encoder = encoder
        self._on_failure = on_failure
        self._to_encode: list[tuple[Task, Sequence[Sequence[Piece]], OnEncoded]] = []
        self._in_flight: dict[Request, _InFlight] = {}
        self._by_key: dict[MergeKey, Request] = {}
        self._reuse = Reuse(engine)
        self._reuses_results = reuses_results

    def encode(self, task: Task, stretches: Sequence[Sequence[Piece]], then: OnEncoded) -> None:
        """`then` gets the tokens of each stretch in the next `flush`."""
        self._to_encode.append((task, stretches, then))

    def ask(
        self,
        task: Task,
        request: Request,
        then: OnResult,
        merge_key: MergeKey | None = None,
        *,
        is_shared: bool = False,
    ) -> None:
        """Submit a request, or wait for an equal one that is in flight; where one was answered
        before, `then` gets its result at once."""
        if not (self._reuses_results or is_shared):
            merge_key = None
        if merge_key is not None:
            known = self._reuse.find(merge_key, request)
            if known is not None:
                self._engine.stats.merged_requests += 1
                then(known)
                return
            same = self._by_key.setdefault(merge_key, request)
            if same is not request:
                self._engine.stats.merged_requests += 1
                self._in_flight[same].waiting.append((task, then))
                task.requests.add(same)
                return
        self._in_flight[request] = _InFlight(merge_key, is_shared, [(task, then)])
        task.requests.add(request)
        self._engine.stats.requests += 1
        self._engine.submit(request)

    def flush(self) -> bool:
        """Tokenize all that waits, in one batch. False when there was nothing."""
        jobs, self._to_encode = self._to_encode, []
        jobs = [job for job in jobs if not job[0].is_over]
        if not jobs:
            return False
        encoded = self._encoder.encode([pieces for _, stretches, _ in jobs for pieces in stretches])
        start = 0
        for task, stretches, then in jobs:
            mine = encoded[start : start + len(stretches)]
            start += len(stretches)
            self._continue(task, then, mine)
        return True

    def deliver(self, result: Result) -> None:
        """Hand the engine's answer to all that wait for it."""
        entry = self._forget_request(result.request)
        if entry is not None:
            if entry.merge_key is not None:
                self._reuse.keep(entry.merge_key, result, is_shared=entry.is_shared)
            for task, then in entry.waiting:
                task.requests.discard(result.request)
                self._continue(task, then, result)

    def forget(self, task: Task) -> None:
        """Cancel what only this task waits for."""
        for request in task.requests:
            entry = self._in_flight[request]
            entry.waiting = [pair for pair in entry.waiting if pair[0] is not task]
            if not entry.waiting:
                self._forget_request(request)
                self._engine.cancel(request)
        task.requests.clear()

    def close(self) -> None:
        """Let go of all results, and the prefixes that they keep."""
        self._reuse.clear()

    def _forget_request(self, request: Request) -> _InFlight | None:
        entry = self._in_flight.pop(request, None)
        if entry is not None and entry.merge_key is not None:
            del self._by_key[entry.merge_key]
        return entry

    def _continue(self, task: Task, then: Callable[[T], None], answer: T) -> None:
        if task.is_over:
            return
        try:
            then(answer)
        except RowFailure as failure:
            self._on_failure(task, failure)
