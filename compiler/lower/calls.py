"""Calls of fragments and externs, and `run`.

A fragment's call takes the current context and gives the next; a `run` starts an empty one in a
task of its own.
"""

from __future__ import annotations

from sglc.compiler import declaration, syntax
from sglc.compiler.lower.fit import fitted
from sglc.compiler.lower.frame import Frame
from sglc.compiler.lower.records import keeps_whole
from sglc.ir import ops
from sglc.ir.types import NULL, Type
from sglc.ir.value_type import ContextType


def lower_call(frame: Frame, call: syntax.Call, name: str) -> ops.Value:
    """The value of calling a fragment or extern here; null for one that returns none."""
    callee = frame.checked.callees[call]
    if isinstance(callee, declaration.Fragment):
        args = _arguments(frame, call, callee.params)
        return _call_fragment(frame, call, callee, frame.context, args, name)
    assert isinstance(callee, declaration.Extern)
    args = _arguments(frame, call, callee.params)
    result = frame.value(frame.checked.results[callee] or NULL, name)
    extern = frame.checked.externs[callee]
    frame.emit(ops.Extern(result, extern, args, frame.path(call), call.span))
    return result


def lower_run(frame: Frame, node: syntax.Run, name: str) -> ops.Value:
    """The promised value of a fragment that runs in a task and a context of its own."""
    args = _run_arguments(frame, node)
    body = frame.child()
    value = _start(body, node, args)
    result = frame.value(value.type, name)
    frame.emit(ops.Run(result, body.region(ops.Yield((value,))), node.span))
    return result


def run_here(frame: Frame, node: syntax.Run) -> ops.Value:
    """The value of a fragment that runs in a context of its own, in the task that stands here."""
    return _start(frame, node, _run_arguments(frame, node))


def _run_arguments(frame: Frame, node: syntax.Run) -> tuple[ops.Value, ...]:
    callee = frame.checked.callees[node.call]
    assert isinstance(callee, declaration.Fragment)
    return _arguments(frame, node.call, callee.params)


def _start(frame: Frame, node: syntax.Run, args: tuple[ops.Value, ...]) -> ops.Value:
    """Call the fragment on an empty context; the current one stays as it is."""
    callee = frame.checked.callees[node.call]
    assert isinstance(callee, declaration.Fragment)
    outer, start = frame.context, frame.new_context(None)
    frame.emit(ops.Start(start, node.span))
    value = _call_fragment(frame, node.call, callee, start, args)
    frame.context = outer
    return value


def _call_fragment(
    frame: Frame,
    call: syntax.Call,
    fragment: declaration.Fragment,
    source: ops.Value,
    args: tuple[ops.Value, ...],
    name: str = "",
) -> ops.Value:
    """Emit the call on `source`, which makes its result the current context."""
    assert isinstance(source.type, ContextType)
    role = source.type.role
    returned: Type | None = frame.checked.results[fragment]
    context = frame.new_context(role)
    value = None if returned is None else frame.value(returned, name)
    frame.emit(
        ops.Call(
            context,
            value,
            frame.scope.unit.fragment(fragment, role, keeps_whole(frame, frame.defaults)),
            source,
            args,
            tuple(frame.defaults.items()),
            frame.path(call),
            call.span,
        )
    )
    frame.context = context
    return frame.constant(None, call.span) if value is None else value


def _arguments(
    frame: Frame, call: syntax.Call, params: tuple[declaration.Param, ...]
) -> tuple[ops.Value, ...]:
    """The arguments in the order of the parameters, evaluated in the order written."""
    by_name = {param.name.text: param for param in params}
    given: dict[str, ops.Value] = {}

    def give(name: str, arg: syntax.Expr) -> None:
        wanted = frame.checked.types[by_name[name].type]
        given[name] = fitted(frame, frame.expr(arg), wanted, arg.span)

    for param, arg in zip(params, call.args, strict=False):
        give(param.name.text, arg)
    for keyword in call.keywords:
        give(keyword.name.text, keyword.value)
    for param in params:
        if param.name.text not in given:
            assert param.default is not None, "the checker wants every argument"
            give(param.name.text, param.default)
    return tuple(given[param.name.text] for param in params)
