"""Rows against parameters: what is refused, where it is said to be, and what keys rows get."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sglc.codegen.plan import Param
from sglc.ir.types import INT, JSON, STR, IntType, ListType, LiteralType, OptionalType, RecordType
from sglc.runtime.row import BoundRow, RowFailed
from sglc.runtime.rows.bind import (
    InputError,
    InputRow,
    RowBinder,
    RowFields,
    bind_rows,
    row_by_hand,
)
from sglc.runtime.rows.row_counts import RowCounts
from sglc.runtime.rows.row_file import RowFile, digest_of

POINT = RecordType("Point", (("x", INT), ("y", INT)))
PARAMS = (
    Param("text", STR, 0, has_default=False),
    Param("score", IntType(0, 10), 1, has_default=True, default=5),
    Param("tags", ListType(STR, max_items=2), 2, has_default=True, default=[]),
    Param("at", OptionalType(POINT), 3, has_default=True, default=None),
)


def binder(
    *, row_id: str | None = None, keep: tuple[str, ...] = (), strict: bool = False
) -> RowBinder:
    return RowBinder(RowFields(PARAMS, row_id, keep, strict))


def read(path: Path, **options: object) -> list[InputRow]:
    return list(RowFile(str(path), binder(**options)))  # type: ignore[arg-type]


def bind(row: object, **options: object) -> BoundRow | RowFailed:
    return binder(**options).bind(7, row, "row 7 (line 8)")[0]  # type: ignore[arg-type]


# ---------------------------------------------------------------- one row


def test_defaults_are_filled_and_other_fields_ignored() -> None:
    row = bind({"text": "hi", "other": 1, "at": {"x": 1, "y": 2}})
    assert isinstance(row, BoundRow)
    assert row.values == {"text": "hi", "score": 5, "tags": [], "at": {"x": 1, "y": 2}}
    assert row.index == 7


REFUSED = [
    ({"txt": "hi"}, "missing_field", "text", 'the field is missing; did you mean "txt"?'),
    ({}, "missing_field", "text", "the field is missing"),
    ({"text": 3}, "wrong_type", "text", "expected a str, found an int"),
    ({"text": None}, "wrong_type", "text", "expected a str, found null"),
    ({"text": "a", "score": 11}, "wrong_type", "score", "0 to 10, found 11"),
    ({"text": "a", "score": True}, "wrong_type", "score", "found a bool"),
    ({"text": "a", "score": "5"}, "wrong_type", "score", "found a str"),
    ({"text": "a", "tags": ["a", 2]}, "wrong_type", "tags[1]", "expected a str, found an int"),
    ({"text": "a", "tags": ["a", "b", "c"]}, "wrong_type", "tags", "found"),
    ({"text": "a", "at": {"x": 1}}, "wrong_type", "at", "found"),
    ({"text": "a", "at": {"x": 1, "y": "n"}}, "wrong_type", "at.y", "found a str"),
]


@pytest.mark.parametrize(("row", "code", "field", "message"), REFUSED)
def test_refused(row: object, code: str, field: str, message: str) -> None:
    failed = bind(row)
    assert isinstance(failed, RowFailed)
    assert (failed.index, failed.code) == (7, code)
    assert failed.place is not None and failed.place.startswith(f'row 7 (line 8), field "{field}')
    assert message in failed.message


@pytest.mark.parametrize("row", [[1, 2], "text", 3, None, True])
def test_not_an_object(row: object) -> None:
    failed = bind(row)
    assert isinstance(failed, RowFailed)
    assert (failed.code, failed.place) == ("not_an_object", "row 7 (line 8)")


def test_strict_refuses_what_nobody_asks_for() -> None:
    failed = bind({"text": "a", "scor": 1}, strict=True)
    assert isinstance(failed, RowFailed)
    assert failed.message == 'the program has no such parameter; did you mean "score"?'
    passed = bind({"text": "a", "id": 1, "note": 2}, strict=True, row_id="id", keep=("note",))
    assert isinstance(passed, BoundRow)


def test_fields_pass_through() -> None:
    row, passed = binder(row_id="id", keep=("note", "id", "absent")).bind(
        0, {"text": "a", "note": [1], "id": "x", "more": 1}, "row 0"
    )
    assert isinstance(row, BoundRow)
    assert passed == {"id": "x", "note": [1]}
    assert list(passed) == ["id", "note"]


@pytest.mark.parametrize("name", ["index", "output", "error", "usage", "trace"])
def test_fields_that_results_have_of_their_own(name: str) -> None:
    with pytest.raises(
        InputError, match=f'--keep {name}: a result line has its own field "{name}"'
    ):
        RowFields(PARAMS, keep=(name,))
    with pytest.raises(InputError, match=f"--row-id {name}"):
        RowFields(PARAMS, row_id=name)


# ---------------------------------------------------------------- keys


def keys(rows: list[dict[str, object]], row_id: str | None = None) -> list[bytes]:
    bound = list(bind_rows(rows, binder(row_id=row_id)))  # type: ignore[arg-type]
    return [row.key for row in bound if isinstance(row, BoundRow)]


def test_a_key_depends_on_inputs_and_equal_rows_before_alone() -> None:
    a, b = {"text": "a"}, {"text": "b"}
    a1, b1, a2, a3 = keys([a, b, a, {"score": 5, "text": "a", "extra": 1}])
    assert len({a1, b1, a2, a3}) == 4
    assert keys([b, a, a, a]) == [b1, a1, a2, a3]


def test_a_bad_row_does_not_count() -> None:
    a = {"text": "a"}
    assert keys([a, {"text": "a", "score": -1}, a]) == keys([a, a])


def test_a_row_id_is_the_key() -> None:
    rows: list[dict[str, object]] = [{"text": "a", "id": 1}, {"text": "b", "id": 1}]
    first, second = keys(rows, row_id="id")
    assert first == second
    assert keys([{"text": "a", "id": "1"}], row_id="id") != [first]


@pytest.mark.parametrize(
    "row", [{"text": "a"}, {"text": "a", "id": None}, {"text": "a", "id": 1.5}]
)
def test_a_row_without_a_usable_id_fails(row: object) -> None:
    failed = bind(row, row_id="id")
    assert isinstance(failed, RowFailed)
    assert failed.code in ("missing_field", "bad_row_id")
    assert failed.place == 'row 7 (line 8), field "id"'


def test_counts_in_constant_memory() -> None:
    counts = RowCounts()
    hashes = [os.urandom(16) for _ in range(300)]
    for times in range(4):
        assert {counts.add(hash) for hash in hashes} == {times}


# ---------------------------------------------------------------- files


def test_a_bad_line_fails_alone(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(b'{"text": "a"}\n\n{"text": \n{"text": "\xff"}\n[1]\n{"text": "z"}')
    rows = [row.row for row in read(path)]
    assert [row.index for row in rows] == [0, 1, 2, 3, 4]
    assert [getattr(row, "code", "") for row in rows] == [
        "",
        "bad_json",
        "bad_utf8",
        "not_an_object",
        "",
    ]
    assert [getattr(row, "place", "") for row in rows[1:4]] == [
        "row 1 (line 3)",
        "row 2 (line 4)",
        "row 3 (line 5)",
    ]


WRONG_FILES = {
    b"": "is empty: expected JSON Lines, one object a line",
    b"\n \n\n": "is empty: expected JSON Lines, one object a line",
    b'[{"text": "a"},\n{"text": "b"}]': "is a JSON array; JSON Lines has one object a line",
    b'[{"text": "a"}, {"text": "b"}]': "is a JSON array",
    b'[\n  {"text": "a"}\n]': "is a JSON array",
    b"[]": "is a JSON array",
    b'{\n  "text": "a"\n}': "holds an object spread over lines",
    b"\x1f\x8b\x08\x00": "is compressed with gzip; pipe it: zcat",
    b"\x28\xb5\x2f\xfd\x00": "is compressed with zstd; pipe it: zstdcat",
    b"PK\x03\x04": "is a zip archive",
    b"PAR1\x00": "is a Parquet file",
    b"\xff\xfe{\x00": "is UTF-16; expected JSON Lines in UTF-8",
}


@pytest.mark.parametrize("data", WRONG_FILES, ids=lambda data: repr(data)[2:20])
def test_files_that_are_something_else(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(data)
    with pytest.raises(InputError) as refusal:
        read(path)
    assert str(refusal.value).startswith(f"{path} {WRONG_FILES[data][:20]}")
    assert WRONG_FILES[data] in str(refusal.value)


def test_a_first_row_that_is_an_array_is_just_a_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(b'[1, 2]\n{"text": "a"}\n')
    assert [type(row.row) for row in read(path)] == [RowFailed, BoundRow]


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("data.csv", b"text,n\na,1\n", "a table of text"),
        ("data.bin", b"P\x0c\0\0", "not text"),
    ],
)
def test_files_that_are_no_rows(tmp_path: Path, name: str, data: bytes, what: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError, match=f"{name} is {what}; expected JSON Lines"):
        read(path)
    path.write_bytes(b'{"text": "a"}\n')  # whatever its name
    assert [type(row.row) for row in read(path)] == [BoundRow]


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*nothing.jsonl: no such file or directory"):
        read(tmp_path / "nothing.jsonl")
    with pytest.raises(InputError, match="is a folder; expected a JSON Lines file"):
        read(tmp_path)


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> Iterator[object]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # tests may run as root, whom no mode stops
    with pytest.raises(InputError, match=r"cannot read .*: permission denied"):
        read(tmp_path / "data.jsonl")


def test_limit_and_estimate(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text("".join(f'{{"text": "{i:03}"}}\n' for i in range(100)))
    rows = RowFile(str(path), binder())
    assert rows.estimate() is None
    reading = iter(rows)
    next(reading)
    assert rows.estimate() == 100
    assert len(list(RowFile(str(path), binder(), limit=3))) == 3
    limited = RowFile(str(path), binder(), limit=1000)
    assert len(list(limited)) == 100
    assert limited.estimate() == 100


def test_the_digest_tells_where_inputs_part(tmp_path: Path) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    one.write_text('{"text": "a"}\n{"text": "b"}\n{"text": "c"}\n')
    two.write_text('{"text": "a"}\r\n\n{"text": "b"}\n{"text": "d"}\n')
    first, second = read(one), read(two)
    same = [x.digest == y.digest for x, y in zip(first, second, strict=True)]
    assert same == [True, True, False]
    assert [digest_of(str(one), n) for n in (1, 2, 3)] == [row.digest for row in first]
    assert digest_of(str(one), 4) is None


# ---------------------------------------------------------------- by hand

HAND = (
    Param("text", STR, 0, has_default=False),
    Param("n", INT, 1, has_default=True, default=1),
    Param("grade", LiteralType(("A", "1", 2)), 2, has_default=True, default="A"),
    Param("name", OptionalType(STR), 3, has_default=True, default=None),
    Param("any", JSON, 4, has_default=True, default=None),
)


def test_values_by_hand() -> None:
    pairs = ["text=1 = one", "n=-3", "grade=1", "name=null", 'any={"a": [1]}']
    assert row_by_hand(pairs, HAND) == {
        "text": "1 = one",
        "n": -3,
        "grade": "1",
        "name": None,
        "any": {"a": [1]},
    }
    assert row_by_hand(["grade=2", "name=Ana", "text="], HAND) == {
        "grade": 2,
        "name": "Ana",
        "text": "",
    }
    assert json.dumps(row_by_hand([], HAND)) == "{}"


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("text", "--set text: expected name=value"),
        ("txt=a", "--set txt=a: no parameter 'txt'; did you mean \"text\"?"),
        ("n=three", "--set n=three: expected int, written as JSON; not valid JSON"),
        ("any=abc", "--set any=abc: expected json, written as JSON"),
    ],
)
def test_values_by_hand_refused(pair: str, message: str) -> None:
    with pytest.raises(InputError) as refusal:
        row_by_hand([pair], HAND)
    assert str(refusal.value).startswith(message)


def test_a_value_given_twice() -> None:
    with pytest.raises(InputError, match="--set n: given twice"):
        row_by_hand(["n=1", "n=2"], HAND)
