"""The IR: a program as dataflow over contexts and host values.

A context is a value. `Append`, `Gen` and `Select` take a context and yield a new one; nothing is
mutated, so a context with several uses *is* a fork of its KV, and its last use is where the KV can
be freed. Control flow is structured: an op may hold regions; a region ends in one terminator.

Values are in SSA form: each is defined once, by an op result or as a region's argument, and is
visible in the regions nested below its definition. A region reads outer values freely; what leaves
a region leaves through its terminator.

Laws
- ops are frozen and compare by value; spans take no part;
- `path` names a dynamic occurrence (call sites, loop rounds, fork items) and is fixed in lowering,
  before any pass: each element is a constant int or an int value, and passes only substitute.
- effects (`Extern` that is not pure, `Require`) keep the order of the block they stand in.

Knows nothing about tokens, models or the surface syntax.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sglc.ir.host.expr import Expr
from sglc.ir.span import Span
from sglc.ir.types import Type
from sglc.ir.value_type import ValueType


@dataclass(frozen=True, slots=True)
class Value:
    """An SSA value. `id` is unique in its function; `name` is the author's, for people."""

    id: int
    type: ValueType
    name: str = field(default="", compare=False)


PathItem = Value | int
Path = tuple[PathItem, ...]


@dataclass(frozen=True, slots=True)
class Region:
    args: tuple[Value, ...]
    ops: tuple[Op, ...]
    end: Terminator


# ---------------------------------------------------------------- contexts


@dataclass(frozen=True, slots=True)
class Start:
    """%c = start: the empty context."""

    result: Value
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Append:
    """%c = append %context, %text (a str): part of a stretch; tokens are made at its end."""

    result: Value
    context: Value
    text: Value
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Control:
    """%c = control %context, "<|name|>": one control token, by name (`special()`)."""

    result: Value
    context: Value
    token: str
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Open:
    """%c = open %context, "user": the template's text before a role's content."""

    result: Value
    context: Value
    role: str
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Close:
    """%c = close %context: the template's text after the open role's content."""

    result: Value
    context: Value
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Piece:
    """A gen that writes one part of a value which is cut into forced text and gens.

    `base` is the context before the first gen of the value, the text that opens the value in it:
    that text's tokens and those since then count against the gen's max_tokens, which is the whole
    value's. `before` is the forced text that was appended right before this gen. `after` is what is
    still to be written after it: forced texts and types in turn, a text first and last. Where a
    type's values are all texts (`types.is_text`) they are written without quotes: those are in the
    texts around.
    """

    base: Value
    before: str
    after: tuple[str | Type, ...]


@dataclass(frozen=True, slots=True)
class Gen:
    """%c, %value, metas... = gen %context: generate, append, yield.

    `options` are what the author wrote or `defaults` in the same function set (names of
    `LANGUAGE.md`; values are SSA values); the inliner adds the caller's defaults below them.
    `metas` lists which of "finish_reason", "tokens", "logprobs", "reasoning" are results, in order.
    `type` is the type of one sample; with an option `n` the value is a list of it. A type other
    than str, or an option regex, json_schema, ebnf or choices, constrains what is generated.
    """

    result: Value
    value: Value
    metas: tuple[tuple[str, Value], ...]
    context: Value
    type: Type
    options: tuple[tuple[str, Value], ...]
    path: Path
    splits_reasoning: bool = False
    name: str = field(default="", compare=False)
    span: Span | None = field(default=None, compare=False)
    piece: Piece | None = None
    is_shared: bool = False  # the same for all rows: done once a run


@dataclass(frozen=True, slots=True)
class Select:
    """%c, %value, metas... = select %context from %choices (list of str).

    `metas`: which of "scores" (list of float), "index" (int) are results. `method` is one of
    token_length_normalized, greedy_token_selection, unconditional_likelihood_normalized,
    sum_logprob.
    """

    result: Value
    value: Value
    metas: tuple[tuple[str, Value], ...]
    context: Value
    choices: Value
    method: str
    temperature: Value | None
    path: Path
    name: str = field(default="", compare=False)
    span: Span | None = field(default=None, compare=False)
    is_shared: bool = False  # the same for all rows: done once a run


@dataclass(frozen=True, slots=True)
class Capture:
    """%s = capture %before, %after: the text that `after` adds to `before`, markup excluded."""

    result: Value
    before: Value
    after: Value
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Join:
    """%c = join %context, %branches since %base: append what each branch added to `base`, with
    its roles."""

    result: Value
    context: Value
    base: Value
    branches: Value
    span: Span | None = field(default=None, compare=False)


# ---------------------------------------------------------------- host values


@dataclass(frozen=True, slots=True)
class Let:
    """%v = let expr(%operands...): a pure host expression; `Operand(i)` in it is operands[i]."""

    result: Value
    expr: Expr
    operands: tuple[Value, ...] = ()
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Extern:
    """%v = extern "name"(%args...): a host function given at run time."""

    result: Value
    name: str
    args: tuple[Value, ...]
    path: Path
    span: Span | None = field(default=None, compare=False)
    is_shared: bool = False  # pure, and the same for all rows: called once a run


@dataclass(frozen=True, slots=True)
class Require:
    """require %condition, %message: a false condition fails the row. `message` is a region that
    yields one str, run only then."""

    condition: Value
    message: Region
    span: Span | None = field(default=None, compare=False)


# ---------------------------------------------------------------- structure


@dataclass(frozen=True, slots=True)
class If:
    """results = if %condition {then} else {otherwise}; both regions yield the results
    (or leave by another terminator)."""

    results: tuple[Value, ...]
    condition: Value
    then: Region
    otherwise: Region
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class For:
    """results = for over %items carrying inits. The body's args are (item, round, *carried); it
    ends in Continue(carried) or Break(carried). `round` counts from 0."""

    results: tuple[Value, ...]
    items: Value
    inits: tuple[Value, ...]
    body: Region
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class While:
    """results = while {test} max %limit carrying inits. Both regions' args are (round, *carried);
    `test` yields one bool (truth as Python's); the body ends in Continue or Break."""

    results: tuple[Value, ...]
    limit: Value
    inits: tuple[Value, ...]
    test: Region
    body: Region
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Fork:
    """%group, %contexts = fork %context over %items: the body once an item, in parallel.

    The body's args are (context, item, index) and it yields (context, *values named by `fields`).
    `group` is a list of dicts {field: value} and `contexts` the branches' final contexts. With
    `context` None there is neither a context argument nor a yielded one, and `contexts` is None:
    that is how a comprehension over `run` is lowered. Using `group` or `contexts` awaits the
    branches.
    """

    group: Value
    contexts: Value | None
    context: Value | None
    items: Value
    fields: tuple[str, ...]
    body: Region
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Run:
    """%v = run {body}: a region of its own task; it yields one value. Using %v awaits it."""

    result: Value
    body: Region
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Try:
    """results = try {body} else {handler}: the handler when a let or an extern of the body fails
    (a failed require does not count)."""

    results: tuple[Value, ...]
    body: Region
    handler: Region
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Scope:
    """results = scope {body}: a region that `Leave` inside it ends early (an inlined body)."""

    results: tuple[Value, ...]
    body: Region
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """%context', %value = call @function(%context, %args...). Inlined by `passes/inline.py`.

    `defaults` are the sampling defaults in force at the call; the callee's own win. `path` is put
    before each path in the callee. `value` is None when the function returns none.
    """

    context: Value
    value: Value | None
    function: str
    source: Value
    args: tuple[Value, ...]
    defaults: tuple[tuple[str, Value], ...]
    path: Path
    span: Span | None = field(default=None, compare=False)


Op = (
    Start
    | Append
    | Control
    | Open
    | Close
    | Gen
    | Select
    | Capture
    | Join
    | Let
    | Extern
    | Require
    | If
    | For
    | While
    | Fork
    | Run
    | Try
    | Scope
    | Call
)

# ---------------------------------------------------------------- terminators


@dataclass(frozen=True, slots=True)
class Yield:
    """The region ends; its values are the op's results."""

    values: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Continue:
    """The innermost loop goes on with the next round."""

    values: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Break:
    """The innermost loop ends with these values."""

    values: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Leave:
    """The innermost Scope (or, outside any, the function) ends with these values."""

    values: tuple[Value, ...] = ()


Terminator = Yield | Continue | Break | Leave
