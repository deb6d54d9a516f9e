"""A bounded memory of values by key: what was not asked for longest is forgotten first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Memory(Generic[T]):
    """Holds about `max_bytes`, as told by `put`; what is put as `is_kept` stays and does not
    count."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._found: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._kept: dict[Hashable, T] = {}

    def __len__(self) -> int:
        return len(self._found) + len(self._kept)

    def get(self, key: Hashable) -> T | None:
        if key in self._kept:
            return self._kept[key]
        found = self._found.get(key)
        if found is None:
            return None
        self._found.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, value: T, num_bytes: int, *, is_kept: bool = False) -> None:
        self._drop(key)
        if is_kept:
            self._kept[key] = value
            return
        self._found[key] = value, num_bytes
        self._num_bytes += num_bytes
        while self._num_bytes > self._max_bytes:
            self._drop(next(iter(self._found)))

    def clear(self) -> None:
        self._found.clear()
        self._kept.clear()
        self._num_bytes = 0

    def _drop(self, key: Hashable) -> None:
        found = self._found.pop(key, None)
        if found is not None:
            self._num_bytes -= found[1]
