"""Rows of operators mean what Python makes of them: the same tree, and the same places."""

import ast

from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.compiler import declaration, syntax
from sglc.compiler.parse import parse
from sglc.ir.span import Source

BINARY = ("+", "-", "*", "/", "//", "%", "**")
COMPARE = ("==", "!=", "<", "<=", ">", ">=", "in", "not in")
PYTHON = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.USub: "-",
    ast.UAdd: "+",
    ast.Not: "not",
    ast.And: "and",
    ast.Or: "or",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}
HEAD = "program p():\n    let v = "
COLUMN = len("    let v = ") + 1


@st.composite
def rows(draw: st.DrawFn, depth: int = 2) -> str:
    """Operands with operators between them and signs before them, as Python's grammar has them."""
    signs = st.lists(st.sampled_from(("-", "+")), max_size=2).map(" ".join)
    nots = st.sampled_from(("", "", "not ", "not not "))

    def operand() -> str:
        if depth and draw(st.integers(0, 5)) == 0:
            return f"({draw(rows(depth - 1))})"
        return draw(st.sampled_from(("a", "b.c", "f(d)", "e[g]")))

    text = f"{draw(nots)}{draw(signs)} {operand()}"
    for _ in range(draw(st.integers(0, 6))):
        operator = draw(st.sampled_from((*BINARY, *COMPARE, "and", "or")))
        before = draw(nots) if operator in ("and", "or") else ""
        text += f" {operator} {before}{draw(signs)} {operand()}"
    return text.strip()


@settings(max_examples=400, deadline=None)
@given(rows())
def test_rows_are_read_as_python_reads_them(row: str) -> None:
    file, found = parse(Source("p.sgl", f"{HEAD}{row}\n"), 0)
    assert file is not None, found
    (program,) = file.decls
    assert isinstance(program, declaration.Program)
    (let,) = program.body
    assert isinstance(let, syntax.Let)
    assert ours(let.value) == pythons(ast.parse(row, mode="eval").body)


def ours(node: syntax.Expr) -> object:
    """A node as nested tuples: what it is, its first and last column, its parts."""
    place = (node.span.col - COLUMN, node.span.end_col - COLUMN)
    match node:
        case syntax.Binary(op=op, left=left, right=right):
            return ("binary", op, place, ours(left), ours(right))
        case syntax.Unary(op=op, value=value):
            return ("unary", op, place, ours(value))
        case syntax.Compare(ops=words, operands=operands):
            return ("compare", words, place, *map(ours, operands))
        case syntax.Logic(op=op, values=values):
            return ("logic", op, place, *map(ours, values))
    return place


def pythons(node: ast.expr) -> object:
    place = (node.col_offset, node.end_col_offset)
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            return ("binary", PYTHON[type(op)], place, pythons(left), pythons(right))
        case ast.UnaryOp(op=op, operand=operand):
            return ("unary", PYTHON[type(op)], place, pythons(operand))
        case ast.Compare(left=left, ops=ops, comparators=others):
            words = tuple(PYTHON[type(op)] for op in ops)
            return ("compare", words, place, *map(pythons, (left, *others)))
        case ast.BoolOp(op=op, values=values):
            return ("logic", PYTHON[type(op)], place, *map(pythons, values))
    return place
