"""The types of the built-in functions: what each parameter takes and what a call yields.

Law: every function of `ir/host/functions.py` has a rule here, with one want a parameter.
Knows nothing about syntax; who calls is `calls.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sglc.compiler.check import relations
from sglc.ir.host.functions import SIGNATURES
from sglc.ir.types import (
    BOOL,
    FLOAT,
    INT,
    JSON,
    NULL,
    STR,
    UNKNOWN,
    GroupType,
    JsonType,
    ListType,
    OptionalType,
    RecordType,
    TupleType,
    Type,
    UnknownType,
)

# forms that look like calls and are checked by their own rules
SPECIAL_FORMS = ("try", "special", "read", "read_json")
FUNCTION_NAMES = frozenset((*SIGNATURES, *SPECIAL_FORMS))
TYPE_NAMES = frozenset(("str", "int", "float", "bool", "json", "image", "list"))


@dataclass(frozen=True, slots=True)
class Want:
    """What a parameter takes; `text` completes "takes ..."."""

    text: str
    accepts: Callable[[Type], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """`result` is given the type of each parameter, unknown where it is left out; of a variadic
    function, those of the arguments."""

    wants: tuple[Want, ...]
    result: Callable[[Sequence[Type]], Type]


def _is(*types: Type) -> Callable[[Type], bool]:
    return lambda found: relations.base(found) in types


def _is_items(found: Type) -> bool:
    return relations.item_of(found) is not None


def _is_numbers(found: Type) -> bool:
    item = relations.item_of(found)
    return item is not None and (_is_dynamic(item) or relations.is_number(item))


def _is_ordered(found: Type) -> bool:
    item = relations.item_of(found)
    return item is not None and relations.ordered(item, item)


def _is_dynamic(found: Type) -> bool:
    return isinstance(found, JsonType | UnknownType)


def _is_sized(found: Type) -> bool:
    return _is_items(found) or isinstance(found, RecordType | GroupType)


_ANY = Want("any value", lambda found: True)
_STR = Want("a str", _is(STR))
_STR_OR_NULL = Want(
    "a str or null", lambda found: relations.base(relations.without_null(found)) in (STR, NULL)
)
_INT = Want("an int", _is(INT, BOOL))
_INT_OR_NULL = Want(
    "an int or null", lambda found: relations.base(relations.without_null(found)) in (INT, NULL)
)
_NUMBER = Want("a number", relations.is_number)
_SCALAR = Want("a str or a number", _is(STR, INT, FLOAT, BOOL))
_SIZED = Want("a str, a list or a dict", _is_sized)
_ITEMS = Want("a list", _is_items)
_NUMBERS = Want("a list of numbers", _is_numbers)
_ORDERED = Want("a list of numbers or of str", _is_ordered)


def accepts(want: Want, found: Type) -> bool:
    """Whether an argument of this type is what is wanted, or may turn out to be when it runs."""
    return _is_dynamic(found) or want.accepts(found)


def _always(type: Type) -> Callable[[Sequence[Type]], Type]:
    return lambda args: type


def _item(args: Sequence[Type]) -> Type:
    return relations.item_of(args[0]) or UNKNOWN


def _list_of_items(args: Sequence[Type]) -> Type:
    return ListType(_item(args))


def _extreme(args: Sequence[Type]) -> Type:
    return _item(args) if len(args) == 1 else relations.join_all(args)


def _sum(args: Sequence[Type]) -> Type:
    item, start = relations.base(_item(args)), relations.base(args[1])
    if JSON in (item, start):
        return JSON
    return FLOAT if FLOAT in (item, start) else INT


def _zip(args: Sequence[Type]) -> Type:
    return ListType(TupleType(tuple(relations.item_of(arg) or UNKNOWN for arg in args)))


def _enumerate(args: Sequence[Type]) -> Type:
    return ListType(TupleType((INT, _item(args))))


RULES: dict[str, Rule] = {
    "len": Rule((_SIZED,), _always(INT)),
    "str": Rule((_ANY,), _always(STR)),
    "int": Rule((_SCALAR,), _always(INT)),
    "float": Rule((_SCALAR,), _always(FLOAT)),
    "bool": Rule((_ANY,), _always(BOOL)),
    "range": Rule((_INT, _INT_OR_NULL, _INT), _always(ListType(INT))),
    "zip": Rule((_ITEMS,), _zip),
    "enumerate": Rule((_ITEMS, _INT), _enumerate),
    "min": Rule((_ANY,), _extreme),
    "max": Rule((_ANY,), _extreme),
    "sum": Rule((_NUMBERS, _NUMBER), _sum),
    "sorted": Rule((_ORDERED, _ANY), _list_of_items),
    "reversed": Rule((_ITEMS,), _list_of_items),
    "any": Rule((_ITEMS,), _always(BOOL)),
    "all": Rule((_ITEMS,), _always(BOOL)),
    "join": Rule((_ITEMS, _STR), _always(STR)),
    "split": Rule((_STR, _STR_OR_NULL, _INT), _always(ListType(STR))),
    "strip": Rule((_STR, _STR_OR_NULL), _always(STR)),
    "lower": Rule((_STR,), _always(STR)),
    "upper": Rule((_STR,), _always(STR)),
    "replace": Rule((_STR, _STR, _STR), _always(STR)),
    "startswith": Rule((_STR, _STR), _always(BOOL)),
    "endswith": Rule((_STR, _STR), _always(BOOL)),
    "find": Rule((_STR, _STR), _always(OptionalType(STR))),
    "match": Rule((_STR, _STR), _always(OptionalType(ListType(OptionalType(STR))))),
    "json": Rule((_ANY,), _always(STR)),
    "parse_json": Rule((_STR,), _always(JSON)),
    "majority": Rule((_ITEMS,), _item),
    "argmax": Rule((_ORDERED,), _always(INT)),
    "first": Rule((_ITEMS,), _item),
    "last": Rule((_ITEMS,), _item),
    "unique": Rule((_ITEMS,), _list_of_items),
    "truncate": Rule((_STR, _INT), _always(STR)),
    "tokens": Rule((_STR,), _always(INT)),
}


def groups_type(pattern: str) -> Type:
    """What `match` yields for this constant pattern: a tuple of its groups, or null. A group that
    may take no part in a match may be null; those of a pattern without `|` and without a repeated
    or optional group always take part."""
    compiled = re.compile(pattern)
    surely = "|" not in pattern and not re.search(r"\)[?*{]", pattern)
    group: Type = STR if surely else OptionalType(STR)
    return OptionalType(TupleType((group,) * compiled.groups if compiled.groups else (STR,)))
