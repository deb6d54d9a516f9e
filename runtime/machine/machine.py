"""The interpreter of plans: many rows at once, each a few tasks, in step with an engine.

`step` runs every task that can go on until all wait; tokenizes what they ask in one batch and
submits it; lets the engine do one forward pass; and hands its results back. There is no cache to
guess with: tasks hold contexts, contexts hold engine prefixes, and dropping a register frees what
only it held.
Law: a row that fails ends alone; its requests and calls are given up, and no other row notices.
Knows nothing about files, windows of rows or the order of results.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sglc.codegen.instruction import Fork, Next, Run, Start
from sglc.codegen.plan import Plan
from sglc.ir.host.error import HostError
from sglc.ir.host.evaluate import HostEnv
from sglc.ir.host.expr import Value
from sglc.ir.values import Mismatch, conform
from sglc.runtime.constraints import Constraints
from sglc.runtime.engine.request import Engine
from sglc.runtime.machine.dispatch import Dispatch
from sglc.runtime.machine.externs import ExternCalls
from sglc.runtime.machine.meaning import meanings
from sglc.runtime.machine.pure_calls import PureCalls
from sglc.runtime.machine.setting import Setting
from sglc.runtime.machine.settle import Settler
from sglc.runtime.machine.stretch import StretchEncoder
from sglc.runtime.machine.task import Guard, RowState, Task
from sglc.runtime.model.spec import ModelSpec
from sglc.runtime.row import BoundRow, Outcome, RowDone, RowFailed, RowFailure, Trace

EXTERN_WAIT = 0.05  # seconds that one step waits for externs when nothing else can go on


class Machine:
    """Runs rows through a plan. `externs` holds a function for each extern that the plan names;
    raises `ValueError` where one is missing. Unless `parallel`, what a row starts runs to its end
    before the row goes on: for measuring. One thread only."""

    def __init__(
        self,
        plan: Plan,
        spec: ModelSpec,
        engine: Engine,
        *,
        seed: int = 0,
        externs: Mapping[str, Callable[..., Any]] | None = None,
        keep_trace: bool = False,
        parallel: bool = True,
    ) -> None:
        self._plan = plan
        self._engine = engine
        self._keeps_trace = keep_trace
        self._externs = ExternCalls(plan.externs, externs or {})
        merged = {decl.name for decl in plan.externs if decl.is_pure and plan.reuses_results}
        encoder = StretchEncoder(spec.tokenizer, plan.constants)
        self._settler = Settler(
            engine,
            spec.tokenizer,
            plan.model.context_len,
            keeps_rows=_begins_often(plan),
        )
        self._dispatch = Dispatch(engine, encoder, self._fail, reuses_results=plan.reuses_results)
        setting = Setting(
            markup=plan.markup,
            tokenizer=spec.tokenizer,
            thinking=spec.thinking,
            env=HostEnv(spec.tokenizer),
            encoder=encoder,
            settler=self._settler,
            dispatch=self._dispatch,
            externs=self._externs,
            pure_calls=PureCalls(self._externs, merged),
            constraints=Constraints(plan.constraints, spec.tokenizer),
            scheduler=self,
            run_seed=seed,
            keeps_trace=keep_trace,
            is_parallel=parallel,
        )
        self._code, self._spans = meanings(plan.code, setting)
        self._ready: deque[Task] = deque()
        self._rows: set[RowState] = set()
        self._outcomes: list[Outcome] = []

    @property
    def num_active(self) -> int:
        """Rows that were started and whose outcome has not been returned yet."""
        return len(self._rows) + len(self._outcomes)

    def start(self, row: BoundRow) -> None:
        """Take a row in; it runs from the next `step` on."""
        state = RowState(row)
        regs: list[Any] = [None] * self._plan.num_regs
        for param in self._plan.params:
            regs[param.reg] = row.values.get(param.name, param.default)
        self._rows.add(state)
        self._ready.append(Task(state, regs, 0, (row.index,)))

    def step(self) -> list[Outcome]:
        """Go on as far as one engine step leads; returns the rows that ended. Waits (a little) only
        where externs are all that is left."""
        self._externs.poll()
        self._run_ready()
        if not self._engine.is_idle:
            for result in self._engine.step():
                self._dispatch.deliver(result)
            self._run_ready()
        elif self._externs.num_pending:
            self._externs.poll(0.0 if self._outcomes else EXTERN_WAIT)
            self._run_ready()
        elif self._rows:
            raise RuntimeError(
                "rows are waiting, but nothing that they could wait for is under way"
            )
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def close(self) -> None:
        """Give up all rows; the engine is left without requests or prefixes of this machine, which
        is good for nothing any more."""
        for row in self._rows:
            for task in list(row.tasks):
                self._stop(task)
        self._rows.clear()
        self._outcomes.clear()
        self._ready.clear()
        self._externs.close()
        self._settler.close()
        self._dispatch.close()
        # these refer to this machine: it goes with its last user, and waits for no search for
        # cycles
        del self._code, self._dispatch

    # ------------------------------------------------------------ for instructions

    def resume(self, task: Task, pc: int) -> None:
        task.pc = pc
        self._ready.append(task)

    def fault(self, task: Task, failure: RowFailure, *, is_catchable: bool) -> None:
        if is_catchable and task.guards:
            self._catch(task, task.guards[-1])
        else:
            self._fail(task, failure)

    def leave_guard(self, task: Task) -> None:
        task.row.parked.add(task)
        self._settle_row(task.row)

    def end(self, task: Task) -> None:
        task.end()
        self._settle_row(task.row)

    # ------------------------------------------------------------ tasks

    def _run_ready(self) -> None:
        while True:
            while self._ready:
                task = self._ready.popleft()
                if not task.is_over:
                    self._advance(task)
            if not self._dispatch.flush():
                return

    def _advance(self, task: Task) -> None:
        """Run a task until it waits, ends or fails."""
        code, pc = self._code, task.pc
        try:
            while pc >= 0:
                task.pc = pc
                pc = code[pc](task)
        except HostError as error:
            failure = RowFailure(error.code, error.message, error.span)
            self.fault(task, failure, is_catchable=True)
        except RowFailure as failure:
            self.fault(task, failure, is_catchable=False)

    def _catch(self, task: Task, guard: Guard) -> None:
        """A try block fails at this task's place in program order. What comes later in the block is
        stopped and forgotten; the handler runs when what comes earlier has ended."""
        row, order = task.row, task.next_order
        owner = next(other for other in row.tasks if other.order == guard.order)
        for other in list(row.tasks):
            if other is not owner and guard.covers(other.order) and other.next_order >= order:
                self._stop(other)
        row.undo(guard, order)
        guard.is_failing = True
        # a fresh task goes on, since queues and promises may still hold the old one
        again = Task(row, owner.regs, owner.pc, owner.order, owner.on_end)
        again.guards = owner.guards[: owner.guards.index(guard) + 1]
        again.num_events = order[len(owner.order)]
        self._stop(owner)
        self.leave_guard(again)

    def _settle_row(self, row: RowState) -> None:
        """Let tasks leave the try blocks in which nothing runs any more, and fail where nothing
        before them does; end the row if all did."""
        for task in list(row.parked):
            guard = task.guards[-1]
            if any(guard.covers(other.order) for other in row.tasks if other is not task):
                continue
            row.parked.discard(task)
            task.guards = task.guards[:-1]
            self.resume(task, guard.handler if guard.is_failing else task.pc + 1)
        for task, failure in row.failing.items():
            if not self._may_be_caught_before(task):
                del row.failing[task]
                self._fail(task, failure)  # which settles what is left
                return
        if not row.tasks:
            self._finish(row)

    def _stop(self, task: Task) -> None:
        self._dispatch.forget(task)
        if self._externs.num_pending:
            self._externs.forget(task)
        task.end()

    # ------------------------------------------------------------ the end of a row

    def _fail(self, task: Task, failure: RowFailure) -> None:
        """The row fails here, unless it does so earlier in program order: tasks that have come
        further are stopped at once, others go on to their own end or failure."""
        row, order = task.row, task.next_order
        if self._may_be_caught_before(task):
            self._dispatch.forget(task)
            row.failing[task] = failure
            return
        if row.failure is None or order < row.failure[0]:
            span = failure.span or self._spans[task.pc]
            failed = RowFailed(row.bound.index, failure.code, failure.message, span)
            row.failure = (order, failed)
        for other in list(row.tasks):
            if other.next_order >= order:
                self._stop(other)
        self._settle_row(row)

    def _may_be_caught_before(self, task: Task) -> bool:
        """Whether something runs that is in a try block of the task and stands before it: if that
        fails, the task was never reached."""
        order = task.next_order
        return any(
            guard.covers(other.order) and other.next_order < order
            for guard in task.guards
            for other in task.row.tasks
        )

    def _finish(self, row: RowState) -> None:
        self._rows.discard(row)
        self._settler.end_row(row.bound.index)
        if row.failure is not None:
            self._outcomes.append(replace(row.failure[1], usage=row.usage()))
            return
        try:
            output = self._output(row)
        except Mismatch as mismatch:
            message = f"the program's value: {mismatch}"
            failed = RowFailed(row.bound.index, "type_error", message, usage=row.usage())
            self._outcomes.append(failed)
            return
        trace = self._trace(row) if self._keeps_trace else None
        self._outcomes.append(RowDone(row.bound.index, output, row.usage(), trace))

    def _output(self, row: RowState) -> Value:
        if self._plan.result is None:
            return row.output
        return conform(row.output, self._plan.result)

    def _trace(self, row: RowState) -> Trace:
        names = sorted(row.names, key=lambda found: found[0])
        contexts = sorted(row.contexts, key=lambda found: found[0])
        return Trace(
            tuple((name, value) for _, name, value in names),
            tuple(context.segments() for _, context in contexts),
        )


def _begins_often(plan: Plan) -> bool:
    """Whether a row may come to the same beginning of a context more than once."""
    num_starts = sum(isinstance(i, Start) for i in plan.code)
    return num_starts > 1 or any(isinstance(i, Fork | Run | Next) for i in plan.code)
