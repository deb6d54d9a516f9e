"""Built-ins on lists. Equality is the language's `==`, so 1 and 1.0 are one item of `unique`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable

from sglc.ir.host.env import HostEnv
from sglc.ir.host.error import kind, type_error, value_error
from sglc.ir.host.expr import Value
from sglc.ir.host.operators import items_of, less


def length(env: HostEnv, value: Value) -> Value:
    if isinstance(value, str | list | dict):
        return len(value)
    raise type_error(f"{kind(value)} has no length")


def zip_lists(env: HostEnv, *items: Value) -> Value:
    return [list(group) for group in zip(*map(items_of, items), strict=False)]


def enumerate_items(env: HostEnv, items: Value, start: Value = 0) -> Value:
    if not isinstance(start, int):
        raise type_error(f"`enumerate` counts from an int, not {kind(start)}")
    return [[i, item] for i, item in enumerate(items_of(items), start)]


def sort(env: HostEnv, items: Value, reverse: Value = False) -> Value:
    def order(a: Value, b: Value) -> int:
        return -1 if less(a, b) else int(less(b, a))

    return sorted(items_of(items), key=functools.cmp_to_key(order), reverse=bool(reverse))


def reverse_items(env: HostEnv, items: Value) -> Value:
    return items_of(items)[::-1]


def any_true(env: HostEnv, items: Value) -> Value:
    return any(items_of(items))


def all_true(env: HostEnv, items: Value) -> Value:
    return all(items_of(items))


def majority(env: HostEnv, items: Value) -> Value:
    counts: dict[Hashable, int] = {}
    firsts: dict[Hashable, Value] = {}
    for item in _some("majority", items):
        key = hashable(item)
        counts[key] = counts.get(key, 0) + 1
        firsts.setdefault(key, item)
    # dicts keep insertion order and max takes the first of equals
    return firsts[max(counts, key=counts.__getitem__)]


def argmax(env: HostEnv, items: Value) -> Value:
    candidates = _some("argmax", items)
    best = 0
    for i, item in enumerate(candidates):
        if less(candidates[best], item):
            best = i
    return best


def first(env: HostEnv, items: Value) -> Value:
    return _some("first", items)[0]


def last(env: HostEnv, items: Value) -> Value:
    return _some("last", items)[-1]


def unique(env: HostEnv, items: Value) -> Value:
    firsts: dict[Hashable, Value] = {}
    for item in items_of(items):
        firsts.setdefault(hashable(item), item)
    return list(firsts.values())


def hashable(value: Value) -> Hashable:
    """A key that two values share exactly when they are equal by `==`."""
    if isinstance(value, list):
        return ("list", tuple(map(hashable, value)))
    if isinstance(value, dict):
        return ("dict", frozenset((name, hashable(item)) for name, item in value.items()))
    return value


def _some(name: str, items: Value) -> list[Value]:
    values = items_of(items)
    if not values:
        raise value_error(f"`{name}` of an empty list")
    return values


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "len": length,
    "zip": zip_lists,
    "enumerate": enumerate_items,
    "sorted": sort,
    "reversed": reverse_items,
    "any": any_true,
    "all": all_true,
    "majority": majority,
    "argmax": argmax,
    "first": first,
    "last": last,
    "unique": unique,
}
