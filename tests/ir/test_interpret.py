"""The slow meaning, on programs whose outcome is clear, and what the toy model promises."""

from __future__ import annotations

import pytest

from sglc.ir.interpret import Failure, InterpretResult, interpret
from sglc.ir.text import parse_module
from sglc.ir.toy import ToyContext, ToyModel
from sglc.ir.types import INT, STR, IntType, ListType, LiteralType, RecordType
from sglc.ir.values import conform


def run(text: str, *, seed: int = 0, externs: dict[str, object] | None = None) -> InterpretResult:
    module = parse_module(text)
    return interpret(module, {"q": "why"}, ToyModel(seed), externs or {})  # type: ignore[arg-type]


def test_texts_roles_and_tokens_are_appended_in_order() -> None:
    result = run("""
program main(%q.0: str) -> str {
  %1: ctx = start
  %2: ctx<user> = open %1, "user"
  %3: ctx<user> = append %2, %q.0
  %4: ctx<user> = control %3, "eot"
  %5: ctx = close %4
  %6: str = capture %1, %5
  leave %5, %6
}""")
    assert result.context == "<user>why<|eot|></user>"
    assert result.value == "why"


def test_loops_carry_and_end() -> None:
    result = run("""
program main(%q.0: str) -> json {
  %1: ctx = start
  %2: int = let 0
  %3: list[int] = let #[5,6,7,8]
  %4: int, %5: int = for %3 carrying (%2, %2) (%6: int, %7: int, %8: int, %9: int) {
    %10: bool = let %6 == 7
    if %10 {
      break %8, %7
    } else {
      yield
    }
    %11: int = let %8 + %6
    continue %11, %7
  }
  %12: int = let 3
  %13: int = while max %12 carrying (%4) (%14: int, %15: int) {
    %16: bool = let %15 < 100
    yield %16
  } do (%17: int, %18: int) {
    %19: int = let %18 * 2
    continue %19
  }
  %20: json = let [%4, %5, %13]
  leave %1, %20
}""")
    assert result.value == [11, 2, 88]


def test_branches_are_joined_with_their_roles() -> None:
    result = run("""
program main(%q.0: str) -> json {
  %1: ctx = start
  %2: ctx = append %1, %q.0
  %3: list[str] = let #["a","b"]
  %4: group{v: str, n: int}, %5: ctxs = fork %2 over %3 fields [v, n] (%6: ctx, %7: str, %8: int) {
    %9: str = let t" {%7}{%8}"
    %10: ctx = append %6, %9
    %11: ctx<user> = open %10, "user"
    %12: ctx = close %11
    yield %12, %7, %8
  }
  %13: ctx = append %1, %q.0
  %14: ctx = join %13, %5 since %2
  %15: json = let [%4[1].v, %4.n]
  leave %14, %15
}""")
    assert result.context == "why a0<user></user> b1<user></user>"
    assert result.value == ["b", [0, 1]]


def test_calls_leave_early_and_hand_down_defaults() -> None:
    text = """
function f(%0: ctx, %1: bool) -> str {{
  %2: ctx, %3: str = gen from %0 as str path [4]
  if %1 {{
    leave %0, %3
  }} else {{
    yield
  }}
  leave %2, %3
}}
program main(%q.0: str) -> str {{
  %1: ctx = start
  %2: bool = let true
  %3: {type} = let {temperature}
  %4: ctx, %5: str = call f(%1, %2) defaults (temperature=%3) path [7]
  leave %4, %5
}}"""
    cold = run(text.format(type="int", temperature="0"))
    assert cold.context == "" and [path for path, _ in cold.transcript] == [(7, 4)]
    warm = run(text.format(type="float", temperature="0.5"))
    assert warm.transcript != cold.transcript


def test_temperature_decides_whether_the_path_counts() -> None:
    text = """
program main(%q.0: str) -> json {{
  %1: ctx = start
  %2: ctx = append %1, %q.0
  %3: float = let {}
  %4: int = let 5
  %5: ctx, %6: list[int] = gen from %2 as int with (temperature=%3, n=%4) path [1]
  %7: json = let [len(unique(%6)) > 1, len(%6)]
  leave %5, %7
}}"""
    assert run(text.format("0.0")).value == [False, 5]
    assert run(text.format("0.9")).value == [True, 5]


def test_what_is_read_of_samples_is_a_list() -> None:
    text = """
program main(%q.0: str) -> json {{
  %1: ctx = start
  %2: int = let 3
  %3: ctx, %4: {}, %5: {} = gen from %1 as str{} metas [finish_reason] path [1]
  leave %3, %5
}}"""
    found = run(text.format("str", "str", "")).value
    assert found in ("stop", "length")
    values = run(text.format("list[str]", "list[str]", " with (n=%2)")).value
    assert isinstance(values, list) and len(values) == 3 and values[0] == found


EFFECTS = """
extern look(q: str) -> str
program main(%q.0: str) -> str {{
  %1: ctx = start
  %2: str = try {{
    {body}
    yield %3
  }} else {{
    %4: str = let "guarded"
    yield %4
  }}
  leave %1, %2
}}"""


@pytest.mark.parametrize(
    ("body", "value", "failure"),
    [
        ("%3: str = extern look(%q.0) path [0]", "guarded", None),
        ("%3: str = let parse_json(%q.0)", "guarded", None),
        ("%3: str = let %q.0", "why", None),
        (
            "%3: str = let %q.0\n%5: bool = let false\nrequire %5 {\nyield %3\n}",
            None,
            Failure("require", "why"),
        ),
    ],
)
def test_try_guards_expressions_and_externs_but_no_require(
    body: str, value: str | None, failure: Failure | None
) -> None:
    def look(q: str) -> str:
        raise OSError("gone")

    result = run(EFFECTS.format(body=body), externs={"look": look})
    assert (result.value, result.failure) == (value, failure)


def test_failures_are_told() -> None:
    result = run("""
extern look(q: str) -> str
program main(%q.0: str) -> str {
  %1: ctx = start
  %2: str = extern look(%q.0) path [0]
  leave %1, %2
}""")
    assert result.failure == Failure("extern", "look: 'look'")
    assert result.extern_calls == (("look", ("why",)),)
    failed = run("""
program main(%q.0: str) -> str {
  %1: ctx = start
  %2: int = let 1 // 0
  leave %1, %q.0
}""")
    assert failed.failure == Failure("zero_division", "division by zero")


def test_contexts_are_equal_however_their_text_was_put_together() -> None:
    one = ToyContext().add("text", "ab").add("text", "").add("text", "c")
    two = ToyContext().add("text", "a").add("text", "bc")
    assert one == two
    # a gen ends a stretch, even one that wrote nothing
    assert one.add("gen", "").add("text", "d") != one.add("text", "d")
    with pytest.raises(ValueError, match="did not begin as"):
        two.since(ToyContext().add("text", "x"))


def test_toy_values_are_of_their_types() -> None:
    types = [INT, IntType(3, 5), LiteralType(("a", 7)), ListType(STR, 1, 2)]
    record = RecordType("R", tuple((f"f{i}", type) for i, type in enumerate(types)))
    model = ToyModel()
    for number in range(30):
        context = ToyContext().add("text", str(number))
        value = model.sample(context, record, {"temperature": 0}, ()).value
        assert conform(value, record) == value
