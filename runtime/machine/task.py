"""Tasks: the threads of control of a row, and the promises by which they wait for one another.

A task is a program counter and registers. The row's first task runs the program; `Fork` and `Run`
start more, which share the code and begin with a copy of the registers.
Knows nothing about what instructions do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sglc.ir.host.expr import Value
from sglc.runtime.engine.request import Request
from sglc.runtime.machine.context import Context
from sglc.runtime.row import BoundRow, RowFailed, RowFailure, Usage

Order = tuple[int, ...]  # where something stands in program order; compares as tuples do

# after a number of an order: behind all that the event of that number has started
_BEHIND = 1 << 62

BLOCKED = -1  # what an instruction returns in place of the next index when its task must wait


def is_inside(order: Order, task: Order) -> bool:
    """Whether a place is one of the task at `task`, or of those that this has started."""
    depth = len(task)
    return len(order) > depth and order[:depth] == task and order[depth] < _BEHIND


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


class Guard:
    """An open try block. `first_event` is the owner's last event before it."""

    __slots__ = ("first_event", "handler", "is_failing", "order")

    def __init__(self, handler: int, owner: Task) -> None:
        self.handler = handler
        self.order = owner.order
        self.first_event = owner.num_events
        self.is_failing = False

    def covers(self, order: Order) -> bool:
        """A place in program order that is inside the block."""
        return is_inside(order, self.order) and order[len(self.order)] > self.first_event


class RowState:
    """One row in flight: its tasks, and what is gathered while they run.

    `failure` is the first one in program order among those met so far. Each thing used or bound
    carries its place in program order, so that what is reported does not depend on what happened
    to finish first.
    """

    __slots__ = (
        "bound",
        "contexts",
        "failing",
        "failure",
        "names",
        "output",
        "parked",
        "tasks",
        "used",
    )

    def __init__(self, bound: BoundRow) -> None:
        self.bound = bound
        self.tasks: set[Task] = set()
        self.parked: set[Task] = set()  # those at the end of a try block, waiting for others in it
        self.failing: dict[Task, RowFailure] = {}  # unless what stands before them is caught
        self.failure: tuple[Order, RowFailed] | None = None
        self.output: Value = None
        self.used: list[tuple[Order, Usage]] = []
        self.names: list[tuple[Order, str, Value]] = []  # for the trace
        self.contexts: list[tuple[Order, Context]] = []  # for the trace

    def undo(self, guard: Guard, failed: Order) -> None:
        """Forget what was gathered in a try block after the place where it failed."""

        def is_kept(order: Order) -> bool:
            return order < failed or not guard.covers(order)

        self.used = [item for item in self.used if is_kept(item[0])]
        self.names = [item for item in self.names if is_kept(item[0])]
        self.contexts = [  # of tasks that ended
            item for item in self.contexts if is_kept(item[0]) and not is_inside(failed, item[0])
        ]

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
    """`pc` is the instruction that runs or waits; `guards` are the open try blocks of this task
    and, before them, of those that started it; `on_end` takes the values of `End`, in a task of a
    fork or run. `requests` are in flight. `last_context` is the one that the last gen or select
    left, for the trace of a task that ends without one."""

    __slots__ = (
        "guards",
        "is_over",
        "last_context",
        "num_events",
        "num_values",
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
        self.guards: tuple[Guard, ...] = ()
        self.requests: set[Request] = set()
        self.num_events = 0
        self.num_values = 0
        self.is_over = False
        self.last_context: Context | None = None
        row.tasks.add(self)

    def begin_event(self) -> Order:
        """The place in program order of a request, or of the start of other tasks, that the task
        makes now. Tasks that it starts have places between this one and its next."""
        self.num_events += 1
        return (*self.order, self.num_events)

    def begin_value(self) -> Order:
        """The place of a host value that is computed later: between the last event, with all that
        it started, and the next. It takes no event's number, since whether a value is there in time
        differs from row to row."""
        self.num_values += 1
        return (*self.order, self.num_events, _BEHIND, self.num_values)

    @property
    def next_order(self) -> Order:
        """The place of the task's next event."""
        return (*self.order, self.num_events + 1)

    def end(self) -> None:
        self.is_over = True
        self.row.tasks.discard(self)
        self.row.parked.discard(self)
        self.row.failing.pop(self, None)
        self.regs = []
        self.on_end = None
        self.last_context = None
