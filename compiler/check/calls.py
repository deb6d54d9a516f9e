"""Calls: who is called, and the arguments of fragments and externs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sglc.compiler import declaration, syntax
from sglc.compiler.check.arguments import bound_arguments, called_name
from sglc.compiler.check.attributes import report_missing_import
from sglc.compiler.check.builtin_calls import builtin_call
from sglc.compiler.check.builtins import FUNCTION_NAMES
from sglc.compiler.check.declarations import kind_of
from sglc.compiler.check.fitting import require_fit
from sglc.compiler.check.modules import Declared
from sglc.compiler.diagnostics import nearest
from sglc.ir.host.functions import SIGNATURES
from sglc.ir.types import NULL, UNKNOWN, Type

if TYPE_CHECKING:
    from sglc.compiler.check.expressions import Expressions


def call_type(expressions: Expressions, call: syntax.Call) -> Type:
    """The type of a call's value; null for what returns none."""
    found = _callee(expressions, call)
    if isinstance(found, str):
        return builtin_call(expressions, call, found)
    if found is None:
        expressions.infer_arguments(call)
        return UNKNOWN
    match found.decl:
        case declaration.Fragment() as fragment:
            if expressions.appending is not call:
                _report_misplaced(expressions, call, fragment)
            return _declared_call(expressions, call, fragment)
        case declaration.Extern() as extern:
            return _declared_call(expressions, call, extern)
    what = kind_of(found.decl)
    message = f"`{called_name(call)}` is {what} and cannot be called"
    help = "only fragments (`def`), externs and built-ins are called"
    expressions.report.error("E0307", message, call.function, what, help=help)
    expressions.infer_arguments(call)
    return UNKNOWN


def run_type(expressions: Expressions, node: syntax.Run) -> Type:
    """`run f(...)`: a fragment in a context of its own."""
    call = node.call
    found = _callee(expressions, call)
    if isinstance(found, Declared) and isinstance(found.decl, declaration.Fragment):
        result = _declared_call(expressions, call, found.decl)
        expressions.tables.types[call] = result
        return result
    if found is not None:
        what = "a built-in" if isinstance(found, str) else kind_of(found.decl)
        message = f"`run` takes a fragment; `{called_name(call)}` is {what}"
        help = f"write `{called_name(call)}(...)` without `run`"
        expressions.report.error("E0307", message, call.function, what, help=help)
    expressions.infer_arguments(call)
    expressions.tables.types[call] = UNKNOWN
    return UNKNOWN


def _callee(expressions: Expressions, call: syntax.Call) -> Declared | str | None:
    """The declaration called, or the name of a built-in, or None with the error reported."""
    function, module = call.function, expressions.scope.module
    if not isinstance(function, syntax.Name | syntax.Attribute):
        message = "this value cannot be called"
        expressions.report.error("E0307", message, function, "not a function")
        return None
    name = called_name(call)
    if isinstance(function, syntax.Attribute):
        owner = function.value
        if not isinstance(owner, syntax.Name) or owner.text not in module.aliases:
            _report_method(expressions, call, function)
            return None
    found = module.find(name)
    if found is not None:
        expressions.tables.used.update(n for n in (found.decl, found.via) if n is not None)
        return found
    if name in FUNCTION_NAMES:
        return name
    if isinstance(function, syntax.Attribute):
        alias = module.aliases[name.partition(".")[0]]
        expressions.tables.used.add(alias)
        if alias in module.imports:
            report_missing_import(expressions, function, module.imports[alias].exported())
    elif not module.is_partial:
        callables = [n for n, d in module.names.items() if kind_of(d.decl) != "a const"]
        near = nearest(name, [*callables, *FUNCTION_NAMES])
        is_value = name in expressions.scope.variables
        message = (
            f"`{name}` is a value, not a function" if is_value else f"there is no function `{name}`"
        )
        expressions.report.error(
            "E0203",
            message,
            function,
            "cannot be called" if is_value else "not found",
            help=f"did you mean `{near}`?" if near else None,
        )
    return None


def _report_method(expressions: Expressions, call: syntax.Call, function: syntax.Attribute) -> None:
    """`x.strip()`: values have no methods, but most of Python's are built-ins."""
    name = function.name.text
    expressions.infer(function.value)
    help = None
    if name in SIGNATURES:
        help = f"it is a built-in function: `{name}(x{', ...' if call.args else ''})`"
    elif name == "append":
        help = "lists are values: `xs = xs + [x]`"
    elif name == "format":
        help = 'every string is a template: `"{x:.2f}"`'
    expressions.report.error(
        "E0307", "values have no methods", function.name, "a method", help=help
    )


def _report_misplaced(
    expressions: Expressions, call: syntax.Call, fragment: declaration.Fragment
) -> None:
    name = fragment.name.text
    expressions.report.error(
        "E0405",
        f"the fragment `{name}` appends to the context, so its call is a statement",
        call,
        "called inside an expression",
        help=f"call it before: `let v = {name}(...)`, or in its own context: `run {name}(...)`",
    )


def _declared_call(
    expressions: Expressions, call: syntax.Call, callee: declaration.Fragment | declaration.Extern
) -> Type:
    expressions.tables.callees[call] = callee
    if expressions.scope.is_const:
        what = f"{kind_of(callee)} runs only with a row, so a constant cannot call it"
        help = "use literals, consts and built-in functions"
        expressions.report.error("E0505", what, call, "not constant", help=help)
        return UNKNOWN
    result = expressions.functions.result(callee, call)
    expressions.infer_arguments(call)
    wanted = expressions.functions.parameters(callee)
    params = {param.name.text: param for param in callee.params}
    required = [name for name, param in params.items() if param.default is None]
    for name, arg in bound_arguments(expressions.report, call, list(params), required, callee.name):
        what = f"the parameter `{name}`"
        declared = ((params[name], "declared here"),)
        require_fit(expressions, arg, wanted[name], what, declared, may_be_json=True)
    return NULL if result is None else result
