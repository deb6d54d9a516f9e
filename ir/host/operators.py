"""Operators on host values: Python's meaning, with every failure a `HostError` in plain words.

Numbers stay finite: an operation whose result would be NaN, infinite, complex or huge fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from sglc.ir.host.error import (
    HostError,
    check_bits,
    check_items,
    check_text,
    kind,
    too_large,
    type_error,
    value_error,
)
from sglc.ir.host.expr import Value


def add(a: Value, b: Value) -> Value:
    if isinstance(a, str) and isinstance(b, str):
        check_text(len(a) + len(b))
        return a + b
    if isinstance(a, list) and isinstance(b, list):
        check_items(len(a) + len(b))
        return a + b
    x, y = _numbers("+", a, b)
    return _finite(x + y)


def subtract(a: Value, b: Value) -> Value:
    x, y = _numbers("-", a, b)
    return _finite(x - y)


def multiply(a: Value, b: Value) -> Value:
    if isinstance(a, int) and isinstance(b, str | list):
        return _repeat(b, a)
    if isinstance(b, int) and isinstance(a, str | list):
        return _repeat(a, b)
    x, y = _numbers("*", a, b)
    if isinstance(x, int) and isinstance(y, int):
        check_bits(x.bit_length() + y.bit_length())
    return _finite(x * y)


def divide(a: Value, b: Value) -> Value:
    x, y = _numbers("/", a, b)
    return _finite(x / y)


def floor_divide(a: Value, b: Value) -> Value:
    x, y = _numbers("//", a, b)
    return _finite(x // y)


def modulo(a: Value, b: Value) -> Value:
    x, y = _numbers("%", a, b)
    return _finite(x % y)


def power(a: Value, b: Value) -> Value:
    x, y = _numbers("**", a, b)
    if isinstance(x, int) and isinstance(y, int) and y > 0 and abs(x) > 1:
        check_bits(math.log2(abs(x)) * y)
    result = x**y
    if isinstance(result, complex):
        raise value_error("a root of a negative number is not a number here")
    return _finite(result)


def _repeat(value: str | list[Value], times: int) -> Value:
    (check_text if isinstance(value, str) else check_items)(len(value) * max(times, 0))
    return value * times


def _numbers(op: str, a: Value, b: Value) -> tuple[int | float, int | float]:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a, b
    raise type_error(f"`{op}` does not take {kind(a)} and {kind(b)}")


def _finite(number: int | float) -> int | float:
    if isinstance(number, float):
        if not math.isfinite(number):
            raise too_large("a result beyond what a float can hold")
    else:
        check_bits(number.bit_length())
    return number


BINARY: dict[str, Callable[[Value, Value], Value]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "//": floor_divide,
    "%": modulo,
    "**": power,
}


def negate(value: Value) -> Value:
    if isinstance(value, int | float):
        return -value
    raise type_error(f"`-` does not take {kind(value)}")


def positive(value: Value) -> Value:
    if isinstance(value, int | float):
        return +value
    raise type_error(f"`+` does not take {kind(value)}")


UNARY: dict[str, Callable[[Value], Value]] = {
    "-": negate,
    "+": positive,
    "not": lambda value: not value,
}


def contains(container: Value, item: Value) -> bool:
    if isinstance(container, list):
        return item in container
    if isinstance(item, str) and isinstance(container, str | dict):
        return item in container
    if isinstance(container, str):
        raise type_error(f"only a str can be in a str, not {kind(item)}")
    if isinstance(container, dict):
        if isinstance(item, list | dict):
            raise type_error(f"the keys of a dict are str, not {kind(item)}")
        return False
    raise type_error(f"`in` does not look into {kind(container)}")


def compare(op: str) -> Callable[[Value, Value], Value]:
    """The function of a comparison operator."""
    if op == "==":
        return lambda a, b: a == b
    if op == "!=":
        return lambda a, b: a != b
    if op == "in":
        return lambda a, b: contains(b, a)
    if op == "not in":
        return lambda a, b: not contains(b, a)
    if op == "<":
        return lambda a, b: less(a, b)
    if op == ">":
        return lambda a, b: less(b, a)
    if op == "<=":
        return lambda a, b: less_or_equal(a, b)
    if op == ">=":
        return lambda a, b: less_or_equal(b, a)
    raise ValueError(op)


def less(a: Value, b: Value) -> bool:
    """Numbers by size, texts by code points, lists item by item; nothing else is ordered."""
    try:
        return a < b  # type: ignore[operator]
    except TypeError:
        raise _unordered(a, b) from None


def less_or_equal(a: Value, b: Value) -> bool:
    try:
        return a <= b  # type: ignore[operator]
    except TypeError:
        raise _unordered(a, b) from None


def _unordered(a: Value, b: Value) -> HostError:
    if isinstance(a, list) and isinstance(b, list):
        x, y = next((x, y) for x, y in zip(a, b, strict=False) if x != y)
        return _unordered(x, y)
    return type_error(f"{kind(a)} and {kind(b)} have no order")


def index(value: Value, key: Value) -> Value:
    if isinstance(value, dict):
        if not isinstance(key, str):
            raise type_error(f"the keys of a dict are str, not {kind(key)}")
        return field(value, key)
    if not isinstance(value, list | str):
        raise type_error(f"{kind(value)} has no items")
    if not isinstance(key, int):
        raise type_error(f"an index is an int, not {kind(key)}")
    try:
        return value[key]
    except IndexError:
        what = "str" if isinstance(value, str) else "list"
        unit = "character" if isinstance(value, str) else "item"
        count = f"{len(value)} {unit}{'' if len(value) == 1 else 's'}"
        raise HostError(
            "index_error", f"index {_short(key)} is out of range: the {what} has {count}"
        ) from None


def slice_of(value: Value, lower: Value, upper: Value, step: Value) -> Value:
    if not isinstance(value, list | str):
        raise type_error(f"{kind(value)} cannot be sliced")
    if step is not None and step == 0:
        raise value_error("the step of a slice is 0")
    return value[_end(lower) : _end(upper) : _end(step)]


def _end(value: Value) -> int | None:
    if value is None or isinstance(value, int):
        return value
    raise type_error(f"the ends of a slice are int, not {kind(value)}")


def field(value: Value, name: str) -> Value:
    """A field of a dict; of a list, that field of each item (`g.name` of a group)."""
    if isinstance(value, list):
        return [field(item, name) for item in value]
    if not isinstance(value, dict):
        raise type_error(f"{kind(value)} has no fields")
    if name not in value:
        raise HostError("key_error", f"there is no field `{name}`; {_listing(value)}")
    return value[name]


def items_of(value: Value) -> list[Value]:
    """What going through a value yields: a list's items, a text's characters, a dict's keys."""
    if isinstance(value, list):
        return value
    if isinstance(value, str | dict):
        check_items(len(value))
        return list(value)
    raise type_error(f"cannot go through {kind(value)}")


def _listing(value: dict[str, Value]) -> str:
    if not value:
        return "it has no fields"
    names = list(value)
    more = "" if len(names) <= 8 else f" and {len(names) - 8} more"
    return "there are " + ", ".join(names[:8]) + more


def _short(number: int) -> str:
    return str(number) if number.bit_length() < 64 else "of that size"
