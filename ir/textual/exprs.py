"""Host expressions in textual IR: Python's spelling, with the op's operands shown in place.

`%text.3` stands where the tree has `Operand(i)`. A template is `t"...{%x:.2f}"`, folded JSON is
`#[1,2]`. Parentheses stand only where the tree needs them.
Law: parsing the text of an expression yields it again, spans aside.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from sglc.ir.host import expr as e
from sglc.ir.host.expr import Expr
from sglc.ir.types import Type

# how tightly each form binds; an operand that binds less than its place gets parentheses
COND, OR, AND, NOT, COMPARE, ADD, MULTIPLY, UNARY, POWER, ATOM = range(10)

BINARY_LEVELS = {"+": ADD, "-": ADD, "*": MULTIPLY, "/": MULTIPLY, "//": MULTIPLY, "%": MULTIPLY}
COMPARISONS = ("==", "!=", "<=", ">=", "<", ">")
_PLAIN_SPEC = re.compile(r'[^{}"\\\n;]*')
_WORD = re.compile(r"[^\W\d]\w*")


def expr_text(
    expr: Expr, operand: Callable[[int], str], type_text: Callable[[Type], str] = str
) -> str:
    """The text of an expression; `operand(i)` is what stands for its i-th operand."""
    return _Printer(operand, type_text).text(expr)


class _Printer:
    def __init__(self, operand: Callable[[int], str], type_text: Callable[[Type], str]) -> None:
        self.operand = operand
        self.type_text = type_text

    def text(self, expr: Expr, least: int = COND) -> str:
        level, text = self.form(expr)
        return text if level >= least else f"({text})"

    def form(self, expr: Expr) -> tuple[int, str]:
        """How tightly the expression binds, and its text without parentheses around."""
        match expr:
            case e.Operand(i):
                return ATOM, self.operand(i)
            case e.Local(name):
                return ATOM, name
            case e.Const(value):
                return self.const(value)
            case e.JsonConst(text):
                return ATOM, f"#{text}"
            case e.Unary("not", value):
                return NOT, f"not {self.text(value, NOT)}"
            case e.Unary(op, value):
                inner = self.text(value, UNARY)
                # `-1` is a literal
                return UNARY, f"{op}({inner})" if inner[0].isdigit() else op + inner
            case e.Binary("**", left, right):
                return POWER, f"{self.text(left, ATOM)} ** {self.text(right, UNARY)}"
            case e.Binary(op, left, right):
                level = BINARY_LEVELS.get(op, ADD)
                return level, f"{self.text(left, level)} {op} {self.text(right, level + 1)}"
            case e.Compare(op, left, right):
                return COMPARE, f"{self.text(left, ADD)} {op} {self.text(right, ADD)}"
            case e.Logic(op, values):
                level = OR if op == "or" else AND
                return level, f" {op} ".join(self.text(v, level + 1) for v in values)
            case e.Cond(test, then, otherwise):
                arms = (self.text(then, OR), self.text(test, OR), self.text(otherwise, COND))
                return COND, "{} if {} else {}".format(*arms)
            case _:
                return ATOM, self.atom(expr)

    def const(self, value: bool | int | float | str | None) -> tuple[int, str]:
        text = json.dumps(value, ensure_ascii=False)
        return (UNARY if text.startswith("-") else ATOM), text

    def atom(self, expr: Expr) -> str:
        match expr:
            case e.Index(value, index):
                return f"{self.base(value)}[{self.text(index)}]"
            case e.Slice(value, lower, upper, step):
                ends = [self.text(end) if end is not None else "" for end in (lower, upper)]
                third = f":{self.text(step)}" if step is not None else ""
                return f"{self.base(value)}[{ends[0]}:{ends[1]}{third}]"
            case e.Field(value, name):
                is_word = _WORD.fullmatch(name)
                return f"{self.base(value)}.{name if is_word else json.dumps(name)}"
            case e.ListOf(items):
                return f"[{', '.join(map(self.text, items))}]"
            case e.DictOf(items):
                pairs = (f"{self.text(key)}: {self.text(value)}" for key, value in items)
                return "{" + ", ".join(pairs) + "}"
            case e.Comprehension(element, clauses, key):
                loops = "".join(map(self.clause, clauses))
                if key is None:
                    return f"[{self.text(element)}{loops}]"
                return "{" + f"{self.text(key)}: {self.text(element)}{loops}" + "}"
            case e.Call(function, args, kwargs):
                named = [f"{name}={self.text(value)}" for name, value in kwargs]
                return f"{function}({', '.join([*map(self.text, args), *named])})"
            case e.Try(value, default):
                return f"try({self.text(value)}, {self.text(default)})"
            case e.Conform(value, type):
                return f"conform({self.text(value)}, {self.type_text(type)})"
            case e.Format(parts):
                return f't"{"".join(self.template(parts))}"'
            case _:
                raise TypeError(f"no text for {expr!r}")

    def base(self, value: Expr) -> str:
        """What an index or a field is taken of; numbers get parentheses for the dot's sake."""
        text = self.text(value, ATOM)
        return f"({text})" if isinstance(value, e.Const) and text[0].isdigit() else text

    def clause(self, clause: e.Clause) -> str:
        tests = "".join(f" if {self.text(test, OR)}" for test in clause.tests)
        return f" for {', '.join(clause.targets)} in {self.text(clause.items, OR)}{tests}"

    def template(self, parts: tuple[tuple[Expr, str | None], ...]) -> list[str]:
        texts: list[str] = []
        was_text = False
        for value, spec in parts:
            is_text = isinstance(value, e.Const) and isinstance(value.value, str) and spec is None
            # a text right after a text is interpolated, so that the two stay two
            if is_text and not was_text and value != e.Const(""):
                texts.append(self.literal(value))
            else:
                inner = self.text(value)
                # `{{` is a brace of the text
                space = " " if inner.startswith("{") else ""
                texts.append("{" + space + inner + self.spec(spec) + "}")
            was_text = is_text
        return texts

    def literal(self, value: Expr) -> str:
        assert isinstance(value, e.Const)
        inside = json.dumps(value.value, ensure_ascii=False)[1:-1]
        return inside.replace("{", "{{").replace("}", "}}")

    def spec(self, spec: str | None) -> str:
        if spec is None:
            return ""
        is_plain = _PLAIN_SPEC.fullmatch(spec) and spec == spec.strip()
        return ":" + (spec if is_plain else json.dumps(spec, ensure_ascii=False))
