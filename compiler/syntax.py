"""The abstract syntax of a body: expressions, types and statements, one frozen class a construct,
each with its span (`declaration.py` holds what bodies stand in).

Law: a node is what was written; nothing is resolved or checked here. Nodes compare and hash by
identity, so tables of later stages (`types[node]`) are plain dicts. The span of a statement or
declaration with a block is its header, through the colon.
Knows nothing about types, scopes or stages.
"""

from __future__ import annotations

from dataclasses import dataclass

from sglc.ir.span import Span


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    span: Span


@dataclass(frozen=True, eq=False, slots=True)
class Identifier(Node):
    """A name where it is bound or chosen (not an expression)."""

    text: str


# ---------------------------------------------------------------- expressions


@dataclass(frozen=True, eq=False, slots=True)
class Name(Node):
    text: str


@dataclass(frozen=True, eq=False, slots=True)
class Literal(Node):
    """A number, true, false or null."""

    value: bool | int | float | None


@dataclass(frozen=True, eq=False, slots=True)
class Interpolation(Node):
    """`{value}` or `{value:format_spec}` inside a string."""

    value: Expr
    format_spec: str | None


@dataclass(frozen=True, eq=False, slots=True)
class String(Node):
    """A template: text (unescaped) and interpolations in order. `is_raw` marks r"..."."""

    parts: tuple[str | Interpolation, ...]
    is_raw: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class ListLiteral(Node):
    items: tuple[Expr, ...]


@dataclass(frozen=True, eq=False, slots=True)
class DictLiteral(Node):
    items: tuple[tuple[Expr, Expr], ...]


@dataclass(frozen=True, eq=False, slots=True)
class Unary(Node):
    op: str  # "-" "+" "not"
    value: Expr


@dataclass(frozen=True, eq=False, slots=True)
class Binary(Node):
    op: str  # "+" "-" "*" "/" "//" "%" "**"
    left: Expr
    right: Expr


@dataclass(frozen=True, eq=False, slots=True)
class Compare(Node):
    """A chain, as in Python: `a < b <= c` has ops ("<", "<=") and three operands."""

    ops: tuple[str, ...]  # "==" "!=" "<" "<=" ">" ">=" "in" "not in"
    operands: tuple[Expr, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Logic(Node):
    op: str  # "and" "or"
    values: tuple[Expr, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Conditional(Node):
    """`then if test else otherwise`"""

    test: Expr
    then: Expr
    otherwise: Expr


@dataclass(frozen=True, eq=False, slots=True)
class Index(Node):
    value: Expr
    index: Expr


@dataclass(frozen=True, eq=False, slots=True)
class Slice(Node):
    value: Expr
    lower: Expr | None
    upper: Expr | None
    step: Expr | None


@dataclass(frozen=True, eq=False, slots=True)
class Attribute(Node):
    value: Expr
    name: Identifier


@dataclass(frozen=True, eq=False, slots=True)
class Keyword(Node):
    """`name=value` in a call, in options and in refinements."""

    name: Identifier
    value: Expr


@dataclass(frozen=True, eq=False, slots=True)
class Call(Node):
    """`function(args)`: a built-in, an extern or a fragment; `function` is a Name, or
    an Attribute of an imported module's name."""

    function: Expr
    args: tuple[Expr, ...]
    keywords: tuple[Keyword, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Run(Node):
    """`run f(args)`: the fragment in a context of its own."""

    call: Call


@dataclass(frozen=True, eq=False, slots=True)
class ForClause(Node):
    targets: tuple[Identifier, ...]
    items: Expr
    tests: tuple[Expr, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Comprehension(Node):
    """`[element for ...]`; a dict comprehension when `key` is there."""

    key: Expr | None
    element: Expr
    clauses: tuple[ForClause, ...]


Expr = (
    Name
    | Literal
    | String
    | ListLiteral
    | DictLiteral
    | Unary
    | Binary
    | Compare
    | Logic
    | Conditional
    | Index
    | Slice
    | Attribute
    | Call
    | Run
    | Comprehension
)

# ---------------------------------------------------------------- type expressions


@dataclass(frozen=True, eq=False, slots=True)
class RangeArg(Node):
    """`0..10` in a refinement; either end may be left out."""

    low: Expr | None
    high: Expr | None


@dataclass(frozen=True, eq=False, slots=True)
class NamedType(Node):
    """`str`, `Verdict`, `shots.Item`, `int(0..10)`, `list[T](max_items=3)`."""

    name: Identifier  # dotted names keep the dot in the text
    item: TypeExpr | None  # of list[...]
    args: tuple[RangeArg | Keyword, ...]


@dataclass(frozen=True, eq=False, slots=True)
class OptionalType(Node):
    item: TypeExpr


@dataclass(frozen=True, eq=False, slots=True)
class UnionType(Node):
    """Members as written; the checker wants literals."""

    members: tuple[TypeExpr | Literal | String, ...]


TypeExpr = NamedType | OptionalType | UnionType

# ---------------------------------------------------------------- statements

Block = tuple["Stmt", ...]


@dataclass(frozen=True, eq=False, slots=True)
class Text(Node):
    """A string that stands as a statement: appended."""

    value: String


@dataclass(frozen=True, eq=False, slots=True)
class Gen(Node):
    name: Identifier | None
    type: TypeExpr | None
    options: tuple[Keyword, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Select(Node):
    name: Identifier | None
    choices: Expr
    options: tuple[Keyword, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Role(Node):
    """`user "text"` is a body of one Text."""

    role: Identifier  # system, user, assistant, tool
    body: Block


@dataclass(frozen=True, eq=False, slots=True)
class Fork(Node):
    """`fork item in items as group:`; with `item` None, `items` is the count and `i` is bound."""

    item: Identifier | None
    items: Expr
    group: Identifier
    body: Block


@dataclass(frozen=True, eq=False, slots=True)
class Join(Node):
    group: Name


@dataclass(frozen=True, eq=False, slots=True)
class Capture(Node):
    name: Identifier
    body: Block


@dataclass(frozen=True, eq=False, slots=True)
class Reasoning(Node):
    """`reasoning name:` around one gen: the thinking is bound to `name`, the answer to the gen."""

    name: Identifier
    body: Block


@dataclass(frozen=True, eq=False, slots=True)
class AnyOrder(Node):
    body: Block


@dataclass(frozen=True, eq=False, slots=True)
class Let(Node):
    name: Identifier
    value: Expr


@dataclass(frozen=True, eq=False, slots=True)
class Assign(Node):
    name: Identifier
    value: Expr


@dataclass(frozen=True, eq=False, slots=True)
class If(Node):
    """Arms of if and elif in order; `otherwise` is None without an else."""

    arms: tuple[tuple[Expr, Block], ...]
    otherwise: Block | None


@dataclass(frozen=True, eq=False, slots=True)
class For(Node):
    targets: tuple[Identifier, ...]
    items: Expr
    body: Block


@dataclass(frozen=True, eq=False, slots=True)
class While(Node):
    test: Expr
    limit: Expr | None  # `max N`; the checker demands it
    body: Block


@dataclass(frozen=True, eq=False, slots=True)
class Break(Node):
    pass


@dataclass(frozen=True, eq=False, slots=True)
class Continue(Node):
    pass


@dataclass(frozen=True, eq=False, slots=True)
class Pass(Node):
    pass


@dataclass(frozen=True, eq=False, slots=True)
class Return(Node):
    value: Expr | None


@dataclass(frozen=True, eq=False, slots=True)
class Evaluate(Node):
    """An expression as a statement: a fragment call; the checker refuses what has no effect."""

    value: Expr


@dataclass(frozen=True, eq=False, slots=True)
class Require(Node):
    condition: Expr
    message: Expr | None


@dataclass(frozen=True, eq=False, slots=True)
class Defaults(Node):
    options: tuple[Keyword, ...]


Stmt = (
    Text
    | Gen
    | Select
    | Role
    | Fork
    | Join
    | Capture
    | Reasoning
    | AnyOrder
    | Let
    | Assign
    | If
    | For
    | While
    | Break
    | Continue
    | Pass
    | Return
    | Evaluate
    | Require
    | Defaults
)
