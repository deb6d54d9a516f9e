"""The slow meaning of the IR: one row, one op after another, a toy model for the real one.

A pass is right when what `interpret` yields for a module does not change. Forks and runs go one
branch after another; nothing is shared, planned or cached.
Knows nothing about tokens of real models, chat templates or time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sglc.ir import ops
from sglc.ir.gen_options import is_gen_constrained, with_defaults
from sglc.ir.host.env import HostEnv
from sglc.ir.host.error import HostError
from sglc.ir.host.evaluate import compile_expr
from sglc.ir.host.expr import Value
from sglc.ir.host.operators import items_of
from sglc.ir.host.text import to_text
from sglc.ir.module import Module
from sglc.ir.ops import Op, Region, Terminator
from sglc.ir.records import piece_text
from sglc.ir.toy import ToyContext, ToyModel, ToySample, ToyTokenizer
from sglc.ir.value_type import ContextType

ENV = HostEnv(ToyTokenizer())
Path = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the row failed: a HostError's code, "require" or "extern", and its message."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class InterpretResult:
    """`value` and `context` (its text) are what the program left with, None when it failed.
    `transcript` are (path, text) of each gen and select in the order run; `extern_calls` (name,
    arguments) likewise."""

    value: Value
    context: str | None
    transcript: tuple[tuple[Path, str], ...]
    extern_calls: tuple[tuple[str, tuple[Value, ...]], ...]
    failure: Failure | None


class _RowFailed(Exception):
    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class _ExternFailed(Exception):
    """An extern raised; `try` catches it."""


def interpret(
    module: Module,
    row: Mapping[str, Value],
    model: ToyModel,
    externs: Mapping[str, Callable[..., Value]] | None = None,
) -> InterpretResult:
    """Run the program on a row that holds a value for each parameter without a default."""
    run = _Run(module, model, externs or {})
    values: dict[str, Any] = {}
    for param in module.program.params:
        name = param.value.name or str(param.value.id)
        if name in row or param.default is None:
            values[name] = row[name]
        else:
            values[name] = compile_expr(param.default)((), ENV)
    failure, left = None, (None, None)
    try:
        frame = _Frame(run, (), {})
        left = frame.region(module.program.body, tuple(values.values())).values
    except HostError as error:
        failure = Failure(error.code, error.message)
    except _ExternFailed as error:
        failure = Failure("extern", str(error))
    except _RowFailed as error:
        failure = error.failure
    context, value = left
    return InterpretResult(
        value,
        context.text() if context is not None else None,
        tuple(run.transcript),
        tuple(run.extern_calls),
        failure,
    )


@dataclass(frozen=True, slots=True)
class _Exit:
    """How a region was left, and with what."""

    kind: type[Terminator]
    values: tuple[Any, ...]


class _Run:
    """What all calls of one run share."""

    def __init__(
        self, module: Module, model: ToyModel, externs: Mapping[str, Callable[..., Value]]
    ) -> None:
        self.functions = {function.name: function for function in module.functions}
        self.model = model
        self.externs = externs
        self.transcript: list[tuple[Path, str]] = []
        self.extern_calls: list[tuple[str, tuple[Value, ...]]] = []


class _Frame:
    """One call of a function: its values, the path of the call, the caller's sampling defaults."""

    def __init__(self, run: _Run, prefix: Path, defaults: Mapping[str, Value]) -> None:
        self.run = run
        self.prefix = prefix
        self.defaults = defaults
        self.values: dict[int, Any] = {}

    def get(self, value: ops.Value) -> Any:
        return self.values[value.id]

    def all(self, values: tuple[ops.Value, ...]) -> tuple[Any, ...]:
        return tuple(map(self.get, values))

    def bind(self, names: tuple[ops.Value, ...], values: tuple[Any, ...]) -> None:
        self.values.update((n.id, value) for n, value in zip(names, values, strict=True))

    def path(self, path: ops.Path) -> Path:
        here = (item if isinstance(item, int) else self.get(item) for item in path)
        return (*self.prefix, *here)

    def region(self, region: Region, args: tuple[Any, ...] = ()) -> _Exit:
        self.bind(region.args, args)
        for op in region.ops:
            leaving = self.op(op)
            if leaving is not None:
                return leaving
        return _Exit(type(region.end), self.all(region.end.values))

    def op(self, op: Op) -> _Exit | None:
        """Run an op; its exit when it leaves the region in which it stands."""
        match op:
            case ops.If(results, condition, then, otherwise):
                return self.arms(results, then if self.get(condition) else otherwise)
            case ops.For(results, items, inits, body):
                return self.loop(results, items_of(self.get(items)), inits, None, body)
            case ops.While(results, limit, inits, test, body):
                return self.loop(results, range(self.get(limit)), inits, test, body)
            case ops.Try():
                self.try_(op)
            case ops.Scope(results, body):
                self.bind(results, self.region(body).values)
            case ops.Run(result, body):
                self.bind((result,), self.region(body).values)
            case ops.Fork():
                self.fork(op)
            case ops.Call():
                self.call(op)
            case ops.Require(condition, message):
                if not self.get(condition):
                    text = self.region(message).values[0]
                    raise _RowFailed(Failure("require", to_text(text)))
            case ops.Let(result, expr, operands):
                self.values[result.id] = compile_expr(expr)(self.all(operands), ENV)
            case ops.Extern():
                self.extern(op)
            case _:
                self.context_op(op)
        return None

    # ------------------------------------------------------------ structure

    def arms(self, results: tuple[ops.Value, ...], arm: Region) -> _Exit | None:
        leaving = self.region(arm)
        if leaving.kind is not ops.Yield:
            return leaving
        self.bind(results, leaving.values)
        return None

    def loop(
        self,
        results: tuple[ops.Value, ...],
        items: Any,
        inits: tuple[ops.Value, ...],
        test: Region | None,
        body: Region,
    ) -> _Exit | None:
        carried = self.all(inits)
        for number, item in enumerate(items):
            if test is not None and not self.region(test, (number, *carried)).values[0]:
                break
            first = (item, number) if test is None else (number,)
            leaving = self.region(body, (*first, *carried))
            if leaving.kind is ops.Leave:
                return leaving
            carried = leaving.values
            if leaving.kind is ops.Break:
                break
        self.bind(results, carried)
        return None

    def try_(self, op: ops.Try) -> None:
        try:
            values = self.region(op.body).values
        except (HostError, _ExternFailed):
            values = self.region(op.handler).values
        self.bind(op.results, values)

    def fork(self, op: ops.Fork) -> None:
        records, contexts = [], []
        start = () if op.context is None else (self.get(op.context),)
        for index, item in enumerate(items_of(self.get(op.items))):
            values = self.region(op.body, (*start, item, index)).values
            if op.contexts is not None:
                contexts.append(values[0])
                values = values[1:]
            records.append(dict(zip(op.fields, values, strict=True)))
        self.values[op.group.id] = records
        if op.contexts is not None:
            self.values[op.contexts.id] = contexts

    def call(self, op: ops.Call) -> None:
        own = {name: self.get(value) for name, value in op.defaults}
        callee = _Frame(self.run, self.path(op.path), {**self.defaults, **own})
        body = self.run.functions[op.function].body
        left = callee.region(body, self.all((op.source, *op.args))).values
        self.bind((op.context,) if op.value is None else (op.context, op.value), left)

    def extern(self, op: ops.Extern) -> None:
        args = self.all(op.args)
        self.run.extern_calls.append((op.name, args))
        try:
            self.values[op.result.id] = self.run.externs[op.name](*args)
        except Exception as error:
            raise _ExternFailed(f"{op.name}: {error}") from error

    # ------------------------------------------------------------ contexts

    def context_op(self, op: Op) -> None:
        match op:
            case ops.Start(result):
                self.values[result.id] = ToyContext()
            case ops.Append(result, context, text):
                self.add(result, context, "text", to_text(self.get(text)))
            case ops.Control(result, context, token):
                self.add(result, context, "control", token)
            case ops.Open(result, context, role):
                self.add(result, context, "open", role)
            case ops.Close(result, context):
                assert isinstance(context.type, ContextType)
                self.add(result, context, "close", context.type.role or "")
            case ops.Gen():
                self.gen(op)
            case ops.Select():
                self.select(op)
            case ops.Capture(result, before, after):
                added = self.get(after).since(self.get(before))
                texts = (piece.text for piece in added if piece.kind in ("text", "gen"))
                self.values[result.id] = "".join(texts)
            case ops.Join():
                self.join(op)
            case _:
                raise TypeError(f"no meaning for {op!r}")

    def add(self, result: ops.Value, context: ops.Value, kind: str, text: str) -> None:
        self.values[result.id] = self.get(context).add(kind, text)

    def gen(self, op: ops.Gen) -> None:
        context: ToyContext = self.get(op.context)
        own = {name: self.get(value) for name, value in op.options}
        options = with_defaults(own, self.defaults, is_constrained=is_gen_constrained(op))
        path = self.path(op.path)
        count = options.pop("n", None)
        samples: list[ToySample] = [
            self.run.model.sample(context, op.type, options, (*path, number))
            for number in range(1 if count is None else count)
        ]
        first = samples[0]
        text = to_text(first.value) if op.piece is None else piece_text(first.value, op.type)
        self.run.transcript.append((path, text))
        self.values[op.result.id] = context.add("gen", text)
        values = [sample.value for sample in samples]
        self.values[op.value.id] = first.value if count is None else values
        for name, value in op.metas:
            found = [getattr(sample, name) for sample in samples]
            self.values[value.id] = found[0] if count is None else found

    def select(self, op: ops.Select) -> None:
        context: ToyContext = self.get(op.context)
        choices, path = self.get(op.choices), self.path(op.path)
        if not choices:
            raise HostError("value_error", "a select from no choices", op.span)
        scores = [self.run.model.scores(context, choice, op.method) for choice in choices]
        index = scores.index(max(scores))
        if op.temperature is not None and self.get(op.temperature) > 0:
            index = self.run.model.pick(context, scores, path)
        self.run.transcript.append((path, choices[index]))
        self.values[op.result.id] = context.add("gen", choices[index])
        self.values[op.value.id] = choices[index]
        metas = {"scores": scores, "index": index}
        self.values.update((value.id, metas[name]) for name, value in op.metas)

    def join(self, op: ops.Join) -> None:
        context: ToyContext = self.get(op.context)
        base: ToyContext = self.get(op.base)
        for branch in self.get(op.branches):
            for piece in branch.since(base):
                kind = "text" if piece.kind == "gen" else piece.kind
                context = context.add(kind, piece.text)
        self.values[op.result.id] = context
