"""Built-ins that make or compare single values: conversions, ranges, extremes and sums."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from sglc.ir.host.env import HostEnv
from sglc.ir.host.error import (
    MAX_INT_BITS,
    check_bits,
    check_items,
    kind,
    too_large,
    type_error,
    value_error,
)
from sglc.ir.host.expr import Value
from sglc.ir.host.operators import add, items_of, less
from sglc.ir.host.text import is_number, to_text

_INT = re.compile(r"\s*[+-]?[0-9]+(_[0-9]+)*\s*")
_FLOAT = re.compile(r"\s*[+-]?([0-9]+(_[0-9]+)*\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")
_MAX_DIGITS = MAX_INT_BITS * 3 // 10


def to_str(env: HostEnv, value: Value) -> Value:
    return to_text(value)


def to_int(env: HostEnv, value: Value) -> Value:
    if isinstance(value, int | float):
        return int(value)
    if not isinstance(value, str):
        raise type_error(f"cannot make an int of {kind(value)}")
    if not _INT.fullmatch(value):
        raise value_error(f"`{shorten(value)}` is not an integer")
    if len(value.strip()) > _MAX_DIGITS:
        raise too_large(f"an integer of {len(value.strip())} digits")
    number = int(value)
    check_bits(number.bit_length())
    return number


def to_float(env: HostEnv, value: Value) -> Value:
    if isinstance(value, str):
        if not _FLOAT.fullmatch(value):
            raise value_error(f"`{shorten(value)}` is not a number")
        number = float(value)
    elif isinstance(value, int | float):
        number = float(value)
    else:
        raise type_error(f"cannot make a float of {kind(value)}")
    if not math.isfinite(number):
        raise too_large("a number beyond what a float can hold")
    return number


def to_bool(env: HostEnv, value: Value) -> Value:
    return bool(value)


def make_range(env: HostEnv, start: Value, stop: Value = None, step: Value = 1) -> Value:
    if stop is None:
        start, stop = 0, start
    for end in (start, stop, step):
        if not isinstance(end, int):
            raise type_error(f"`range` takes ints, not {kind(end)}")
    if step == 0:
        raise value_error("the step of `range` is 0")
    assert isinstance(start, int) and isinstance(stop, int) and isinstance(step, int)
    count = max(0, -((start - stop) // step))
    check_items(count)
    return list(range(start, stop, step))


def minimum(env: HostEnv, *values: Value) -> Value:
    best, *rest = _candidates("min", values)
    for value in rest:
        if less(value, best):
            best = value
    return best


def maximum(env: HostEnv, *values: Value) -> Value:
    best, *rest = _candidates("max", values)
    for value in rest:
        if less(best, value):
            best = value
    return best


def _candidates(name: str, values: tuple[Value, ...]) -> list[Value]:
    candidates = items_of(values[0]) if len(values) == 1 else list(values)
    if not candidates:
        raise value_error(f"`{name}` of an empty list")
    return candidates


def total(env: HostEnv, items: Value, start: Value = 0) -> Value:
    # one addition after another: Python's own sum rounds differently from version to version
    result = start
    for item in items_of(items):
        if not is_number(item) and not isinstance(item, bool):
            raise type_error(f"`sum` adds numbers, not {kind(item)}")
        result = add(result, item)
    return result


def shorten(text: str, limit: int = 40) -> str:
    """The text, or its start and three dots when it is long, on one line."""
    line = text if len(text) <= limit else text[:limit] + "..."
    return line.replace("\n", "\\n")


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "str": to_str,
    "int": to_int,
    "float": to_float,
    "bool": to_bool,
    "range": make_range,
    "min": minimum,
    "max": maximum,
    "sum": total,
}
