"""Rules as a whole: which are needed, which have no text, which call themselves first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from sglc.codegen.automata.build import alt, chars, repeat, seq
from sglc.codegen.automata.expr import Alt, Both, Chars, Expr, Ref, Repeat, Rules, Seq, Text


def refs(expr: Expr) -> Iterator[str]:
    """The names of the rules that an expression refers to."""
    match expr:
        case Ref(name):
            yield name
        case Seq(parts) | Alt(parts) | Both(parts):
            for part in parts:
                yield from refs(part)
        case Repeat(item, _, _):
            yield from refs(item)


def pruned(rules: Rules) -> Rules:
    """Only the rules that the root needs, in the order in which it comes to them."""
    exprs = dict(rules.rules)
    needed: dict[str, None] = {}
    agenda = list(refs(rules.root))
    while agenda:
        name = agenda.pop(0)
        if name not in needed:
            needed[name] = None
            agenda.extend(refs(exprs[name]))
    return Rules(rules.root, tuple((name, exprs[name]) for name in needed))


def rewritten(expr: Expr, replace: Callable[[Expr], Expr | None]) -> Expr:
    """The expression with what `replace` yields in place of each part for which it yields
    something, built anew, so that what has no text disappears."""
    found = replace(expr)
    if found is not None:
        return found
    match expr:
        case Chars(ranges):
            return chars(ranges)
        case Seq(parts):
            return seq(*(rewritten(part, replace) for part in parts))
        case Alt(options):
            return alt(*(rewritten(option, replace) for option in options))
        case Repeat(item, low, high):
            return repeat(rewritten(item, replace), low, high)
        case Both(parts):
            return Both(tuple(rewritten(part, replace) for part in parts))
    return expr


def is_nullable(expr: Expr, nullable: frozenset[str]) -> bool:
    """Whether "" may be a text; `nullable` are the rules of which it is one."""
    match expr:
        case Text(text):
            return not text
        case Chars():
            return False
        case Seq(parts) | Both(parts):
            return all(is_nullable(part, nullable) for part in parts)
        case Alt(options):
            return any(is_nullable(option, nullable) for option in options)
        case Repeat(item, low, _):
            return low == 0 or is_nullable(item, nullable)
        case Ref(name):
            return name in nullable


def left_recursion(rules: Mapping[str, Expr]) -> str | None:
    """A rule whose text may begin with the rule itself, or None."""
    nullable: frozenset[str] = frozenset()
    while True:
        more = frozenset(name for name, expr in rules.items() if is_nullable(expr, nullable))
        if more == nullable:
            break
        nullable = more
    first = {name: set(_first(expr, nullable)) for name, expr in rules.items()}
    for name in rules:
        seen: set[str] = set()
        agenda = [name]
        while agenda:
            for called in first[agenda.pop()] - seen:
                if called == name:
                    return name
                seen.add(called)
                agenda.append(called)
    return None


def _first(expr: Expr, nullable: frozenset[str]) -> Iterator[str]:
    """The rules with which a text of the expression may begin."""
    match expr:
        case Ref(name):
            yield name
        case Seq(parts):
            for part in parts:
                yield from _first(part, nullable)
                if not is_nullable(part, nullable):
                    return
        case Alt(parts) | Both(parts):
            for part in parts:
                yield from _first(part, nullable)
        case Repeat(item, _, _):
            yield from _first(item, nullable)
