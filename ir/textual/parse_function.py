"""A function of the textual form: its parameters, regions and ops."""

from __future__ import annotations

from collections.abc import Callable

from sglc.ir import ops
from sglc.ir import types as t
from sglc.ir.module import Function, Param
from sglc.ir.ops import Op, Region, Terminator, Value
from sglc.ir.textual.parse_values import ValueParser
from sglc.ir.textual.types import parse_type, separated

_ENDS: dict[str, type[Terminator]] = {
    "yield": ops.Yield,
    "continue": ops.Continue,
    "break": ops.Break,
    "leave": ops.Leave,
}


class FunctionParser(ValueParser):
    """One function: its regions, and the ops in them."""

    def function(self, is_program: bool) -> Function:
        s = self.s
        name = s.name()
        s.expect("(")
        params = tuple(separated(s, ")", self.param))
        result = parse_type(s, self.records) if s.accept("->") else None
        returns_names = s.accept_word("names")
        body = self.region(tuple(param.value for param in params))
        return Function(name, body, is_program, params if is_program else (), result, returns_names)

    def param(self) -> Param:
        value = self.definition()
        return Param(value, self.expr_over(()) if self.s.accept("=") else None)

    # ------------------------------------------------------------ regions

    def region(self, args: tuple[Value, ...] | None = None) -> Region:
        """A region from its arguments, unless given, to its closing brace."""
        s = self.s
        if args is None:
            args = tuple(separated(s, ")", self.definition)) if s.accept("(") else ()
        s.expect("{")
        body: list[Op] = []
        while True:
            s.skip_lines()
            if s.peek_word() in _ENDS:
                break
            body.append(self.op())
        end = _ENDS[s.word()](self.values_of_line())
        s.skip_lines()
        s.expect("}")
        return Region(args, tuple(body), end)

    def op(self) -> Op:
        s = self.s
        results: list[Value] = []
        if s.sees("%"):
            results.append(self.definition())
            while s.accept(","):
                results.append(self.definition())
            s.expect("=")
        start = s.here()
        reader = _READERS.get(s.word("an op"))
        if reader is None:
            s.fail("an op", start)
        return reader(self, results)

    # ------------------------------------------------------------ ops

    def one(self, results: list[Value]) -> Value:
        if len(results) != 1:
            self.s.fail("an op with one result")
        return results[0]

    def start(self, results: list[Value]) -> Op:
        return ops.Start(self.one(results))

    def append(self, results: list[Value]) -> Op:
        context = self.value_and_comma()
        return ops.Append(self.one(results), context, self.value())

    def control(self, results: list[Value]) -> Op:
        context = self.value_and_comma()
        return ops.Control(self.one(results), context, self.s.string())

    def open(self, results: list[Value]) -> Op:
        context = self.value_and_comma()
        return ops.Open(self.one(results), context, self.s.string())

    def close(self, results: list[Value]) -> Op:
        return ops.Close(self.one(results), self.value())

    def name_before_from(self) -> str:
        name = "" if self.s.peek_word() == "from" else self.s.name()
        self.s.expect_word("from")
        return name

    def gen(self, results: list[Value]) -> Op:
        name, context = self.name_before_from(), self.value()
        self.s.expect_word("as")
        type = parse_type(self.s, self.records)
        options = self.pairs("with")
        splits = self.s.accept_word("reasoning")
        metas, shared = self.metas(results), self.s.accept_word("shared")
        path, piece = self.path(), self.piece()
        return ops.Gen(
            results[0],
            results[1],
            metas,
            context,
            type,
            options,
            path,
            splits,
            name,
            piece=piece,
            is_shared=shared,
        )

    def piece(self) -> ops.Piece | None:
        s = self.s
        if not s.accept_word("piece"):
            return None
        s.expect_word("since")
        base = self.value()
        s.expect_word("before")
        before = s.string()
        s.expect_word("after")
        s.expect("[")
        after: list[str | t.Type] = [s.string()]
        # a type may begin as a text does, so it is the turn that tells them apart
        while s.accept(","):
            after.append(parse_type(s, self.records) if len(after) % 2 else s.string())
        s.expect("]")
        return ops.Piece(base, before, tuple(after))

    def select(self, results: list[Value]) -> Op:
        name, context = self.name_before_from(), self.value()
        self.s.expect_word("in")
        choices = self.value()
        self.s.expect_word("by")
        method = self.s.name()
        temperature = self.value() if self.s.accept_word("temperature") else None
        metas, shared = self.metas(results), self.s.accept_word("shared")
        return ops.Select(
            results[0],
            results[1],
            metas,
            context,
            choices,
            method,
            temperature,
            self.path(),
            name,
            is_shared=shared,
        )

    def metas(self, results: list[Value]) -> tuple[tuple[str, Value], ...]:
        names = self.names("metas")
        if len(results) != 2 + len(names):
            self.s.fail(f"{2 + len(names)} results")
        return tuple(zip(names, results[2:], strict=True))

    def capture(self, results: list[Value]) -> Op:
        before = self.value_and_comma()
        return ops.Capture(self.one(results), before, self.value())

    def join(self, results: list[Value]) -> Op:
        context = self.value_and_comma()
        branches = self.value()
        self.s.expect_word("since")
        return ops.Join(self.one(results), context, self.value(), branches)

    def let(self, results: list[Value]) -> Op:
        found: list[Value] = []
        expr = self.expr_over(found)
        if self.s.accept_word("over"):
            self.s.expect("(")
            return ops.Let(self.one(results), expr, self.values_up_to(")"))
        return ops.Let(self.one(results), expr, tuple(found))

    def extern(self, results: list[Value]) -> Op:
        name = self.s.name()
        self.s.expect("(")
        args = self.values_up_to(")")
        shared = self.s.accept_word("shared")
        return ops.Extern(self.one(results), name, args, self.path(), is_shared=shared)

    def call(self, results: list[Value]) -> Op:
        name = self.s.name()
        self.s.expect("(")
        source, *args = self.values_up_to(")")
        defaults = self.pairs("defaults")
        value = results[1] if len(results) == 2 else None
        return ops.Call(results[0], value, name, source, tuple(args), defaults, self.path())

    def require(self, results: list[Value]) -> Op:
        return ops.Require(self.value(), self.region())

    def if_(self, results: list[Value]) -> Op:
        condition, then = self.value(), self.region()
        self.s.expect_word("else")
        return ops.If(tuple(results), condition, then, self.region())

    def carried(self) -> tuple[Value, ...]:
        if not self.s.accept_word("carrying"):
            return ()
        self.s.expect("(")
        return self.values_up_to(")")

    def for_(self, results: list[Value]) -> Op:
        items, inits = self.value(), self.carried()
        return ops.For(tuple(results), items, inits, self.region())

    def while_(self, results: list[Value]) -> Op:
        self.s.expect_word("max")
        limit, inits, test = self.value(), self.carried(), self.region()
        self.s.expect_word("do")
        return ops.While(tuple(results), limit, inits, test, self.region())

    def fork(self, results: list[Value]) -> Op:
        context = self.value() if self.s.sees("%") else None
        self.s.expect_word("over")
        items = self.value()
        fields = self.names("fields")
        contexts = results[1] if len(results) == 2 else None
        return ops.Fork(results[0], contexts, context, items, fields, self.region())

    def run(self, results: list[Value]) -> Op:
        return ops.Run(self.one(results), self.region())

    def try_(self, results: list[Value]) -> Op:
        body = self.region()
        self.s.expect_word("else")
        return ops.Try(tuple(results), body, self.region())

    def scope(self, results: list[Value]) -> Op:
        return ops.Scope(tuple(results), self.region())


_READERS: dict[str, Callable[[FunctionParser, list[Value]], Op]] = {
    "start": FunctionParser.start,
    "append": FunctionParser.append,
    "control": FunctionParser.control,
    "open": FunctionParser.open,
    "close": FunctionParser.close,
    "gen": FunctionParser.gen,
    "select": FunctionParser.select,
    "capture": FunctionParser.capture,
    "join": FunctionParser.join,
    "let": FunctionParser.let,
    "extern": FunctionParser.extern,
    "call": FunctionParser.call,
    "require": FunctionParser.require,
    "if": FunctionParser.if_,
    "for": FunctionParser.for_,
    "while": FunctionParser.while_,
    "fork": FunctionParser.fork,
    "run": FunctionParser.run,
    "try": FunctionParser.try_,
    "scope": FunctionParser.scope,
}
