"""Statements: the dispatcher over blocks, and the statements that need no file of their own."""

from __future__ import annotations

from sglc.compiler import declaration, syntax
from sglc.compiler.lower import appending, control, order
from sglc.compiler.lower.facts import Owner
from sglc.compiler.lower.fit import fitted
from sglc.compiler.lower.frame import CONTEXT, Frame
from sglc.ir import ops
from sglc.ir.host import expr as host
from sglc.ir.types import JSON


def lower_block(frame: Frame, block: syntax.Block) -> ops.Terminator | None:
    """Lower statements in order, up to one that ends. `defaults` last to the end of the block."""
    outer = frame.defaults
    end = None
    for statement in block:
        end = _lower_statement(frame, statement)
        if end is not None:
            break
    frame.defaults = outer
    return end


def _lower_statement(frame: Frame, node: syntax.Stmt) -> ops.Terminator | None:
    match node:
        case syntax.Text():
            appending.lower_text(frame, node)
        case syntax.Gen():
            appending.lower_gen(frame, node)
        case syntax.Select():
            appending.lower_select(frame, node)
        case syntax.Role():
            return appending.lower_role(frame, node)
        case syntax.Capture():
            return appending.lower_capture(frame, node)
        case syntax.Reasoning():
            return appending.lower_reasoning(frame, node)
        case syntax.AnyOrder():
            return frame.block(order.in_shared_order(frame, node))
        case syntax.If():
            return control.lower_if(frame, node)
        case syntax.For():
            control.lower_for(frame, node)
        case syntax.While():
            control.lower_while(frame, node)
        case syntax.Fork():
            control.lower_fork(frame, node)
        case syntax.Join():
            control.lower_join(frame, node)
        case syntax.Let(name=name, value=value):
            frame.bind(name.text, frame.expr(value, name.text))
        case syntax.Assign(name=name, value=value):
            rebound = frame.expr(value, name.text)
            wanted = frame.variables[name.text]
            if rebound.type != wanted:
                rebound = fitted(frame, rebound, wanted, value.span)
            frame.bind(name.text, rebound)
        case syntax.Evaluate(value=value):
            frame.expr(value)
        case syntax.Require():
            _lower_require(frame, node)
        case syntax.Defaults(options=options):
            given = {option.name.text: frame.expr(option.value) for option in options}
            frame.defaults = {**frame.defaults, **given}
        case syntax.Return():
            return lower_return(frame, node)
        case syntax.Break():
            return ops.Break(_leave_round(frame, node))
        case syntax.Continue():
            return ops.Continue(_leave_round(frame, node))
        case syntax.Pass():
            pass
    return None


def _leave_round(frame: Frame, node: syntax.Break | syntax.Continue) -> tuple[ops.Value, ...]:
    assert frame.loop is not None, "the checker wants a loop around"
    appending.close_role(frame, frame.loop.role, node)
    return tuple(frame.names[name] for name in frame.loop.carried)


def _lower_require(frame: Frame, node: syntax.Require) -> None:
    condition = frame.expr(node.condition)
    failed = frame.child()
    if node.message is not None:
        message = failed.expr(node.message)
    else:
        text = _source_text(frame, node.condition)
        message = failed.constant(f"the row does not meet `{text}`", node.span)
    region = failed.region(ops.Yield((message,)))
    frame.emit(ops.Require(condition, region, node.span))


def _source_text(frame: Frame, node: syntax.Node) -> str:
    """The node as the author wrote it, on one line."""
    span = node.span
    lines = frame.checked.sources[span.file].text.splitlines()[span.line - 1 : span.end_line]
    lines[-1] = lines[-1][: span.end_col - 1]
    lines[0] = lines[0][span.col - 1 :]
    return " ".join(line.strip() for line in lines)


def lower_return(frame: Frame, node: syntax.Return | Owner) -> ops.Leave:
    """Leave the function: a fragment with its context, a program with its context and value."""
    owner = frame.scope.owner
    value = None
    if isinstance(node, syntax.Return) and node.value is not None:
        value = frame.expr(node.value)
        if owner.result is not None:
            value = fitted(frame, value, frame.checked.types[owner.result], node.value.span)
    appending.close_role(frame, frame.scope.role, node)
    if value is None and isinstance(owner, declaration.Program):
        # a program that returns no value yields its names
        yields_names = frame.checked.results[owner] is None
        value = _bound_names(frame) if yields_names else frame.constant(None, node.span)
    if value is None and frame.checked.results[owner] is not None:
        value = frame.constant(None, node.span)
    return ops.Leave((frame.context,) if value is None else (frame.context, value))


def _bound_names(frame: Frame) -> ops.Value:
    """The dict of the names that are surely bound here, parameters excluded."""
    params = {param.name.text for param in frame.scope.owner.params}
    names = [n for n in frame.names if n not in params and not set(n) & set(".@") and n != CONTEXT]
    pairs = tuple((host.Const(name), host.Operand(i)) for i, name in enumerate(names))
    values = [frame.names[name] for name in names]
    return frame.let(host.DictOf(pairs), values, JSON, frame.scope.owner.span)
