"""Input rows: checked against the program's parameters, one at a time, and given their keys.

Law: a bad row becomes a `RowFailed` and the rows after it do not notice. Nothing here grows with
the number of rows. Rows count from 0, as "index" in the results does. Knows nothing about files
(that is `row_file.py`).
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sglc.codegen.plan import Param
from sglc.ir.host.error import kind
from sglc.ir.host.expr import Value
from sglc.ir.types import LiteralType, OptionalType, StrType, Type
from sglc.ir.values import Mismatch, conform
from sglc.runtime.row import BoundRow, RowFailed
from sglc.runtime.rows.json_lines import BadJson, parse_text
from sglc.runtime.rows.row_counts import RowCounts

_ENCODER = json.JSONEncoder(separators=(",", ":"))

RESULT_FIELDS = ("index", "output", "error", "usage", "trace")  # what a result line has of its own


class InputError(Exception):
    """The input as a whole cannot be used; the text is a sentence for the user."""


@dataclass(frozen=True, slots=True)
class InputRow:
    """A row as read. `passed` holds what goes through to its result: the --row-id field, then those
    of --keep. `digest` is a hash of all rows of the input up to this one, as they were written."""

    row: BoundRow | RowFailed
    passed: dict[str, Value] = field(default_factory=dict)
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class RowFields:
    """Which fields of a row mean what. Without `is_strict`, fields that nobody asks for are
    ignored."""

    params: tuple[Param, ...]
    row_id: str | None = None
    keep: tuple[str, ...] = ()
    is_strict: bool = False

    def __post_init__(self) -> None:
        for option, names in (("--row-id", [self.row_id]), ("--keep", self.keep)):
            for name in names:
                if name in RESULT_FIELDS:
                    raise InputError(f'{option} {name}: a result line has its own field "{name}"')

    @property
    def passed(self) -> tuple[str, ...]:
        own = () if self.row_id is None else (self.row_id,)
        return (*own, *(name for name in self.keep if name != self.row_id))


class RowBinder:
    """Checks rows against parameters and gives each its key.

    A row's key is the value of its --row-id field, or else a hash of its inputs and the number of
    equal rows that came before, which `RowCounts` keeps outside of memory.
    """

    def __init__(self, fields: RowFields) -> None:
        self.fields = fields
        self._params = {param.name: param for param in fields.params}
        self._known = {*self._params, *fields.passed}
        self._counts = RowCounts()

    def bind(
        self, index: int, raw: Value | Mapping[str, Value], place: str
    ) -> tuple[BoundRow | RowFailed, dict[str, Value]]:
        """The checked row and its passed-through fields. `place` names the row in words."""
        if not isinstance(raw, Mapping):
            failed = RowFailed(
                index, "not_an_object", f"expected a JSON object, found {kind(raw)}", place=place
            )
            return failed, {}
        passed = {name: raw[name] for name in self.fields.passed if name in raw}
        try:
            values = self._values(raw)
            return BoundRow(index, self._key(raw, values), values), passed
        except _BadField as bad:
            where = f'{place}, field "{bad.field}"'
            return RowFailed(index, bad.code, bad.message, place=where), passed

    def _values(self, raw: Mapping[str, Value]) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for name, param in self._params.items():
            if name in raw:
                try:
                    values[name] = conform(raw[name], param.type)
                except Mismatch as wrong:
                    message = f"expected {wrong.expected}, found {wrong.found}"
                    raise _BadField(_place(name, wrong.place), "wrong_type", message) from None
            elif param.has_default:
                values[name] = param.default
            else:
                message = "the field is missing" + did_you_mean(
                    name, [n for n in raw if n not in self._known]
                )
                raise _BadField(name, "missing_field", message)
        if self.fields.is_strict:
            for name in raw:
                if name not in self._known:
                    message = "the program has no such parameter" + did_you_mean(
                        name, list(self._params)
                    )
                    raise _BadField(name, "unknown_field", message)
        return values

    def _key(self, raw: Mapping[str, Value], values: dict[str, Value]) -> bytes:
        name = self.fields.row_id
        if name is not None:
            if name not in raw:
                raise _BadField(name, "missing_field", "the field that --row-id names is missing")
            value = raw[name]
            if isinstance(value, bool) or not isinstance(value, str | int):
                message = f"a row id is a string or an integer, found {kind(value)}"
                raise _BadField(name, "bad_row_id", message)
            return _hash("id", value)
        inputs = _hash("inputs", sorted(values.items()))
        return _hash(inputs.hex(), self._counts.add(inputs))


def bind_rows(
    rows: Iterable[Mapping[str, Value]], binder: RowBinder
) -> Iterator[BoundRow | RowFailed]:
    """Rows given as dicts."""
    for index, raw in enumerate(rows):
        yield binder.bind(index, raw, f"row {index}")[0]


def row_by_hand(pairs: Sequence[str], params: Sequence[Param]) -> dict[str, Value]:
    """The row that `--set name=value` gives. A parameter that takes text takes the value as it
    stands; others take it as JSON. Raises InputError."""
    types = {param.name: param.type for param in params}
    row: dict[str, Value] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError(f"--set {pair}: expected name=value")
        if name not in types:
            raise InputError(
                f"--set {pair}: no parameter {name!r}{did_you_mean(name, list(types))}"
            )
        if name in row:
            raise InputError(f"--set {name}: given twice")
        row[name] = _value_by_hand(name, text, types[name])
    return row


def _value_by_hand(name: str, text: str, wanted: Type) -> Value:
    if isinstance(wanted, OptionalType):
        return None if text == "null" else _value_by_hand(name, text, wanted.item)
    if isinstance(wanted, StrType) or (isinstance(wanted, LiteralType) and text in wanted.values):
        return text
    try:
        return parse_text(text)
    except BadJson as bad:
        raise InputError(
            f"--set {name}={text}: expected {wanted}, written as JSON; {bad}"
        ) from None


class _BadField(Exception):
    def __init__(self, field: str, code: str, message: str) -> None:
        super().__init__(message)
        self.field, self.code, self.message = field, code, message


def _place(name: str, inner: str) -> str:
    return name + inner if inner.startswith("[") or not inner else f"{name}.{inner}"


def _hash(*parts: object) -> bytes:
    return hashlib.blake2b(_ENCODER.encode(parts).encode("ascii"), digest_size=16).digest()


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """`; did you mean "score"?`, or nothing when no name is near."""
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""
