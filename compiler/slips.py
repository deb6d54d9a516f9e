"""The commonest slips, each by example: the grammar's state and the token it stumbles over name it.

This is the idea of Lark's `match_examples`, made into a table once. Lark compares the depth of the
parser's stack as well, so that an example matches only at its own nesting; and where no token
fits, any token in the same state does. Here the state on top and the token's kind must both fit,
or the state alone for a slip that says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from lark.exceptions import UnexpectedToken

from sglc.compiler.grammar import parse_tree


@dataclass(frozen=True, slots=True)
class Slip:
    """`{found}` in a sentence is the unexpected token, `{before}` the word before it.

    The place is the token, or with `is_gap` the point where the text before it ends. With
    `any_token` an example stands for every token in its state that has no example of its own.
    """

    code: str
    message: str
    examples: tuple[str, ...]
    label: str = ""
    help: str | None = None
    is_gap: bool = False
    any_token: bool = False


SLIPS = (
    Slip(
        "E0102",
        "a line that begins a block ends in `:`",
        label="expected `:`",
        is_gap=True,
        examples=(
            "if x\n",
            "if x:\n    pass\nelif x\n",
            "if x:\n    pass\nelse\n",
            "for x in y\n",
            "while x\n",
            "while x max 3\n",
            "fork x in y as z\n",
            "capture x\n",
            "reasoning x\n",
            "any_order\n",
            "-def f()\n",
            "-def f() -> str\n",
            "-program p()\n",
            "-program p() -> str\n",
            "-type T\n",
        ),
    ),
    Slip(
        "E0102",
        "`{before}` stands before a string, or ends in `:` before a block",
        label="expected a string or `:`",
        is_gap=True,
        examples=("user\n",),
    ),
    Slip(
        "E0111",
        "`=` does not compare",
        label="binds a name",
        help="write `==`",
        examples=(
            "if x = 3:\n",
            "if x:\n    pass\nelif x = 3:\n",
            "while x = 3:\n",
            "while x max y = 3:\n",
            "require x = 3\n",
            "return x = 3\n",
            "let x = [y = 3]\n",
            "let x = (y = 3)\n",
            "let x = y if z = 3 else 4\n",
        ),
    ),
    Slip(
        "E0111",
        "`=` stands once in a statement",
        help="bind each name in a line of its own",
        examples=("let x = y = 3\n", "x = y = 3\n"),
    ),
    Slip(
        "E0112",
        "there is no `{before}=`",
        help="write `x = x {before} ...`",
        examples=("x += 1\n", "x *= 2\n"),
    ),
    Slip(
        "E0112",
        "`else if` is written `elif`",
        help="write `elif`",
        examples=("if x:\n    pass\nelse if y:\n",),
    ),
    Slip(
        "E0112",
        "there are no tuples",
        help="write a list: [a, b]",
        examples=("let x = (y, z)\n", "return x, y\n", "let x = y, z\n", "x = y, z\n"),
    ),
    Slip(
        "E0112",
        "`let` binds one name",
        help="bind each name in a line of its own",
        examples=("let x, y = z\n",),
    ),
    Slip(
        "E0112",
        "`let` takes no type",
        help="drop the type: it follows from the value",
        examples=("let x: int = 3\n",),
    ),
    Slip(
        "E0112",
        "`||` is written `or`",
        help="write `or`",
        examples=("if x || y:\n", "let z = x || y\n"),
    ),
    Slip(
        "E0112",
        "there is no `? :`",
        help="write `a if condition else b`",
        examples=("let x = y ? 1 : 2\n", "if x ? y : z:\n"),
    ),
    Slip("E0112", "`===` is written `==`", help="write `==`", examples=("if x === y:\n",)),
    Slip(
        "E0112",
        "brackets behind a type hold one type, that of a list's items",
        label="expected `]`",
        help='write literals as `"a" | "b"`; for a dict declare a `type`, or write `json`',
        examples=(
            "gen x: dict[str, int]\n",
            'gen x: Literal["a", "b"]\n',
            "-type T = list[a, b]\n",
            "-def f(x: list[a, b]):\n",
        ),
    ),
    Slip(
        "E0114",
        "two strings side by side",
        label="expected one string",
        help="join them into one, or with `+`; in a list, put a comma between them",
        examples=('"a" "b"\n', 'let x = "a" "b"\n', 'let x = ["a" "b"]\n', 'user "a" "b"\n'),
    ),
    Slip(
        "E0116",
        "`for` needs `in` after its names",
        label="expected `in`",
        help="write `for x in items:`",
        any_token=True,
        examples=("for x of y:\n", "let x = [a for b of c]\n"),
    ),
    Slip(
        "E0116",
        "`fork` names its branches after `as`",
        label="expected `as`",
        help="write `fork x in items as group:`",
        any_token=True,
        examples=("fork x in y:\n", "fork 3:\n"),
    ),
    Slip(
        "E0116",
        "`select` takes its choices after `from`",
        label="expected `from`",
        help="write `select name from choices`",
        any_token=True,
        examples=('select x ["a"]\n', 'select ["a"]\n'),
    ),
    Slip(
        "E0116",
        "`import` takes the path of a file in quotes",
        help='write `import "file.sgl" as name`',
        any_token=True,
        examples=('-import x from "y"\n',),
    ),
    Slip(
        "E0116",
        "a parameter needs a type",
        label="expected `:` and a type",
        is_gap=True,
        help="write `{before}: str`",
        examples=("-def f(x, y: str):\n", "-def f(x):\n", '-def f(x="a"):\n'),
    ),
    Slip(
        "E0116",
        "`{before}` needs parentheses for its parameters, even when there are none",
        label="expected `(`",
        is_gap=True,
        help="write `{before}()`",
        examples=("-program p:\n", "-program p -> str:\n"),
    ),
    Slip(
        "E0118",
        "`gen` takes its name before the parentheses",
        help='write `gen name(max_tokens=64, stop="\\n")`',
        examples=('gen("x", max_tokens=3)\n', "gen(x, max_tokens=3)\n", "gen(x)\n"),
    ),
    Slip(
        "E0118",
        "the options of a gen stand in parentheses",
        help="write `gen name(max_tokens=64)`",
        examples=("gen x max_tokens=3\n", "gen x, max_tokens=3\n"),
    ),
    Slip(
        "E0118",
        "the options of a select stand in parentheses",
        help='write `select name from choices (method="sum_logprob")`',
        examples=('select x from y, method="z"\n',),
    ),
    Slip(
        "E0118",
        "`defaults` is no function",
        help="write `defaults temperature=0, max_tokens=64`",
        examples=("defaults(temperature=0)\n",),
    ),
    Slip(
        "E0118",
        "a role takes one string",
        label="expected the end of the line",
        help='interpolate: user "...{{name}}", or write a block of strings after `:`',
        any_token=True,
        examples=('user "a" + x\n',),
    ),
    Slip(
        "E0118",
        "a role takes a string or a block",
        label="expected a string or `:`",
        help='interpolate: user "{{name}}"',
        any_token=True,
        examples=("user x\n",),
    ),
    Slip(
        "E0102",
        "a block begins on the line after `:`",
        help="indent the statement below its header",
        examples=("if x: for y in z:\n        pass\n", "if x: if y: pass\n"),
    ),
)


def slip(failure: UnexpectedToken) -> Slip | None:
    """The slip whose examples fail as this text did."""
    table = _table()
    state = failure.state.position
    return table.get((state, failure.token.type)) or table.get((state, None))


@cache
def _table() -> dict[tuple[int, str | None], Slip]:
    """(state of the parser, kind of token or None for any) -> slip."""
    table: dict[tuple[int, str | None], Slip] = {}
    for each in SLIPS:
        for example in each.examples:
            failure = failure_of(example)
            state = failure.state.position
            table.setdefault((state, None if each.any_token else failure.token.type), each)
    return table


def failure_of(example: str) -> UnexpectedToken:
    """How an example fails: statements inside a program, or with a leading "-" a declaration."""
    text = example[1:]
    if not example.startswith("-"):
        text = "program p():\n" + "".join(f"    {line}\n" for line in example.splitlines())
    try:
        parse_tree(text, "chunk")
    except UnexpectedToken as failure:
        return failure
    raise AssertionError(f"a slip's example must fail at a token: {example!r}")
