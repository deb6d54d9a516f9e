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
from sglc.runtime.row import BoundRow, Usage

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
    """One row in flight: its tasks, and what is gathered while they run."""

    __slots__ = (
        "bound",
        "contexts",
        "is_over",
        "names",
        "output",
        "requests",
        "tasks",
        "usage",
    )

    def __init__(self, bound: BoundRow) -> None:
        self.bound = bound
        self.usage = Usage()
        self.tasks: set[Task] = set()
        self.requests: set[Request] = set()  # asked and not yet answered
        self.is_over = False
        self.output: Value = None
        self.names: list[tuple[Order, str, Value]] = []  # for the trace
        self.contexts: list[tuple[Order, Context]] = []  # for the trace


class Task:
    """`pc` is the instruction that runs or waits; `handlers` are the open try blocks' handlers;
    `on_end` takes the values of `End`, in a task of a fork or run."""

    __slots__ = ("handlers", "num_events", "on_end", "order", "pc", "regs", "row")

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
        self.num_events = 0
        row.tasks.add(self)

    def next_order(self) -> Order:
        """The place in program order of the task's next request or start of other tasks."""
        self.num_events += 1
        return (*self.order, self.num_events)

    def end(self) -> None:
        self.row.tasks.discard(self)
        self.regs = []
