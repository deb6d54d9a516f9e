"""How many ops a module has once its calls are inlined, found without inlining them.

A fragment that calls another twice doubles it, so a few levels of calls can make a program that no
memory holds: whoever inlines asks here first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from sglc.ir import graph, ops
from sglc.ir.module import Function, Module


@dataclass(frozen=True, slots=True)
class InlinedSize:
    """`largest` is the program's call that brings the most ops, None when it has no calls."""

    num_ops: int
    largest: ops.Call | None


def inlined_size(module: Module) -> InlinedSize:
    """The size of the program, counting each op of a fragment once for each way to it."""
    callees = {function.name: function for function in module.functions}

    @cache
    def size(name: str) -> int:
        own, calls = _ops_and_calls(callees[name])
        return own + sum(size(call.function) for call in calls)

    own, calls = _ops_and_calls(module.program)
    largest = max(calls, key=lambda call: size(call.function), default=None)
    return InlinedSize(own + sum(size(call.function) for call in calls), largest)


def _ops_and_calls(function: Function) -> tuple[int, list[ops.Call]]:
    """The number of ops but calls, and the calls."""
    all_ops = list(graph.walk(function.body))
    calls = [op for op in all_ops if isinstance(op, ops.Call)]
    return len(all_ops) - len(calls), calls
