"""Types: what a row may hold, what becomes of it, and what the compiler knows by them."""

from __future__ import annotations

import pytest

RECORDS = "type R:\n    a: int\n    b: S?\ntype S:\n    s: str\ntype Grade = int(0..10)\n"

# type, values that it takes, values that it does not
TAKES = [
    ("str", ["", "é"], [1, None, "\ud800", ["a"]]),
    ("int", [0, -1, 2**70], [1.0, True, "1", None]),
    ("float", [1.5, -0.0], [True, "1.5", float("nan"), float("inf"), 10**400]),
    ("bool", [True, False], [0, "true", None]),
    ("json", [None, 1, "a", [1, {"k": None}]], [float("nan"), {1: 2}, object()]),
    ("list[int]", [[], [1, 2]], [[1, "a"], "ab", {}, None]),
    ("int?", [None, 3], ["x"]),
    ('"a" | "b" | 3', ["a", 3], ["c", True, None]),
    ("int(0..10)", [0, 10], [-1, 11]),
    ("int(1..)", [1, 10**30], [0]),
    ("float(..1)", [1.0, -1e300], [1.01]),
    ("str(min_length=2, max_length=3)", ["ab", "éé日"], ["a", "abcd"]),
    ('str(pattern=r"[a-z]+")', ["abc"], ["abc1", "a\n", ""]),
    ("list[int(0..3)](min_items=1, max_items=2)", [[1], [1, 2]], [[], [1, 2, 3], [4]]),
    ("R", [{"a": 1, "b": None}, {"a": 1, "b": {"s": "x"}}],
     [{"a": 1}, {"a": "x", "b": None}, {"a": 1, "b": None, "c": 1}, {"a": 1, "b": {}}, None]),
    ("Grade", [10], [11]),
]  # fmt: skip


@pytest.mark.parametrize(("type", "good", "bad"), TAKES, ids=[case[0] for case in TAKES])
def test_rows_are_checked(tell, type: str, good: list, bad: list) -> None:
    source = f"{RECORDS}program main(x: {type}):\n    return x\n"
    rows = [{"x": value} for value in (*good, *bad)]
    outputs = tell(source, rows).outputs
    assert outputs[: len(good)] == good
    assert all(str(output).startswith("wrong_type: ") for output in outputs[len(good) :])


def test_a_bad_row_fails_alone_and_says_where(tell) -> None:
    source = f"{RECORDS}program main(x: list[R]):\n    return len(x)\n"
    rows = [{"x": []}, {"x": [{"a": 1, "b": {"s": 3}}]}, {}, {"x": []}]
    first, wrong, missing, last = tell(source, rows).outputs
    assert (first, last) == (0, 0)
    assert wrong == "wrong_type: expected a str, found an int"
    assert missing.startswith("missing_field: ")


def test_a_whole_number_becomes_a_float_where_one_is_asked_for(tell) -> None:
    source = """
    type P:
        x: float
    extern half(x: float) -> float
    def show(x: float, xs: list[float] = [1], p: P = {"x": 2}, o: float? = 3) -> list[float]:
        "{x} {xs} {p} {o}|"
        return [x]
    program main(k: int, d: float = 4) -> json:
        let a = show(k)
        let b = show(k, [k], {"x": k}, null)
        let c = run show(max([k, 0.5]))
        let e = 0.5
        e = k
        gen x
        return ["{d}", "{a}", "{b}", "{c}", "{e}", "{half(k)}"]
    """
    told = tell(source, [{"k": 2}], externs={"half": lambda x: [x][0] if type(x) is float else ""})
    assert told.outputs == [["4.0", "[2.0]", "[2.0]", "[2.0]", "2.0", "2.0"]]
    assert told.prompts("x") == ['2.0 [1.0] {"x":2.0} 3.0|2.0 [2.0] {"x":2.0} null|']


def test_the_result_is_of_the_declared_type(tell, refuse) -> None:
    source = """
    type R:
        a: float
        b: list[float]
    program main(x: int) -> R:
        return {"a": x, "b": [x, 0.5]}
    """
    assert str(tell(source, [{"x": 3}]).outputs) == "[{'a': 3.0, 'b': [3.0, 0.5]}]"
    assert refuse('program main() -> int:\n    return "a"\n') == ["E0301"]
    assert refuse("program main(c: bool) -> int:\n    if c:\n        return 1\n") == ["E0310"]


def test_null_must_be_ruled_out(tell, refuse) -> None:
    assert refuse("program main(x: str?):\n    return upper(x)\n") == ["E0301"]
    source = """
    type R:
        t: str?
    def early(x: int?) -> int:
        if x == null:
            return 0
        return x + 1
    program main(r: R, x: int?):
        if r.t != null and len(r.t) > 1:
            "{upper(r.t)}"
        let y = early(x)
        require x != null, "x is needed"
        gen z
        return [y, x + 1]
    """
    told = tell(source, [{"r": {"t": "ab"}, "x": 1}, {"r": {"t": None}, "x": None}])
    assert told.outputs == [[2, 2], "require: x is needed"]
    assert told.prompts("z") == ["AB"]


def test_json_is_checked_when_it_runs(tell) -> None:
    source = """
    program main(j: json):
        return [j.n + 1, upper(j.s), [x for x in j.l], "k" in j, j.l[0] < 2]
    """
    good = {"n": 1, "s": "a", "l": [1]}
    rows = [{"j": good}, {"j": {**good, "s": 3}}, {"j": {**good, "l": 3}}, {"j": 3}]
    first, *others = tell(source, rows).outputs
    assert first == [2, "A", [1], False, True]
    assert [other.split(":")[0] for other in others] == ["type_error"] * 3


@pytest.mark.parametrize(
    ("types", "codes"),
    [
        ("x: strr", ["E0212"]),
        ("x: int(5..1)", ["E0313"]),
        ("x: str(min_len=3)", ["E0313"]),
        ('x: str(pattern=r"(")', ["E0606"]),
        ("x: str | int", ["E0314", "E0314"]),
        ('x: "a" | "a"', ["E0314"]),
        ("x: image", ["E0703"]),
        ("x: list", ["E0313"]),
    ],
)
def test_types_that_are_none(refuse, types: str, codes: list[str]) -> None:
    assert refuse(f"program main({types}):\n    return 1\n") == codes


def test_a_type_does_not_hold_itself(refuse) -> None:
    assert refuse("type T:\n    t: T\nprogram main(t: T):\n    return 1\n") == ["E0211"]
    assert refuse("type T = U\ntype U = T\nprogram main(t: T):\n    return 1\n") == ["E0211"]


def test_json_is_checked_where_a_type_is_asked_for(tell) -> None:
    source = """
        type Verdict:
            score: float
            tags: list[str]

        def shout(word: str) -> str:
            return upper(word)

        program main(reply: str, row: json) -> Verdict:
            let first = shout(row.word)
            require first == "HI", "{first}"
            return parse_json(reply)
    """
    rows = [
        {"reply": '{"score": 1, "tags": ["a"]}', "row": {"word": "hi"}},
        {"reply": '{"score": 1}', "row": {"word": "hi"}},
        {"reply": '{"score": 1, "tags": [2]}', "row": {"word": "hi"}},
        {"reply": "{}", "row": {"word": 3}},
    ]
    done, missing, wrong, number = tell(source, rows).outputs
    assert done == {"score": 1.0, "tags": ["a"]}
    assert isinstance(done["score"], float)
    assert missing.startswith("type_error: ")
    assert "tags" in missing
    assert wrong.startswith("type_error: ")
    assert number.startswith("type_error: ")
