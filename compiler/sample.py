"""Rows that the author gives when compiling (`--sample`), and what is measured on them.

Law: a sample decides the order of `any_order` blocks and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sglc.compiler.checked import CheckedProgram
from sglc.compiler.diagnostics import nearest
from sglc.compiler.lower.constant import constant_value
from sglc.ir.host.error import kind
from sglc.ir.host.expr import Value
from sglc.ir.host.text import json_text
from sglc.ir.types import Type
from sglc.ir.values import Mismatch, conform

_SHOWN_FAULTS = 5


class SampleError(Exception):
    """The sample is no rows of this program; the text says so for the user, a fault a line."""


@dataclass(frozen=True, slots=True)
class Sample:
    """`columns` hold for each parameter a number a row, equal where its values are."""

    columns: Mapping[str, list[int]]
    num_rows: int

    def num_distinct(self, names: Iterable[str]) -> int:
        """How many combinations of values these parameters take; of names that are no parameters
        of the program nothing is known: then as many as there could be."""
        wanted = sorted(names)
        if not all(name in self.columns for name in wanted):
            return self.num_rows
        return len(set(zip(*(self.columns[name] for name in wanted), strict=True)))


def measure(checked: CheckedProgram, rows: Iterable[tuple[str, Value]]) -> Sample:
    """The sample of rows, each with its place in words. Raises SampleError for rows that are none
    of the program's."""
    params = {
        param.name.text: (checked.types[param.type], param.default)
        for param in checked.program.params
    }
    defaults = {
        name: conform(constant_value(default, checked), type)
        for name, (type, default) in params.items()
        if default is not None
    }
    seen: dict[str, dict[bytes, int]] = {name: {} for name in params}
    columns: dict[str, list[int]] = {name: [] for name in params}
    num_rows = 0
    faults: list[str] = []
    for place, row in rows:
        num_rows += 1
        if not isinstance(row, Mapping):
            faults.append(f"{place}: expected a JSON object, found {kind(row)}")
            continue
        for name, (type, _) in params.items():
            try:
                value = _value(name, type, row, defaults)
            except _Fault as fault:
                faults.append(f'{place}, field "{name}": {fault}')
                continue
            digest = hashlib.blake2b(json_text(value).encode(), digest_size=16).digest()
            columns[name].append(seen[name].setdefault(digest, len(seen[name])))
    if faults:
        raise SampleError(_told(faults))
    if not num_rows:
        raise SampleError("the sample has no rows")
    return Sample(columns, num_rows)


class _Fault(Exception):
    """What is wrong with a field of a row."""


def _value(name: str, type: Type, row: Mapping[str, Value], defaults: Mapping[str, Value]) -> Value:
    if name not in row:
        if name in defaults:
            return defaults[name]
        near = nearest(name, row)
        hint = f'; did you mean "{near}"?' if near else ""
        raise _Fault(f"the field is missing{hint}")
    try:
        return conform(row[name], type)
    except Mismatch as wrong:
        raise _Fault(str(wrong)) from None


def _told(faults: list[str]) -> str:
    first = ["the sample is not of this program's rows:", *faults[:_SHOWN_FAULTS]]
    num_more = len(faults) - _SHOWN_FAULTS
    return "\n  ".join([*first, *([f"and {num_more:,} more"] if num_more > 0 else [])])
