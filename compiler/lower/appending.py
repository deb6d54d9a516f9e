"""Statements that take the context and give the next: strings, roles, gen, select, capture."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from sglc.compiler import syntax
from sglc.compiler.checked import Builtin
from sglc.compiler.lower import records
from sglc.compiler.lower.constant import constant_value
from sglc.compiler.lower.frame import Frame
from sglc.ir import ops
from sglc.ir.gen_options import is_constrained, with_defaults
from sglc.ir.host import expr as host
from sglc.ir.types import FLOAT, INT, JSON, STR, ListType, Type

GEN_METAS: dict[str, Type] = {
    "finish_reason": STR,
    "tokens": JSON,
    "logprobs": JSON,
}
SELECT_METAS: dict[str, Type] = {"scores": ListType(FLOAT), "index": INT}
DEFAULT_METHOD = "token_length_normalized"


def metas_of(binder: syntax.Node) -> Collection[str]:
    """What can be read of a name beside its value after `binder` has bound it."""
    match binder:
        case syntax.Gen():
            return GEN_METAS
        case syntax.Select():
            return SELECT_METAS
    return ()


def lower_text(frame: Frame, node: syntax.Text) -> None:
    """Append a template; each `special()` in it is a control token that splits the text."""
    parts: list[str | syntax.Interpolation] = []
    for part in node.value.parts:
        token = _special(frame, part)
        if token is None:
            parts.append(part)
            continue
        _append(frame, node, tuple(parts))
        parts.clear()
        result = frame.new_context(frame.role)
        frame.emit(ops.Control(result, frame.context, token, node.span))
        frame.context = result
    _append(frame, node, tuple(parts))


def _special(frame: Frame, part: str | syntax.Interpolation) -> str | None:
    """The control token that `{special("<|name|>")}` names."""
    if isinstance(part, str) or not isinstance(part.value, syntax.Call):
        return None
    if frame.checked.callees[part.value] != Builtin("special"):
        return None
    token = constant_value(part.value.args[0], frame.checked)
    assert isinstance(token, str), "the checker wants the name of a token"
    return token


def _append(frame: Frame, node: syntax.Text, parts: tuple[str | syntax.Interpolation, ...]) -> None:
    if not any(parts):
        return
    text = frame.expr(replace(node.value, parts=parts))
    if text.type != STR:
        text = frame.let(host.Format(((host.Operand(0), None),)), (text,), STR, node.span)
    result = frame.new_context(frame.role)
    frame.emit(ops.Append(result, frame.context, text, node.span))
    frame.context = result


def lower_role(frame: Frame, node: syntax.Role) -> ops.Terminator | None:
    """The template's text around a block. Leaving the block early closes the role too."""
    opened = frame.new_context(node.role.text)
    frame.emit(ops.Open(opened, frame.context, node.role.text, node.role.span))
    outer, frame.context = frame.role, opened
    end = frame.block(node.body)
    if end is None:
        close_role(frame, outer, node)
    return end


def close_role(frame: Frame, outer: str | None, node: syntax.Node) -> None:
    """Close the role that stands open, unless it stood open around what is being left."""
    if frame.role == outer:
        return
    closed = frame.new_context(outer)
    frame.emit(ops.Close(closed, frame.context, node.span))
    frame.context = closed


def lower_gen(frame: Frame, node: syntax.Gen) -> None:
    own = {keyword.name.text: frame.expr(keyword.value) for keyword in node.options}
    type: Type = JSON if "json_schema" in own else STR
    if node.type is not None:
        type = frame.checked.types[node.type]
    options = with_defaults(own, frame.defaults, is_constrained=is_constrained(type, own))
    name = "" if node.name is None else node.name.text
    result = frame.new_context(frame.role)
    value = frame.value(ListType(type) if "n" in options else type, name)
    metas = _metas(frame, name, GEN_METAS)
    thinking = frame.value(STR, frame.thinking) if frame.thinking is not None else None
    gen = ops.Gen(
        result,
        value,
        metas if thinking is None else (*metas, ("reasoning", thinking)),
        frame.context,
        type,
        tuple(sorted(options.items())),
        frame.path(node),
        thinking is not None,
        name,
        node.span,
    )
    if records.can_cut(frame, gen):
        records.lower_in_pieces(frame, gen)
    else:
        frame.emit(gen)
    frame.context = result
    if thinking is not None:
        frame.bind(thinking.name, thinking)
    _bind(frame, name, value, metas)


def lower_select(frame: Frame, node: syntax.Select) -> None:
    choices = frame.expr(node.choices)
    given = {keyword.name.text: keyword.value for keyword in node.options}
    method = DEFAULT_METHOD
    if "method" in given:
        method = str(constant_value(given["method"], frame.checked))
    temperature = frame.expr(given["temperature"]) if "temperature" in given else None
    name = "" if node.name is None else node.name.text
    result = frame.new_context(frame.role)
    value = frame.value(frame.variables.get(name, STR), name)
    metas = _metas(frame, name, SELECT_METAS)
    frame.emit(
        ops.Select(
            result,
            value,
            metas,
            frame.context,
            choices,
            method,
            temperature,
            frame.path(node),
            name,
            node.span,
        )
    )
    frame.context = result
    _bind(frame, name, value, metas)


def _metas(frame: Frame, name: str, known: dict[str, Type]) -> tuple[tuple[str, ops.Value], ...]:
    """A value for each meta of `name` that is read somewhere in the function."""
    wanted = [meta for meta in known if f"{name}.{meta}" in frame.scope.metas]
    return tuple(
        (meta, frame.value(frame.variables.get(f"{name}.{meta}", known[meta]), f"{name}.{meta}"))
        for meta in wanted
    )


def _bind(
    frame: Frame, name: str, value: ops.Value, metas: tuple[tuple[str, ops.Value], ...]
) -> None:
    if name:
        frame.bind(name, value)
        frame.names.update({f"{name}.{meta}": result for meta, result in metas})


def lower_capture(frame: Frame, node: syntax.Capture) -> ops.Terminator | None:
    """Bind the text that the block appends."""
    before = frame.context
    end = frame.block(node.body)
    if end is None:
        text = frame.value(STR, node.name.text)
        frame.emit(ops.Capture(text, before, frame.context, node.span))
        frame.bind(node.name.text, text)
    return end


def lower_reasoning(frame: Frame, node: syntax.Reasoning) -> ops.Terminator | None:
    """The gen inside splits the model's thinking off and binds it to the block's name."""
    outer, frame.thinking = frame.thinking, node.name.text
    end = frame.block(node.body)
    frame.thinking = outer
    return end
