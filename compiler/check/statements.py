"""Statements: what each one wants and binds, and how control flows through it.

Law: after a statement, `scope.state` is what holds on every path through it.
Roles are checked apart (`roles.py`), once per role that a function is called in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sglc.compiler import declaration, syntax
from sglc.compiler.check import appending, forks, narrowing, relations
from sglc.compiler.check.any_order import check_any_order
from sglc.compiler.check.expressions import Expressions
from sglc.compiler.check.fitting import require_fit
from sglc.compiler.check.flow import State, merge
from sglc.compiler.check.options import GEN_OPTIONS, check_options
from sglc.compiler.check.scope import UNUSED, Kind
from sglc.ir.types import INT, STR, Type


@dataclass(slots=True)
class _Loop:
    """Where the jumps of one loop leave from. `depth` is the number of forks around the loop."""

    depth: int
    breaks: list[State | None] = field(default_factory=list)
    continues: list[State | None] = field(default_factory=list)


@dataclass(slots=True)
class Returned:
    """What a function's `return`s give: types with their places, and those without a value."""

    values: list[tuple[Type, syntax.Return]] = field(default_factory=list)
    empty: list[syntax.Return] = field(default_factory=list)


class Statements:
    """Checks the body of one function. `result` is its declared result type, `what` how messages
    name it."""

    def __init__(self, expressions: Expressions, result: Type | None, what: str) -> None:
        self.expressions = expressions
        self.scope = expressions.scope
        self.report = expressions.report
        self.result = result
        self.what = what
        self.returned = Returned()
        self.defaults: dict[str, syntax.Keyword] = {}
        self._loops: list[_Loop] = []

    def block(self, body: syntax.Block) -> None:
        """Check statements in order; `defaults` last to the end of the block."""
        outer = self.defaults
        for i, stmt in enumerate(body):
            if self.scope.state is None and i > 0:
                self._unreachable(body[i:])
                break
            self.statement(stmt)
        self.defaults = outer

    def statement(self, stmt: syntax.Stmt) -> None:
        match stmt:
            case syntax.Text():
                appending.check_text(self.expressions, stmt)
            case syntax.Gen():
                appending.check_gen(self, stmt)
            case syntax.Select():
                appending.check_select(self, stmt)
            case syntax.Role(body=body):
                self.block(body)
            case syntax.Capture(name=name, body=body):
                self.block(body)
                self.scope.bind(name, STR, Kind.TEXT)
            case syntax.Reasoning():
                appending.check_reasoning(self, stmt)
            case syntax.AnyOrder(body=body):
                self.block(body)
                check_any_order(self, body)
            case syntax.Fork():
                forks.check_fork(self, stmt)
            case syntax.Join():
                forks.check_join(self, stmt)
            case syntax.Let(name=name, value=value):
                self._let(name, value)
            case syntax.Assign(name=name, value=value):
                self._assign(name, value)
            case syntax.If():
                self._if(stmt)
            case syntax.For():
                self._for(stmt)
            case syntax.While():
                self._while(stmt)
            case syntax.Break() | syntax.Continue():
                self._jump(stmt)
            case syntax.Return():
                self._return(stmt)
            case syntax.Evaluate(value=value):
                self._evaluate(value)
            case syntax.Require():
                self._require(stmt)
            case syntax.Defaults(options=options):
                good = check_options(self.expressions, options, GEN_OPTIONS, "defaults")
                self.defaults = {**self.defaults, **good}

    def _unreachable(self, rest: syntax.Block) -> None:
        """Check what no path reaches as if it did, and say so once."""
        self.report.warning("W0108", "this is never reached", rest[0], "no path leads here")
        self.scope.state = self.scope.here
        self.block(rest)
        self.scope.state = None

    # ------------------------------------------------------------ values

    def _let(self, name: syntax.Identifier, value: syntax.Expr) -> None:
        found = self.expressions.infer_value(value)
        self._check_has_value(value)
        known = self.scope.variables.get(name.text)
        is_bound = name.text in self.scope.here.surely and name.text != UNUSED
        if known is not None and known.kind is Kind.LET and is_bound:
            self.report.error(
                "E0209",
                f"`{name.text}` is bound already",
                name,
                "a second `let`",
                secondary=((known.place, "the first"),),
                help=f"to rebind it, write `{name.text} = ...`",
            )
        self.scope.bind(name, found, Kind.LET)

    def _assign(self, name: syntax.Identifier, value: syntax.Expr) -> None:
        found = self.expressions.infer_value(value)
        self._check_has_value(value)
        if name.text in self.scope.variables:
            self.scope.bind(name, found, Kind.LET)
            return
        if name.text in self.scope.module.names:
            self.scope.bind(name, found, Kind.LET)  # which says why it may not
            return
        self.report.error(
            "E0206",
            f"`{name.text}` is assigned, but nothing has bound it",
            name,
            "not bound yet",
            help=f"the first time write `let {name.text} = ...`",
        )
        self.scope.bind(name, found, Kind.LET)

    def _check_has_value(self, value: syntax.Expr) -> None:
        """A fragment that returns nothing has no value to bind."""
        call = value.call if isinstance(value, syntax.Run) else value
        if not isinstance(call, syntax.Call):
            return
        callee = self.expressions.tables.callees.get(call)
        if isinstance(callee, declaration.Fragment) and self.expressions.functions.returns_nothing(
            callee
        ):
            self.report.error(
                "E0311",
                f"the fragment `{callee.name.text}` returns no value",
                value,
                "no value",
                secondary=((callee.name, "has no `return` with a value"),),
            )

    def _evaluate(self, value: syntax.Expr) -> None:
        """An expression as a statement: a call that does something."""
        self.expressions.infer_value(value)
        callee = (
            self.expressions.tables.callees.get(value) if isinstance(value, syntax.Call) else None
        )
        if isinstance(callee, declaration.Fragment | declaration.Extern):
            return
        if isinstance(value, syntax.Call) and callee is None:
            return  # reported where the call was looked at
        help = None
        if isinstance(value, syntax.Name):
            help = f'to append its text, write `"{{{value.text}}}"`'
        elif isinstance(value, syntax.Run):
            help = "keep its value: `let v = run ...`"
        self.report.error(
            "E0406", "this statement has no effect", value, "its value is lost", help=help
        )

    def _require(self, stmt: syntax.Require) -> None:
        self.expressions.infer(stmt.condition)
        types = self.expressions.tables.types
        if stmt.message is not None:
            with self.scope.narrowed(narrowing.facts(stmt.condition, types, False)):
                found = self.expressions.infer(stmt.message)
            if not relations.assignable(found, STR):
                message = "the message of `require` is a str"
                self.report.error("E0301", message, stmt.message, f"found `{found}`")
        self.scope.state = self.scope.here.narrow(narrowing.facts(stmt.condition, types, True))

    # ------------------------------------------------------------ control flow

    def _if(self, stmt: syntax.If) -> None:
        ends: list[State | None] = []
        types = self.expressions.tables.types
        for test, body in stmt.arms:
            self.expressions.infer(test)
            before = self.scope.here
            self.scope.state = before.narrow(narrowing.facts(test, types, True))
            self.block(body)
            ends.append(self.scope.state)
            self.scope.state = before.narrow(narrowing.facts(test, types, False))
        if stmt.otherwise is not None:
            self.block(stmt.otherwise)
        self.scope.state = merge(*ends, self.scope.state)

    def _for(self, stmt: syntax.For) -> None:
        item = self.expressions.item_type(stmt.items, "a loop")
        types = self.expressions.unpacked(stmt.targets, item)

        def bind_targets() -> None:
            for target, type in zip(stmt.targets, types, strict=True):
                self.scope.bind(target, type, Kind.ITEM)

        self._rounds(stmt.body, bind_targets)

    def _while(self, stmt: syntax.While) -> None:
        if stmt.limit is None:
            self.report.error(
                "E0412",
                "a `while` needs a bound",
                stmt.test,
                "could go on for ever",
                help="write `while ... max 10:`; after so many rounds it goes on below",
            )
        else:
            self.expressions.infer(stmt.limit)
            if require_fit(self.expressions, stmt.limit, INT, "the bound of a `while`"):
                known = self.expressions.consts.known(stmt.limit)
                if known is not None and isinstance(known.value, int) and known.value < 1:
                    message = "the bound of a `while` is 1 or more"
                    self.report.error("E0412", message, stmt.limit, f"found {known.value}")

        def test() -> None:
            self.expressions.infer(stmt.test)
            facts = narrowing.facts(stmt.test, self.expressions.tables.types, True)
            self.scope.state = self.scope.here.narrow(facts)

        self._rounds(stmt.body, test)

    def _rounds(self, body: syntax.Block, begin: Callable[[], None]) -> None:
        """The rounds of a loop. What holds at the start of a round holds before the first and
        after every one, so it is found by checking again until nothing is lost."""
        head = self.scope.here.before_loop(body)
        while True:
            loop = _Loop(len(self.scope.forks))
            self._loops.append(loop)
            self.scope.state = head
            begin()
            self.block(body)
            self._loops.pop()
            back = merge(self.scope.state, *loop.continues)
            if back is None or head.surely <= back.surely:
                break
            head = State(head.surely & back.surely, head.maybe, head.narrowed)
        self.scope.state = merge(head, back, *loop.breaks)

    def _jump(self, stmt: syntax.Break | syntax.Continue) -> None:
        word = "break" if isinstance(stmt, syntax.Break) else "continue"
        if not self._loops:
            self.report.error("E0404", f"`{word}` stands outside a loop", stmt, "no loop around it")
        elif self._loops[-1].depth != len(self.scope.forks):
            self._report_leaves_branch(stmt, word)
        else:
            loop = self._loops[-1]
            (loop.breaks if word == "break" else loop.continues).append(self.scope.state)
        self.scope.state = None

    def _report_leaves_branch(self, stmt: syntax.Node, word: str) -> None:
        self.report.error(
            "E0403",
            f"`{word}` would leave a branch of the fork `{self.scope.forks[-1].group}`",
            stmt,
            "a branch runs to its end",
            help="put what comes after in the arm of an `if`",
        )

    def _return(self, stmt: syntax.Return) -> None:
        if stmt.value is not None:
            found = self.expressions.infer_value(stmt.value)
            self._check_has_value(stmt.value)
            if self.result is not None:
                what = f"the result of {self.what}"
                require_fit(self.expressions, stmt.value, self.result, what, may_be_json=True)
            self.returned.values.append((found, stmt))
        else:
            self.returned.empty.append(stmt)
        if self.scope.forks:
            self._report_leaves_branch(stmt, "return")
        self.scope.state = None
