"""Tasks: the threads of control of a row, and the promises by which they wait for one another.

A task is a program counter and registers. The row's first task runs the program; `Fork` and `Run`
start more, which share the code and begin with a copy of the registers.
Knows nothing about what instructions do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sglc.ir.host.expr import Value
from sglc.runtime.context import Context
from sglc.runtime.engine.request import Request
from sglc.runtime.row import BoundRow, RowFailed, Usage

Order = tuple[int, ...]  # where something stands in program order; compares as tuples do

BLOCKED = -1  # what an instruction returns in place of the next index when its task must wait


class Promise:
    """A value that other tasks are still making. Tasks that need it wait in `waiters`."""

    __slots__ = ("is_done", "value", "waiters")

    def __init__(self) -> None:
        self.is_done = False
        self.value: Any = None
        self.waiters: list[Task] = []

    def fulfil(self, value: Any) -> list[Task]:
        """Set the value; returns the tasks that can go on."""
        self.is_done, self.value = True, value
        waiters, self.waiters = self.waiters, []
        return waiters


class RowState:
    """One row in flight: its tasks, and what is gathered while they run.

    `failure` is the first one in program order among those met so far. Each thing used or bound
    carries its place in program order, so that what is reported does not depend on what happened
    to finish first.
    """

    __slots__ = ("bound", "contexts", "failure", "names", "output", "tasks", "used")

    def __init__(self, bound: BoundRow) -> None:
        self.bound = bound
        self.tasks: set[Task] = set()
        self.failure: tuple[Order, RowFailed] | None = None
        self.output: Value = None
        self.used: list[tuple[Order, Usage]] = []
        self.names: list[tuple[Order, str, Value]] = []  # for the trace
        self.contexts: list[tuple[Order, Context]] = []  # for the trace

    def usage(self) -> Usage:
        """What was used before the failure, if there is one; in all otherwise."""
        total = Usage()
        for order, used in self.used:
            if self.failure is None or order < self.failure[0]:
                total.prompt_tokens += used.prompt_tokens
                total.decoded_tokens += used.decoded_tokens
                total.scored_tokens += used.scored_tokens
                total.gens += used.gens
        return total


class Task:
    """`pc` is the instruction that runs or waits; `handlers` are the open try blocks' handlers;
    `on_end` takes the values of `End`, in a task of a fork or run. `requests` are in flight."""

    __slots__ = (
        "handlers",
        "is_over",
        "num_events",
        "on_end",
        "order",
        "pc",
        "regs",
        "requests",
        "row",
    )

    def __init__(
        self,
        row: RowState,
        regs: list[Any],
        pc: int,
        order: Order,
        on_end: Callable[[list[Any]], list[Task]] | None = None,
    ) -> None:
        self.row = row
        self.regs = regs
        self.pc = pc
        self.order = order
        self.on_end = on_end
        self.handlers: list[int] = []
        self.requests: set[Request] = set()
        self.num_events = 0
        self.is_over = False
        row.tasks.add(self)

    def begin_event(self) -> Order:
        """The place in program order of a request, or of the start of other tasks, that the task
        makes now. Tasks that it starts have places between this one and its next."""
        self.num_events += 1
        return (*self.order, self.num_events)

    @property
    def next_order(self) -> Order:
        """The place of the task's next event."""
        return (*self.order, self.num_events + 1)

    def end(self) -> None:
        self.is_over = True
        self.row.tasks.discard(self)
        self.regs = []
