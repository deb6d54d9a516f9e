"""Expressions and built-ins: Python's, by value. What fails fails its row."""

from __future__ import annotations

import pytest

VALUES = [
    ("7 // 2, -7 // 2, -7 % 3, 2 ** 10, 2 ** -1, 7 / 2", [3, -4, 2, 1024, 0.5, 3.5]),
    ("-2 ** 2, 1 < 2 < 3, 3 > 2 > 2, not 1 == 2", [-4, True, False, True]),
    ("1 and 0 or 5, null or 2, 1 if [] else 2", [5, 2, 2]),
    ('"a" in "abc", 1 in [1], "k" in {"k": 1}, 2 not in [1]', [True, True, True, True]),
    ("[1, 2, 3][-1], [1, 2, 3][1:], [1, 2, 3][::-1]", [3, [2, 3], [3, 2, 1]]),
    ('"añ😀"[1], "abc"[::-1], {"a": 1}["a"], {"a": 1}.a', ["ñ", "cba", 1, 1]),
    ("[x * 2 for x in range(3) if x], [x for x in [1, 2] for y in [3, 4]]",
     [[2, 4], [1, 1, 2, 2]]),
    ('{k: len(k) for k in ["a", "bb"]}, [a + b for a, b in zip([1], [2])]',
     [{"a": 1, "bb": 2}, [3]]),
    ("any(x > 3 for x in [1, 5]), all([]), sum(x for x in [1, 2.5])", [True, True, 3.5]),
    ("[1] + [2], \"a\" + \"b\", \"a\" * 3, true == 1", [[1, 2], "ab", "aaa", True]),
    ("1_000, 0x1f, 1e3, True, None, false", [1000, 31, 1000.0, True, None, False]),
    ('len("é"), len([1]), len({"a": 1}), str(1.5), str(true)', [1, 1, 1, "1.5", "true"]),
    ('int("3"), int(-2.9), int(true), float("1.5"), float(3), bool([])',
     [3, -2, 1, 1.5, 3.0, False]),
    ("range(3), range(1, 7, 2), enumerate([\"a\"], 1), zip([1], [\"a\"])",
     [[0, 1, 2], [1, 3, 5], [[1, "a"]], [[1, "a"]]]),
    ('min(3, 1), max([1, 2.5]), sorted(["b", "a"], reverse=true), reversed([1, 2])',
     [1, 2.5, ["b", "a"], [2, 1]]),
    ('join([1, "a", null], "-"), split("a  b"), split("a,b,c", ",", 1)',
     ["1-a-null", ["a", "b"], ["a", "b,c"]]),
    ('strip(" a "), lower("AÉ"), upper("ß"), replace("aa", "a", "b")', ["a", "aé", "SS", "bb"]),
    ('startswith("ab", "a"), endswith("ab", "b")', [True, True]),
    (r'find(r"(\d)(\d)", "x12"), find(r"\d+", "x12"), find(r"\d", "x")', ["1", "12", None]),
    (r'match(r"(a)(b)?", "a"), match(r"\w+", "ab c"), match("b", "ab")',
     [["a", None], ["ab"], None]),
    ('json({"a": [1.0, "é"]}), json("q"), parse_json("[1, null]")',
     ['{"a":[1.0,"é"]}', '"q"', [1, None]]),
    ('majority(["a", "b", "b"]), majority([2, 1]), argmax([1, 3, 3])', ["b", 2, 1]),
    ("first([1, 2]), last([1, 2]), unique([1, 1, 2])", [1, 2, [1, 2]]),
    ('truncate("aé日", 3), truncate("aé", 2), tokens("é")', ["aé", "a", 2]),
    ('try(parse_json("x"), 3), try(1 // 0, try([][0], "both"))', [3, "both"]),
    ('"{1 if true else 2:03d}", "{ {"a": 1}["a"] }"', ["001", "1"]),
]  # fmt: skip


@pytest.mark.parametrize(("source", "values"), VALUES, ids=[case[0] for case in VALUES])
def test_values(tell, source: str, values: list) -> None:
    """As constants, and of an input, where nothing can be folded away."""
    assert tell(f"return [{source}]\n").outputs == [values]
    hidden = f"program main(one: json):\n    return [v for v in [{source}] if one == 1]\n"
    assert tell(hidden, [{"one": 1}]).outputs == [values]


FAILURES = [
    ('int("x")', "value_error"),
    ('float("nan")', "value_error"),
    ("min([])", "value_error"),
    ("first([])", "value_error"),
    ("majority([])", "value_error"),
    ('split("abc", "")', "value_error"),
    ('parse_json("NaN")', "value_error"),
    ('parse_json("[1,")', "value_error"),
    ('truncate("a", -1)', "value_error"),
    ("[1][::0]", "value_error"),
    ("[1][5]", "index_error"),
    ('"abc"[5]', "index_error"),
    ('{"a": 1}["b"]', "key_error"),
    ("1 // 0", "zero_division"),
    ("1e308 * 10", "too_large"),
    ('sorted([1, "a"])', "type_error"),
]


@pytest.mark.parametrize(("source", "code"), FAILURES)
def test_a_call_that_fails_fails_its_row(tell, source: str, code: str) -> None:
    program = f"program main(c: bool):\n    if c:\n        return [{source}]\n    return []\n"
    failed, done = tell(program, [{"c": True}, {"c": False}]).outputs
    assert failed.startswith(f"{code}: ")
    assert done == []


ERRORS = [
    ('1 + "a"', "E0302"),
    ('1 == "a"', "E0303"),
    ('"a" < 1', "E0303"),
    ("len(3)", "E0301"),
    ("round(1.5)", "E0203"),
    ("nothing", "E0203"),
    ("(1, 2)", "E0112"),
    ('{"a": 1, "a": 2}', "E0201"),
    ("{1: 2}", "E0301"),
    ('match("(", "x")', "E0606"),
    ("upper()", "E0306"),
    ("min([1], key=2)", "E0306"),
    ('"a".upper()', "E0307"),
    ('"{1:q}"', "E0309"),
    ('read("x")', "E0507"),
]


@pytest.mark.parametrize(("source", "code"), ERRORS)
def test_what_cannot_be_right_is_a_compile_error(refuse, source: str, code: str) -> None:
    assert refuse(f"return {source}\n") == [code]
