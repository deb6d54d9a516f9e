"""Calls of pure externs: equal ones of a run are one.

A pure extern yields the same for equal arguments, so it is called once for all that ask at the same
time, and its answer is remembered for those to come. Errors are told to all that wait, and
forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from sglc.ir.host.expr import Value
from sglc.ir.host.text import json_text
from sglc.runtime.machine.externs import ExternCalls, Then
from sglc.runtime.machine.memory import Memory
from sglc.runtime.machine.task import Task
from sglc.runtime.row import RowFailure

MAX_BYTES = 16 << 20

_Key = tuple[str, str]  # name, arguments as JSON


class PureCalls:
    """`merged` are the names of the externs whose calls are merged wherever they stand."""

    def __init__(self, externs: ExternCalls, merged: Set[str]) -> None:
        self.merged = merged
        self._externs = externs
        self._waiting: dict[_Key, list[tuple[Task, Then]]] = {}
        self._answers: Memory[tuple[Value]] = Memory(MAX_BYTES)

    def call(
        self, name: str, args: Sequence[Value], task: Task, then: Then, *, is_shared: bool
    ) -> None:
        """`then` gets the answer, at once if it is known; never when the task is over."""
        key = name, json_text(list(args))
        known = self._answers.get(key)
        if known is not None:
            then(known[0])
            return
        waiting = self._waiting.setdefault(key, [])
        waiting.append((task, then))
        if len(waiting) > 1:
            return

        def answered(answer: Value | RowFailure) -> None:
            if not isinstance(answer, RowFailure):
                size = 500 + len(key[1]) + len(json_text(answer))
                self._answers.put(key, (answer,), size, is_kept=is_shared)
            for task, then in self._waiting.pop(key):
                if not task.is_over:
                    then(answer)

        # owned by no task, since it is made for others too
        self._externs.call(name, args, key, answered)
