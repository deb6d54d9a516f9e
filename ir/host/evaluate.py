"""The evaluator of host expressions: an expression becomes closures, made once, called often.

Law: `compile_expr(e)(operands, env)` is pure and ends in a value or in a `HostError`, whatever the
operands are. Operands must be host values (JSON-like); the result is one.
Knows nothing about contexts, or about when it is called (folding, binding or running).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from sglc.ir.host import expr as e
from sglc.ir.host import operators
from sglc.ir.host.env import NO_ENV, HostEnv
from sglc.ir.host.error import MAX_STEPS, HostError, check_items, check_text, kind, too_large
from sglc.ir.host.expr import Expr, Value
from sglc.ir.host.functions import FUNCTIONS
from sglc.ir.host.operators import items_of
from sglc.ir.host.text import format_text, to_text
from sglc.ir.span import Span
from sglc.ir.values import Mismatch, conform

__all__ = ["HostEnv", "HostError", "compile_expr", "evaluate"]

Compiled = Callable[[Sequence[Value], HostEnv], Value]


class _Frame:
    """One evaluation: its inputs, the names that comprehensions bound, and their rounds so far."""

    __slots__ = ("env", "locals", "operands", "steps")

    def __init__(self, operands: Sequence[Value], env: HostEnv) -> None:
        self.operands = operands
        self.env = env
        self.locals: dict[str, Value] = {}
        self.steps = 0


_Code = Callable[[_Frame], Value]


def evaluate(expr: Expr, operands: Sequence[Value] = (), env: HostEnv = NO_ENV) -> Value:
    """The value of an expression; for one that is evaluated often, keep `compile_expr`'s result."""
    return compile_expr(expr)(operands, env)


def compile_expr(expr: Expr) -> Compiled:
    """A function from operands and surroundings to the expression's value. Raises HostError when
    called, never when made."""
    try:
        code = _compile(expr)
    except RecursionError:
        code = _fails(too_large("an expression nested too deeply"))

    def run(operands: Sequence[Value], env: HostEnv = NO_ENV) -> Value:
        try:
            return code(_Frame(operands, env))
        except RecursionError:
            raise too_large("a computation nested too deeply") from None
        except MemoryError:
            raise too_large("a value too large for the memory") from None

    return run


def _fails(error: HostError) -> _Code:
    def code(frame: _Frame) -> Value:
        raise HostError(error.code, error.message, error.span)

    return code


def _compile(expr: Expr) -> _Code:
    return _COMPILERS[type(expr)](expr)


def _guarded(code: _Code, span: Span | None) -> _Code:
    """`code`, with Python's own errors in our words and `span` on those that have none yet."""

    def guarded(frame: _Frame) -> Value:
        try:
            return code(frame)
        except HostError as error:
            if error.span is None:
                error.span = span
            raise
        except ZeroDivisionError:
            raise HostError("zero_division", "division by zero", span) from None
        except OverflowError:
            raise HostError("too_large", "a number beyond what a float can hold", span) from None

    return guarded


# ---------------------------------------------------------------- leaves


def _operand(expr: e.Operand) -> _Code:
    i = expr.index
    return lambda frame: frame.operands[i]


def _local(expr: e.Local) -> _Code:
    name = expr.name
    return lambda frame: frame.locals[name]


def _const(expr: e.Const) -> _Code:
    value = expr.value
    return lambda frame: value


def _json_const(expr: e.JsonConst) -> _Code:
    value = json.loads(expr.text)
    return lambda frame: value


# ---------------------------------------------------------------- operators


def _unary(expr: e.Unary) -> _Code:
    apply, value = operators.UNARY[expr.op], _compile(expr.value)
    return _guarded(lambda frame: apply(value(frame)), expr.span)


def _binary(expr: e.Binary) -> _Code:
    apply, left, right = operators.BINARY[expr.op], _compile(expr.left), _compile(expr.right)
    return _guarded(lambda frame: apply(left(frame), right(frame)), expr.span)


def _compare(expr: e.Compare) -> _Code:
    apply, left, right = operators.compare(expr.op), _compile(expr.left), _compile(expr.right)
    return _guarded(lambda frame: apply(left(frame), right(frame)), expr.span)


def _logic(expr: e.Logic) -> _Code:
    *early, last = (_compile(value) for value in expr.values)
    stops_at = expr.op == "or"

    def code(frame: _Frame) -> Value:
        for test in early:
            value = test(frame)
            if bool(value) is stops_at:
                return value
        return last(frame)

    return code


def _cond(expr: e.Cond) -> _Code:
    test, then, otherwise = _compile(expr.test), _compile(expr.then), _compile(expr.otherwise)
    return lambda frame: then(frame) if test(frame) else otherwise(frame)


def _index(expr: e.Index) -> _Code:
    value, index = _compile(expr.value), _compile(expr.index)
    return _guarded(lambda frame: operators.index(value(frame), index(frame)), expr.span)


def _slice(expr: e.Slice) -> _Code:
    value = _compile(expr.value)
    lower, upper, step = (
        _compile(end or e.Const(None)) for end in (expr.lower, expr.upper, expr.step)
    )
    return _guarded(
        lambda frame: operators.slice_of(value(frame), lower(frame), upper(frame), step(frame)),
        expr.span,
    )


def _field(expr: e.Field) -> _Code:
    value, name = _compile(expr.value), expr.name
    return _guarded(lambda frame: operators.field(value(frame), name), expr.span)


# ---------------------------------------------------------------- makers of values


def _list_of(expr: e.ListOf) -> _Code:
    items = [_compile(item) for item in expr.items]
    return lambda frame: [item(frame) for item in items]


def _dict_of(expr: e.DictOf) -> _Code:
    pairs = [(_compile(key), _compile(value)) for key, value in expr.items]

    def code(frame: _Frame) -> Value:
        return {_key(key(frame)): value(frame) for key, value in pairs}

    return _guarded(code, expr.span)


def _key(value: Value) -> str:
    if not isinstance(value, str):
        raise HostError("type_error", f"the keys of a dict are str, not {kind(value)}")
    return value


def _comprehension(expr: e.Comprehension) -> _Code:
    element = _compile(expr.element)
    loop = _loop(expr.clauses)
    if expr.key is None:

        def make_list(frame: _Frame) -> Value:
            items: list[Value] = []

            def add() -> None:
                items.append(element(frame))
                check_items(len(items))

            loop(frame, add)
            return items

        return _scoped(make_list, expr)
    key = _compile(expr.key)

    def make_dict(frame: _Frame) -> Value:
        entries: dict[str, Value] = {}

        def add() -> None:
            name = _key(key(frame))
            entries[name] = element(frame)
            check_items(len(entries))

        loop(frame, add)
        return entries

    return _scoped(make_dict, expr)


def _scoped(code: _Code, expr: e.Comprehension) -> _Code:
    """`code` with the outer locals back in place afterwards, whatever it rebinds."""

    def scoped(frame: _Frame) -> Value:
        outer = frame.locals
        frame.locals = dict(outer)
        try:
            return code(frame)
        finally:
            frame.locals = outer

    return _guarded(scoped, expr.clauses[0].span)


def _loop(clauses: tuple[e.Clause, ...]) -> Callable[[_Frame, Callable[[], None]], None]:
    """The nested loops of a comprehension, calling back once for each element."""
    first, rest = clauses[0], clauses[1:]
    items = _compile(first.items)
    tests = [_compile(test) for test in first.tests]
    inner = _loop(rest) if rest else None
    targets = first.targets

    def loop(frame: _Frame, add: Callable[[], None]) -> None:
        for item in items_of(items(frame)):
            frame.steps += 1
            if frame.steps > MAX_STEPS:
                raise too_large(f"a comprehension of over {MAX_STEPS} rounds")
            bind_targets(frame.locals, targets, item)
            if all(test(frame) for test in tests):
                if inner is None:
                    add()
                else:
                    inner(frame, add)

    return loop


def bind_targets(names: dict[str, Value], targets: tuple[str, ...], item: Value) -> None:
    """`targets = item`: one target takes it whole, several unpack a list of as many."""
    if len(targets) == 1:
        names[targets[0]] = item
        return
    parts = items_of(item)
    if len(parts) != len(targets):
        raise HostError("value_error", f"{len(parts)} values for {len(targets)} names")
    names.update(zip(targets, parts, strict=True))


# ---------------------------------------------------------------- calls and texts


def _call(expr: e.Call) -> _Code:
    function = FUNCTIONS[expr.function]
    args = [_compile(arg) for arg in expr.args]
    kwargs = [(name, _compile(arg)) for name, arg in expr.kwargs]

    def code(frame: _Frame) -> Value:
        return function(
            frame.env,
            *[arg(frame) for arg in args],
            **{name: arg(frame) for name, arg in kwargs},
        )

    return _guarded(code, expr.span)


def _format(expr: e.Format) -> _Code:
    parts = [_format_part(part, spec) for part, spec in expr.parts]

    def code(frame: _Frame) -> Value:
        texts = [part(frame) for part in parts]
        check_text(sum(map(len, texts)))
        return "".join(texts)

    return _guarded(code, expr.span)


def _format_part(part: Expr, spec: str | None) -> Callable[[_Frame], str]:
    value = _compile(part)
    if not spec:
        return lambda frame: to_text(value(frame))
    return lambda frame: format_text(value(frame), spec)


def _try(expr: e.Try) -> _Code:
    value, default = _compile(expr.value), _compile(expr.default)

    def code(frame: _Frame) -> Value:
        try:
            return value(frame)
        except HostError:
            return default(frame)

    return code


def _conform(expr: e.Conform) -> _Code:
    value, type, span = _compile(expr.value), expr.type, expr.span

    def code(frame: _Frame) -> Value:
        try:
            return conform(value(frame), type)
        except Mismatch as mismatch:
            raise HostError("type_error", str(mismatch), span) from None

    return code


_COMPILERS: dict[type, Callable[..., _Code]] = {
    e.Operand: _operand,
    e.Local: _local,
    e.Const: _const,
    e.JsonConst: _json_const,
    e.Unary: _unary,
    e.Binary: _binary,
    e.Compare: _compare,
    e.Logic: _logic,
    e.Cond: _cond,
    e.Index: _index,
    e.Slice: _slice,
    e.Field: _field,
    e.ListOf: _list_of,
    e.DictOf: _dict_of,
    e.Comprehension: _comprehension,
    e.Call: _call,
    e.Format: _format,
    e.Try: _try,
    e.Conform: _conform,
}
