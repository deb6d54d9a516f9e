"""parse(print(file)) has the shape of file, for random files: an independent printer says what the
grammar must read."""

from __future__ import annotations

import dataclasses
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.compiler import declaration as d
from sglc.compiler import syntax as s
from sglc.compiler.parse import parse
from sglc.ir.span import Source, Span

AT = Span(0, 1, 1, 1, 1)

# ---------------------------------------------------------------- the printer


def expr(e: s.Expr) -> str:
    """Every operand in parentheses, so that precedence plays no part here."""
    match e:
        case s.Name(text=text):
            return text
        case s.Literal(value=value):
            return json.dumps(value)
        case s.String():
            return string(e)
        case s.ListLiteral(items=items):
            return f"[{', '.join(map(expr, items))}]"
        case s.DictLiteral(items=items):
            return "{" + ", ".join(f"{expr(k)}: {expr(v)}" for k, v in items) + "}"
        case s.Unary(op=op, value=value):
            return f"{op} {inner(value)}"
        case s.Binary(op=op, left=left, right=right):
            return f"{inner(left)} {op} {inner(right)}"
        case s.Compare(ops=ops, operands=(first, *rest)):
            pairs = zip(ops, rest, strict=True)
            return inner(first) + "".join(f" {op} {inner(o)}" for op, o in pairs)
        case s.Logic(op=op, values=values):
            return f" {op} ".join(map(inner, values))
        case s.Conditional(test=test, then=then, otherwise=otherwise):
            return f"{inner(then)} if {inner(test)} else {inner(otherwise)}"
        case s.Index(value=value, index=index):
            return f"{inner(value)}[{expr(index)}]"
        case s.Slice(value=value, lower=lower, upper=upper, step=step):
            low, high, by = ("" if b is None else expr(b) for b in (lower, upper, step))
            return f"{inner(value)}[{low}:{high}{':' + by if by else ''}]"
        case s.Attribute(value=value, name=name):
            return f"{inner(value)}.{name.text}"
        case s.Call():
            return call(e)
        case s.Run(call=called):
            return f"run {call(called)}"
        case s.Comprehension(key=key, element=element, clauses=clauses):
            body = expr(element) + "".join(map(clause, clauses))
            return f"[{body}]" if key is None else "{" + f"{expr(key)}: {body}" + "}"


def inner(e: s.Expr) -> str:
    return expr(e) if isinstance(e, s.Name | s.Call) else f"({expr(e)})"


def call(e: s.Call) -> str:
    return f"{expr(e.function)}({', '.join([*map(expr, e.args), *map(keyword, e.keywords)])})"


def keyword(k: s.Keyword) -> str:
    return f"{k.name.text}={expr(k.value)}"


def clause(c: s.ForClause) -> str:
    tests = "".join(f" if {inner(test)}" for test in c.tests)
    return f" for {', '.join(t.text for t in c.targets)} in {inner(c.items)}{tests}"


def string(e: s.String) -> str:
    """Interpolated strings use other quotes at each level."""
    text = ""
    for part in e.parts:
        if isinstance(part, str):
            escaped = json.dumps(part, ensure_ascii=False)[1:-1].replace("'", "\\'")
            text += escaped.replace("\x7f", "\\x7f").replace("{", "{{").replace("}", "}}")
        else:
            spec = "" if part.format_spec is None else f":{part.format_spec}"
            text += f"{{ {expr(part.value)}{spec}}}"
    return f'"""{text}"""' if '"' in text or "'" in text else f'"{text}"'


def type_(t: s.TypeExpr | s.Literal | s.String) -> str:
    match t:
        case s.Literal(value=value):
            return json.dumps(value)
        case s.String():
            return string(t)
        case s.OptionalType(item=item):
            return f"({type_(item)})?"
        case s.UnionType(members=members):
            return " | ".join(map(type_, members))
        case s.NamedType(name=name, item=item, args=args):
            parts = [keyword(a) if isinstance(a, s.Keyword) else range_(a) for a in args]
            inside = f"[{type_(item)}]" if item else ""
            return name.text + inside + (f"({', '.join(parts)})" if parts else "")


def range_(a: s.RangeArg) -> str:
    low, high = ("" if end is None else inner(end) for end in (a.low, a.high))
    return f"{low}..{high}"


def options(keywords: tuple[s.Keyword, ...]) -> str:
    return f" ({', '.join(map(keyword, keywords))})" if keywords else ""


def block(header: str, statements: s.Block) -> list[str]:
    return [header + ":", *("    " + line for each in statements for line in statement(each))]


def statement(n: s.Stmt) -> list[str]:
    match n:
        case s.Text(value=value):
            return [string(value)]
        case s.Gen(name=name, type=t, options=opts):
            head = f"gen {name.text}" if name else "gen"
            return [head + (f": {type_(t)}" if t else "") + options(opts)]
        case s.Select(name=name, choices=choices, options=opts):
            head = f"select {name.text}" if name else "select"
            return [f"{head} from {inner(choices)}{options(opts)}"]
        case s.Role(role=role, body=(s.Text(value=value),)):
            return [f"{role.text} {string(value)}"]
        case s.Role(role=role, body=body):
            return block(role.text, body)
        case s.Fork(item=item, items=items, group=group, body=body):
            head = f"{item.text} in " if item else ""
            return block(f"fork {head}{inner(items)} as {group.text}", body)
        case s.Join(group=group):
            return [f"join {group.text}"]
        case s.Capture(name=name, body=body):
            return block(f"capture {name.text}", body)
        case s.Reasoning(name=name, body=body):
            return block(f"reasoning {name.text}", body)
        case s.AnyOrder(body=body):
            return block("any_order", body)
        case s.Let(name=name, value=value):
            return [f"let {name.text} = {expr(value)}"]
        case s.Assign(name=name, value=value):
            return [f"{name.text} = {expr(value)}"]
        case s.If(arms=arms, otherwise=otherwise):
            words = ["if", *["elif"] * (len(arms) - 1)]
            pairs = zip(words, arms, strict=True)
            lines = [x for w, (test, b) in pairs for x in block(f"{w} {expr(test)}", b)]
            return lines + (block("else", otherwise) if otherwise else [])
        case s.For(targets=targets, items=items, body=body):
            return block(f"for {', '.join(t.text for t in targets)} in {expr(items)}", body)
        case s.While(test=test, limit=limit, body=body):
            return block(f"while {expr(test)}" + (f" max {expr(limit)}" if limit else ""), body)
        case s.Break() | s.Continue() | s.Pass():
            return [type(n).__name__.lower()]
        case s.Return(value=value):
            return ["return" + (f" {expr(value)}" if value else "")]
        case s.Evaluate(value=value):
            return [expr(value)]
        case s.Require(condition=condition, message=message):
            return [f"require {expr(condition)}" + (f", {expr(message)}" if message else "")]
        case s.Defaults(options=opts):
            return [f"defaults {', '.join(map(keyword, opts))}"]


def declaration(n: d.Decl) -> list[str]:
    match n:
        case d.Import(path=path, alias=alias):
            return [f"import {string(path)}" + (f" as {alias.text}" if alias else "")]
        case d.Const(name=name, value=value):
            return [f"const {name.text} = {expr(value)}"]
        case d.AliasDecl(name=name, type=t):
            return [f"type {name.text} = {type_(t)}"]
        case d.RecordDecl(name=name, fields=fields):
            lines = [f"    {field.name.text}: {type_(field.type)}" for field in fields]
            return [f"type {name.text}:", *lines]
        case d.Extern(is_pure=is_pure, options=opts):
            return [("pure " if is_pure else "") + f"extern {signature(n)}{options(opts)}"]
        case d.Fragment(body=body):
            return block(f"def {signature(n)}", body)
        case d.Program(body=body):
            return block(f"program {signature(n)}", body)


def signature(n: d.Extern | d.Fragment | d.Program) -> str:
    params = [
        f"{p.name.text}: {type_(p.type)}" + (f" = {expr(p.default)}" if p.default else "")
        for p in n.params
    ]
    result = f" -> {type_(n.result)}" if n.result else ""
    return f"{n.name.text}({', '.join(params)}){result}"


# ---------------------------------------------------------------- random files

WORDS = ["x", "y", "été", "gen", "user", "max", "as", "select", "_1", "tool"]
FREE = st.sampled_from(["a", "b2", "ß", "value"])  # where a statement word would be one
names = st.sampled_from(WORDS).map(lambda text: s.Identifier(AT, text))
free_names = FREE.map(lambda text: s.Identifier(AT, text))
fields = st.sampled_from(["x", "if", "in", "user", "null"]).map(lambda t: s.Identifier(AT, t))
numbers = st.one_of(
    st.integers(0, 10**20),
    st.floats(0, 1e300, allow_nan=False).map(abs),
    st.booleans(),
    st.none(),
)
literals = numbers.map(lambda value: s.Literal(AT, value))
texts = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1, max_size=6
)


def merged(parts: list[str | s.Interpolation]) -> s.String:
    """A string as the parser makes them: neighbouring texts are one."""
    out: list[str | s.Interpolation] = []
    for part in parts:
        if isinstance(part, str) and out and isinstance(out[-1], str):
            out[-1] += part
        else:
            out.append(part)
    return s.String(AT, tuple(out))


def tuples(
    items: st.SearchStrategy[object], low: int = 0, high: int = 2
) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(items, min_size=low, max_size=high).map(tuple)


def node(cls: type[s.Node], *args: st.SearchStrategy[object]) -> st.SearchStrategy[s.Node]:
    return st.tuples(*args).map(lambda values: cls(AT, *values))  # type: ignore[arg-type]


def maybe(items: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.one_of(st.none(), items)


plain_strings = st.lists(texts, max_size=1).map(merged)
slots = node(
    s.Interpolation,
    node(s.Name, FREE),
    maybe(st.sampled_from(["", ".2f", ">8"])),
)
strings = st.lists(st.one_of(texts, slots), max_size=3).map(merged)


def larger(e: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    keywords = node(s.Keyword, names, e)
    clauses = node(s.ForClause, tuples(names, 1), e, tuples(e))
    call_ = node(
        s.Call,
        st.one_of(node(s.Name, FREE), node(s.Attribute, node(s.Name, FREE), fields)),
        tuples(e),
        tuples(keywords),
    )
    compare = st.integers(1, 2).flatmap(
        lambda n: node(
            s.Compare,
            tuples(st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"]), n, n),
            tuples(e, n + 1, n + 1),
        )
    )
    return st.one_of(
        node(s.ListLiteral, tuples(e)),
        node(s.DictLiteral, tuples(st.tuples(e, e))),
        node(s.Unary, st.sampled_from(["-", "+", "not"]), e),
        node(s.Binary, st.sampled_from(["+", "-", "*", "/", "//", "%", "**"]), e, e),
        compare,
        node(s.Logic, st.sampled_from(["and", "or"]), tuples(e, 2, 3)),
        node(s.Conditional, e, e, e),
        node(s.Index, e, e),
        node(s.Slice, e, maybe(e), maybe(e), maybe(e)),
        node(s.Attribute, e, fields),
        call_,
        node(s.Run, call_),
        node(s.Comprehension, maybe(e), e, tuples(clauses, 1)),
    )


expressions = st.recursive(st.one_of(node(s.Name, FREE), literals, strings), larger, max_leaves=6)
keywords = node(s.Keyword, free_names, expressions)
options_ = tuples(keywords)
select_options = tuples(node(s.Keyword, st.just(s.Identifier(AT, "method")), expressions), high=1)
refinements = node(s.Keyword, st.just(s.Identifier(AT, "max_length")), expressions)
ranges = node(s.RangeArg, maybe(expressions), maybe(expressions))
scalar = st.integers(-9, 9).map(lambda n: s.Literal(AT, n))
types = st.recursive(
    st.one_of(
        node(
            s.NamedType,
            st.sampled_from(["str", "T", "m.T"]).map(lambda t: s.Identifier(AT, t)),
            st.none(),
            st.one_of(st.just(()), tuples(st.one_of(refinements, ranges), 1)),
        ),
        node(s.UnionType, tuples(st.one_of(scalar, plain_strings), 1, 3)),
    ),
    lambda t: st.one_of(
        node(s.OptionalType, t),
        node(s.NamedType, st.just(s.Identifier(AT, "list")), t, st.just(())),
    ),
    max_leaves=2,
)
simple = st.one_of(
    node(s.Text, strings),
    node(s.Gen, maybe(names), maybe(types), options_),
    node(s.Select, maybe(names), expressions, select_options),
    node(s.Join, node(s.Name, st.sampled_from(WORDS))),
    node(s.Let, names, expressions),
    node(s.Assign, names, expressions),
    node(s.Break),
    node(s.Continue),
    node(s.Pass),
    node(s.Return, maybe(expressions)),
    node(s.Evaluate, expressions.filter(lambda e: not isinstance(e, s.String))),
    node(s.Require, expressions, maybe(expressions)),
    node(s.Defaults, tuples(keywords, 1)),
)


def compound(inside: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    body = tuples(inside, 1)
    roles = st.sampled_from(["system", "user", "tool"]).map(lambda t: s.Identifier(AT, t))
    return st.one_of(
        node(s.Role, roles, body),
        node(s.Fork, maybe(names), expressions, names, body),
        node(s.Capture, names, body),
        node(s.Reasoning, names, body),
        node(s.AnyOrder, body),
        node(s.If, tuples(st.tuples(expressions, body), 1), maybe(body)),
        node(s.For, tuples(names, 1), expressions, body),
        node(s.While, expressions, maybe(expressions), body),
    )


bodies = tuples(st.recursive(simple, compound, max_leaves=4), 1, 3)
params = tuples(node(d.Param, names, types, maybe(expressions)))
declarations = st.one_of(
    node(d.Import, plain_strings, maybe(names)),
    node(d.Const, names, expressions),
    node(d.AliasDecl, names, types),
    node(d.RecordDecl, names, tuples(node(d.RecordField, fields, types), 1)),
    node(d.Extern, names, params, maybe(types), options_, st.booleans()),
    node(d.Fragment, names, params, maybe(types), bodies),
    node(d.Program, names, params, maybe(types), bodies),
)


def shape(n: object) -> object:
    if isinstance(n, s.Node):
        return type(n).__name__, *(
            shape(getattr(n, f.name)) for f in dataclasses.fields(n) if f.name != "span"
        )
    if isinstance(n, tuple):
        return tuple(map(shape, n))
    return n if isinstance(n, str) or n is None else (type(n).__name__, n)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(tuples(declarations, 1, 3))
def test_what_is_printed_is_read_back(decls: tuple[d.Decl, ...]) -> None:
    text = "\n".join(line for decl in decls for line in declaration(decl)) + "\n"
    file, diagnostics = parse(Source("t", text), 0)
    assert file is not None, (text, [d.message for d in diagnostics])
    assert shape(file.decls) == shape(decls), text
