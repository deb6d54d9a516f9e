"""Whether a module is well formed: what every pass may rely on, and must keep.

Each invariant is one function that yields a sentence for each place where it is broken; `verify`
raises the first. Knows nothing about what the passes want beyond that.
"""

from __future__ import annotations

from sglc.ir import graph
from sglc.ir.checks import control, module_checks, operands, pieces, roles, values
from sglc.ir.module import Module

FUNCTION_CHECKS = (
    values.defined_once,
    values.visible_where_used,
    operands.contexts_where_contexts,
    operands.paths_of_ints,
    operands.expressions_closed,
    operands.known_metas,
    roles.appends_keep_the_role,
    roles.roles_open_and_close,
    roles.joins_match,
    control.ends_fit,
    control.regions_have_their_arguments,
    pieces.pieces_are_whole,
    control.regions_yield_the_results,
    control.loops_carry_their_values,
    control.fork_fields,
)
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
    for module_check in MODULE_CHECKS:
        for message in module_check(module):
            raise IRError(message)
