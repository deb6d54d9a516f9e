"""Types in textual IR: as the language spells them, records by names declared at the top.

Records of one name and different fields are told apart by a number: `Item` and `Item#2`.
Law: `parse_type(type_text(t)) == t` under the same declarations.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from sglc.ir import types as t
from sglc.ir.textual.scanner import Scanner, name_text
from sglc.ir.value_type import BranchesType, ContextType, ValueType

_ROLE = re.compile(r"\w+")
_BARE = re.compile(r"[^\W\d][\w.]*")
_RECORD = re.compile(r'(?:record (?P<quoted>"(?:[^"\\]|\\.)*")|(?P<bare>[^\W\d][\w.]*))(?:#\d+)?')
_SIMPLE: dict[str, t.Type] = {
    str(type): type for type in (t.BOOL, t.NULL, t.JSON, t.IMAGE, t.UNKNOWN, t.STR, t.INT, t.FLOAT)
}
_TAKEN = {*_SIMPLE, "list", "tuple", "group", "branch", "record", "true", "false", "ctx", "ctxs"}


class RecordNames:
    """The records of a module, by the text that stands for each."""

    def __init__(self) -> None:
        self.by_text: dict[str, t.RecordType] = {}
        self._texts: dict[t.RecordType, str] = {}

    def declare(self, shown: str, record: t.RecordType) -> None:
        self.by_text[shown] = record
        self._texts[record] = shown

    def text(self, record: t.RecordType) -> str:
        """What stands for the record, declared now if it is new."""
        if record not in self._texts:
            is_bare = _BARE.fullmatch(record.name) and record.name not in _TAKEN
            quoted = json.dumps(record.name, ensure_ascii=False)
            base, count = record.name if is_bare else f"record {quoted}", 1
            shown = base
            while shown in self.by_text:
                count += 1
                shown = f"{base}#{count}"
            self.declare(shown, record)
        return self._texts[record]

    def add(self, type: ValueType | None) -> None:
        """Declare every record inside the type, inner ones first."""
        match type:
            case t.ListType(item=inner) | t.OptionalType(item=inner):
                self.add(inner)
            case t.TupleType(items):
                for item in items:
                    self.add(item)
            case t.GroupType(fields) | t.BranchType(fields) | t.RecordType(fields=fields):
                for _, item in fields:
                    self.add(item)
                if isinstance(type, t.RecordType):
                    self.text(type)


def type_text(type: ValueType, records: RecordNames) -> str:
    match type:
        case t.RecordType():
            return records.text(type)
        case t.ListType(item, low, high):
            pairs = (("min_items", low), ("max_items", high))
            args = ", ".join(f"{name}={value}" for name, value in pairs if value is not None)
            return f"list[{type_text(item, records)}]" + (f"({args})" if args else "")
        case t.OptionalType(item):
            inner = type_text(item, records)
            return f"({inner})?" if isinstance(item, t.LiteralType) else f"{inner}?"
        case t.TupleType(items):
            return f"tuple[{', '.join(type_text(item, records) for item in items)}]"
        case t.GroupType(fields):
            return f"group{fields_text(fields, records)}"
        case t.BranchType(fields):
            return f"branch{fields_text(fields, records)}"
        case _:
            return str(type)


def fields_text(fields: tuple[tuple[str, t.Type], ...], records: RecordNames) -> str:
    inside = ", ".join(f"{name_text(name)}: {type_text(f, records)}" for name, f in fields)
    return "{" + inside + "}"


def parse_value_type(s: Scanner, records: RecordNames) -> ValueType:
    """A type of a host value, a context or a fork's contexts."""
    for word, make in (("ctxs", BranchesType), ("ctx", ContextType)):
        if s.accept_word(word):
            return make(_role(s))
    return parse_type(s, records)


def _role(s: Scanner) -> str | None:
    if not s.accept("<"):
        return None
    match = s.take(_ROLE)
    if match is None:
        s.fail("a role")
    s.expect(">")
    return match[0]


def parse_type(s: Scanner, records: RecordNames) -> t.Type:
    if s.accept("("):
        type = parse_type(s, records)
        s.expect(")")
    elif (values := _literals(s)) is not None:
        return t.LiteralType(values)
    else:
        type = _named(s, records)
    while s.accept("?"):
        type = t.OptionalType(type)
    return type


def _literals(s: Scanner) -> tuple[t.Literal, ...] | None:
    """`"a" | 3 | true`, or None when no literal stands here."""
    first = _literal(s)
    if first is None:
        return None
    values = [first]
    while s.accept("|"):
        value = _literal(s)
        if value is None:
            s.fail("a literal")
        values.append(value)
    return tuple(values)


def _literal(s: Scanner) -> t.Literal | None:
    if s.sees('"'):
        return s.string()
    for word, value in (("true", True), ("false", False)):
        if s.accept_word(word):
            return value
    return s.number()


def _named(s: Scanner, records: RecordNames) -> t.Type:
    word = s.peek_word()
    if word in _SIMPLE:
        s.word()
        return _refined(s, word) if s.sees("(") else _SIMPLE[word]
    if word == "list":
        s.word()
        return _list(s, records)
    if word == "tuple":
        s.word()
        s.expect("[")
        items = separated(s, "]", lambda: parse_type(s, records))
        return t.TupleType(tuple(items))
    if word == "group":
        s.word()
        return t.GroupType(parse_fields(s, records))
    if word == "branch":
        s.word()
        return t.BranchType(parse_fields(s, records))
    start = s.here()
    shown, _ = parse_record_name(s)
    if shown not in records.by_text:
        s.fail("a declared type", start)
    return records.by_text[shown]


def _refined(s: Scanner, word: str) -> t.Type:
    if word == "str":
        args = _arguments(s)
        return t.StrType(args.get("min_length"), args.get("max_length"), args.get("pattern"))
    s.expect("(")
    low = s.number()
    s.expect("..")
    high = s.number()
    s.expect(")")
    if word == "int":
        return t.IntType(_whole(s, low), _whole(s, high))
    return t.FloatType(low, high)


def _whole(s: Scanner, end: float | None) -> int | None:
    if isinstance(end, float):
        s.fail("an int")
    return end


def _list(s: Scanner, records: RecordNames) -> t.Type:
    s.expect("[")
    item = parse_type(s, records)
    s.expect("]")
    args = _arguments(s) if s.sees("(") else {}
    return t.ListType(item, args.get("min_items"), args.get("max_items"))


def _arguments(s: Scanner) -> dict[str, Any]:
    """`(name=value, ...)` with JSON values."""

    def argument() -> tuple[str, Any]:
        name = s.word()
        s.expect("=")
        return name, s.json_value()

    s.expect("(")
    return dict(separated(s, ")", argument))


def parse_fields(s: Scanner, records: RecordNames) -> tuple[tuple[str, t.Type], ...]:
    """`{name: type, ...}`"""

    def pair() -> tuple[str, t.Type]:
        name = s.name()
        s.expect(":")
        return name, parse_type(s, records)

    s.expect("{")
    return tuple(separated(s, "}", pair))


def parse_record_name(s: Scanner) -> tuple[str, str]:
    """What stands for a record, and the record's own name."""
    match = s.take(_RECORD)
    if match is None:
        s.fail("a type")
    return match[0], match["bare"] or json.loads(match["quoted"])


T = TypeVar("T")


def separated(s: Scanner, end: str, item: Callable[[], T]) -> Iterator[T]:
    """Items with commas between them, up to `end`."""
    if s.accept(end):
        return
    while True:
        yield item()
        if s.accept(end):
            return
        s.expect(",")
