"""Strict JSON Lines: what is refused, with which words; what is accepted means what json says."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sglc.runtime.rows.json_lines import BadJson, parse_line, read_lines

REFUSED = {
    b'{"a": NaN}': "NaN is not JSON (write null, or leave the field out)",
    b'{"a": Infinity}': "Infinity is not JSON (write null, or leave the field out)",
    b'{"a": [-Infinity]}': "-Infinity is not JSON (write null, or leave the field out)",
    b'{"a": 1e999}': "1e999 is beyond the largest float64",
    b'{"a": 1, "b": 2, "a": 3}': 'the field "a" is given twice',
    b'{"a": {"x": 1, "x": 1}}': 'the field "x" is given twice',
    b'{"a": "\\ud800"}': "\\ud800 is half of a surrogate pair, which stands for no character",
    b'{"\\uDFFF": 1}': "\\udfff is half of a surrogate pair, which stands for no character",
    b'{"a": 1': "not valid JSON: expecting ',' delimiter at column 8",
    b'{"a": 1\n': "not valid JSON: expecting ',' delimiter at column 8",
    b'{"a": 1 \r\n': "not valid JSON: expecting ',' delimiter at column 8",
    b'{"a": 1} {"a": 2}': "not valid JSON: extra data at column 10",
    b"{'a': 1}": "not valid JSON: expecting property name enclosed in double quotes at column 2",
    b'{"a": "x\ty"}': "not valid JSON: invalid control character at column 9",
    b'{"a": "\xff"}': "byte 0xff at byte 8 is not UTF-8",
    b'{"a": "\xed\xa0\x80"}': "byte 0xed at byte 8 is not UTF-8",  # a surrogate in CESU
    b'{"a": 01}': "not valid JSON: expecting ',' delimiter at column 8",
    b"\x00": "not valid JSON: expecting value at column 1",
    b'{"a": ' + b"7" * 5000 + b"}": "the integer 77777777777777777777... (5000 characters) has too "
    "many digits",
    b"[" * 100_000 + b"]" * 100_000: "lists and objects are nested more than 200 deep",
    b"[" * 201 + b"]" * 201: "lists and objects are nested more than 200 deep",
    b'{"a": ' * 201 + b"1" + b"}" * 201: "lists and objects are nested more than 200 deep",
}


@pytest.mark.parametrize("line", REFUSED, ids=lambda line: line[:24].decode("latin-1"))
def test_refused(line: bytes) -> None:
    with pytest.raises(BadJson) as refusal:
        parse_line(line)
    assert str(refusal.value) == REFUSED[line]


def test_long_lines_are_skipped_in_pieces() -> None:
    data = b'{"a": 1}\n{"a": "' + b"x" * 1000 + b'"}\n{"a": 3}\n'
    lines = list(read_lines(io.BytesIO(data), max_bytes=100))
    assert [number for number, _ in lines] == [1, 2, 3]
    assert all(len(line) <= 101 for _, line in lines)
    with pytest.raises(BadJson, match="the line is longer than 100 bytes"):
        parse_line(lines[1][1], max_bytes=100)
    assert parse_line(lines[2][1], max_bytes=100) == {"a": 3}


@pytest.mark.parametrize("length", [98, 99, 100, 101, 102, 202])
def test_lines_at_the_bound(length: int) -> None:
    line = b"1" * length
    for ending in (b"\n", b""):
        lines = list(read_lines(io.BytesIO(line + ending + b"2\n" * bool(ending)), max_bytes=100))
        assert len(lines) == 1 + bool(ending)
        is_long = len(lines[0][1].rstrip(b"\n")) > 100
        assert is_long == (length > 100)


def test_blank_lines_and_byte_order_mark() -> None:
    data = b"\xef\xbb\xbf1\n\n   \r\n2\r\n\t\n3"
    assert [(n, parse_line(line)) for n, line in read_lines(io.BytesIO(data))] == [
        (1, 1),
        (4, 2),
        (6, 3),
    ]


def test_a_pair_of_surrogates_is_a_character() -> None:
    assert parse_line(b'"\\ud83d\\ude00"') == "\U0001f600"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=20,
)


@given(JSON, st.booleans())
def test_what_json_writes_is_read_back(value: object, ascii: bool) -> None:
    line = json.dumps(value, ensure_ascii=ascii).encode()
    assert parse_line(line) == value
