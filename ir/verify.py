"""Whether a module is well formed: what every pass may rely on, and must keep.

Each invariant is one function that yields a sentence for each place where it is broken; `verify`
raises the first. Knows nothing about what the passes want beyond that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sglc.ir import graph, ops
from sglc.ir.checks import control, module_checks, operands, pieces, roles, values
from sglc.ir.module import Module
from sglc.ir.ops import Op

FUNCTION_CHECKS = (
    values.defined_once,
    values.visible_where_used,
    operands.defaults_closed,
    control.ends_fit,
)
# those of one op, with the classes of ops that they look at
OP_CHECKS: tuple[tuple[Callable[[Op], Iterator[str]], tuple[type[Op], ...]], ...] = (
    (operands.contexts_where_contexts, tuple(graph.SHAPES)),
    (operands.paths_of_ints, (ops.Gen, ops.Select, ops.Extern, ops.Call)),
    (operands.expressions_closed, (ops.Let,)),
    (operands.known_metas, (ops.Gen, ops.Select)),
    (
        roles.appends_keep_the_role,
        (ops.Append, ops.Control, ops.Gen, ops.Select, ops.Join, ops.Call),
    ),
    (roles.roles_open_and_close, (ops.Start, ops.Open, ops.Close)),
    (roles.joins_match, (ops.Join, ops.Fork)),
    (
        control.regions_have_their_arguments,
        tuple(op for op in graph.SHAPES if graph.SHAPES[op].regions),
    ),
    (pieces.pieces_are_whole, (ops.Gen,)),
    (control.regions_yield_the_results, (ops.If, ops.Try, ops.Run)),
    (control.loops_carry_their_values, (ops.For, ops.While, ops.Require)),
    (control.fork_fields, (ops.Fork,)),
)
_CHECKS_OF = {kind: [check for check, kinds in OP_CHECKS if kind in kinds] for kind in graph.SHAPES}
MODULE_CHECKS = (
    module_checks.one_program,
    module_checks.params_are_arguments,
    module_checks.calls_match,
    module_checks.no_recursion,
    module_checks.externs_declared,
    module_checks.leaves_match,
)


class IRError(Exception):
    """A module that is not well formed: a bug of the stage that made it."""


def verify(module: Module) -> None:
    """Raise IRError with the first broken invariant, its function and its op."""
    for function in graph.all_functions(module):
        for function_check in FUNCTION_CHECKS:
            for message in function_check(function):
                raise IRError(f"in {function.name}: {message}")
        for op in graph.walk(function.body):
            for op_check in _CHECKS_OF[type(op)]:
                for message in op_check(op):
                    raise IRError(f"in {function.name}: {message}")
    for module_check in MODULE_CHECKS:
        for message in module_check(module):
            raise IRError(message)
