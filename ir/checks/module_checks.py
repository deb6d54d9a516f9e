"""What functions, calls, externs and parameters owe each other."""

from __future__ import annotations

from collections.abc import Iterator

from sglc.ir import graph, ops
from sglc.ir.checks.operands import is_host
from sglc.ir.checks.shown import shown
from sglc.ir.module import Module
from sglc.ir.ops import Region
from sglc.ir.value_type import ContextType


def one_program(module: Module) -> Iterator[str]:
    names = [function.name for function in module.functions]
    if not module.program.is_program or any(f.is_program for f in module.functions):
        yield "the program alone is a program"
    if len(set(names)) != len(names):
        yield "two functions have one name"


def params_are_arguments(module: Module) -> Iterator[str]:
    program = module.program
    if tuple(param.value for param in program.params) != program.body.args:
        yield "the parameters of the program are not its arguments"
    if not all(map(is_host, program.body.args)):
        yield "the program takes a context"
    for function in module.functions:
        if function.params:
            yield f"{function.name} is no program and has parameters"
        first, *rest = function.body.args or (None,)
        if first is None or not isinstance(first.type, ContextType) or not all(map(is_host, rest)):
            yield f"{function.name} does not take one context and host values"


def calls_match(module: Module) -> Iterator[str]:
    functions = {function.name: function for function in module.functions}
    for function in graph.all_functions(module):
        for op in graph.walk(function.body):
            if not isinstance(op, ops.Call):
                continue
            callee = functions.get(op.function)
            if callee is None:
                yield f"in {function.name}: no such function in {shown(op)}"
            elif len(op.args) + 1 != len(callee.body.args):
                yield f"in {function.name}: the wrong number of arguments in {shown(op)}"
            elif op.source.type != callee.body.args[0].type:
                yield f"in {function.name}: the callee takes another role than {shown(op)}"
            elif (op.value is None) != (len(callee.body.end.values) == 1):
                yield f"in {function.name}: the callee's result does not fit {shown(op)}"


def no_recursion(module: Module) -> Iterator[str]:
    calls = {
        function.name: {op.function for op in graph.walk(function.body) if isinstance(op, ops.Call)}
        for function in module.functions
    }
    left = dict(calls)
    while left:
        free = [name for name, callees in left.items() if not callees & left.keys()]
        if not free:
            yield f"{min(left)} calls itself"
            return
        for name in free:
            del left[name]


def externs_declared(module: Module) -> Iterator[str]:
    declared = {extern.name: extern for extern in module.externs}
    if len(declared) != len(module.externs):
        yield "two externs have one name"
    for function in graph.all_functions(module):
        for op in graph.walk(function.body):
            if isinstance(op, ops.Extern):
                if op.name not in declared:
                    yield f"in {function.name}: undeclared extern in {shown(op)}"
                elif len(op.args) != len(declared[op.name].params):
                    yield f"in {function.name}: the wrong number of arguments in {shown(op)}"


def leaves_match(module: Module) -> Iterator[str]:
    """Each `leave` of a function hands over a context, then its value if it has one."""
    for function in graph.all_functions(module):
        for region in _left_regions(function.body):
            if not isinstance(region.end, ops.Leave):
                continue
            values = region.end.values
            num_values = len(function.body.end.values)
            is_fit = len(values) == num_values and len(values) in (1, 2)
            if (
                not is_fit
                or not isinstance(values[0].type, ContextType)
                or (len(values) == 2 and not is_host(values[1]))
            ):
                yield f"in {function.name}: a `leave` without a context and a value"
            elif not function.is_program and values[0].type != function.body.args[0].type:
                yield f"in {function.name}: a `leave` in another role than it began"
        if function.is_program and len(function.body.end.values) != 2:
            yield f"{function.name}: a program leaves with a context and a value"


def _left_regions(region: Region) -> Iterator[Region]:
    """The region and those inside it whose `Leave` ends the function."""
    yield region
    for op in region.ops:
        if isinstance(op, ops.If | ops.For | ops.While):
            for inner in graph.regions(op):
                yield from _left_regions(inner)
