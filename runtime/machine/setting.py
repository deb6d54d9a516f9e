"""What all instructions of one machine share: the model's texts, the engine's side, the seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sglc.codegen.instruction import Path, PathReg
from sglc.codegen.plan import Markup
from sglc.ir.host.env import HostEnv
from sglc.ir.host.expr import Value
from sglc.runtime.constraints import Constraints
from sglc.runtime.machine.context import Context
from sglc.runtime.machine.dispatch import Dispatch
from sglc.runtime.machine.externs import ExternCalls
from sglc.runtime.machine.pure_calls import PureCalls
from sglc.runtime.machine.settle import Settler
from sglc.runtime.machine.stretch import StretchEncoder
from sglc.runtime.machine.task import Order, Task
from sglc.runtime.model.spec import Tokenizer
from sglc.runtime.row import RowFailure


class Scheduler(Protocol):
    """The part of the machine that instructions may call."""

    def resume(self, task: Task, pc: int) -> None:
        """The task is ready, and goes on at `pc`."""
        ...

    def fault(self, task: Task, failure: RowFailure, *, is_catchable: bool) -> None:
        """The task's current instruction failed: its try block's handler, or the row's end."""
        ...

    def leave_guard(self, task: Task) -> None:
        """The task's innermost try block is behind it, once all tasks started in it have ended."""
        ...

    def end(self, task: Task) -> None:
        """The task has nothing more to do."""
        ...


@dataclass(frozen=True, slots=True)
class Setting:
    markup: Markup
    tokenizer: Tokenizer
    thinking: tuple[str, str]
    env: HostEnv
    encoder: StretchEncoder
    settler: Settler
    dispatch: Dispatch
    externs: ExternCalls
    pure_calls: PureCalls
    constraints: Constraints
    scheduler: Scheduler
    run_seed: int
    keeps_trace: bool
    is_parallel: bool  # what does not depend on each other runs together

    def trace(self, task: Task, order: Order, name: str, value: Value, context: Context) -> None:
        """A gen or select bound `value`, and its text ended up in `context`."""
        if not self.keeps_trace:
            return
        task.last_context = context
        if name:
            task.row.names.append((order, name, value))


def path_of(path: Path, regs: Sequence[Any]) -> list[int]:
    """The numbers of a dynamic path."""
    return [regs[item.reg] if isinstance(item, PathReg) else item for item in path]
