"""The constraint tables on the device: gens name them by number, and each is sent once.

A table goes behind those that are there. Where there is no room left all of them are sent again
with twice the room, but for those that no lane uses, once these may be most: rows of a batch may
decide a constraint each.
Law: the number of a table that a lane uses stays its number. What was launched reads the tensors
that it was launched with; a table that is added changes nothing in them that is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sglc.codegen.automata.constraint import TokenTable
from sglc.kernels.lane_tensors import COMPLETE, FORCED, RUNNING, ConstraintTables
from sglc.runtime.engine.device.transfer import send

FEWEST = 256  # tables that are held before any is forgotten
ARRAYS = ("next", "is_final", "distance", "reach", "after")  # one after the other, whole


class TableStore:
    """For logits of width `V`. `tensors` is another object whenever a tensor was replaced."""

    def __init__(self, V: int, device: torch.device) -> None:
        self._V = V
        self._device = device
        self._rows: dict[TokenTable, int] = {}
        self._free: list[int] = []
        self._most = FEWEST
        self._room = dict.fromkeys(("rows", *ARRAYS), 0)
        self._used = dict.fromkeys(ARRAYS, 0)
        self.tensors = ConstraintTables.pack([], [], [], device)

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, table: TokenTable, in_use: Iterable[int]) -> int:
        """The number of `table`. Of the others those with numbers `in_use` surely stay."""
        row = self._rows.get(table)
        if row is not None:
            return row
        if len(self._rows) >= self._most:
            self._forget(set(in_use))
        row = self._rows[table] = self._free.pop() if self._free else len(self._rows)
        arrays = _arrays(table)
        if row < self._room["rows"] and self._has_room(arrays):
            self._write(self.tensors, row, table, arrays)
        else:
            self._send_all()
        return row

    def _forget(self, in_use: set[int]) -> None:
        """Those that are not `in_use`; their places are free when all are sent again."""
        self._free = []
        for table, row in list(self._rows.items()):
            if row not in in_use:
                del self._rows[table]
                self._free.append(row)
        self._room["rows"] = 0
        self._most = max(FEWEST, 2 * len(self._rows))

    def _has_room(self, arrays: dict[str, NDArray[np.generic]]) -> bool:
        return all(self._used[name] + arrays[name].size <= self._room[name] for name in ARRAYS)

    def _send_all(self) -> None:
        """In new tensors, with as much room again."""
        whole = {table: _arrays(table) for table in self._rows}
        self._room = {
            name: 2 * sum(arrays[name].size for arrays in whole.values()) for name in ARRAYS
        }
        self._room["rows"] = 2 * (1 + max(self._rows.values()))
        self._used = dict.fromkeys(ARRAYS, 0)
        width = -(-self._V // 4) * 4  # four classes are read at a time
        before = self.tensors
        shapes = {
            "directory": (self._room["rows"], before.directory.shape[1]),
            "token_class": (self._room["rows"], width),
            **{name: (self._room[name],) for name in ARRAYS},
        }
        self.tensors = ConstraintTables(
            **{
                field.name: getattr(before, field.name).new_zeros(shapes[field.name])
                for field in fields(ConstraintTables)
            }
        )
        for table, arrays in whole.items():
            self._write(self.tensors, self._rows[table], table, arrays)

    def _write(
        self,
        tensors: ConstraintTables,
        row: int,
        table: TokenTable,
        arrays: dict[str, NDArray[np.generic]],
    ) -> None:
        """Behind what is used."""
        width = tensors.token_class.shape[1]
        places = (row * width, self._used["next"], self._used["is_final"])
        entry = np.array([*places, table.next.shape[1], not table.follow], dtype=np.int64)
        classes = np.zeros(width, dtype=np.int16)  # beyond the table's vocabulary: class 0
        classes[: len(table.token_class)] = table.token_class.view(np.int16)
        self._copy(tensors.directory[row], entry)
        self._copy(tensors.token_class[row], classes)
        for name, values in arrays.items():
            begin = self._used[name]
            self._copy(getattr(tensors, name)[begin : begin + values.size], values)
            self._used[name] += values.size

    def _copy(self, into: Tensor, values: NDArray[np.generic]) -> None:
        into.copy_(send(values, self._device))


def _arrays(table: TokenTable) -> dict[str, NDArray[np.generic]]:
    return {
        "next": np.ascontiguousarray(table.next).ravel(),
        "is_final": table.is_final.astype(np.uint8),
        "distance": table.distance,
        "reach": table.reach,
        "after": what_follows(table),
    }


def what_follows(table: TokenTable) -> NDArray[np.int32]:
    """For each state, what reaching it means for the lane [S]."""
    after = np.full(table.num_states, RUNNING, dtype=np.int32)
    for state, (ids, completion) in enumerate(zip(table.forced, table.completion, strict=True)):
        if completion is not None:
            after[state] = COMPLETE
        elif ids:
            after[state] = FORCED
    if table.follow:
        after[-1] = COMPLETE
    return after
