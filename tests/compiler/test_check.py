"""What the checker says of right programs: types of variables, groups, metas, results."""

from __future__ import annotations

from pathlib import Path

import pytest
from checking import body, checked, codes, types

from sglc.compiler import syntax
from sglc.compiler.check import check
from sglc.compiler.checked import Meta
from sglc.compiler.diagnostics import CompileErrors
from sglc.compiler.host import is_pure, to_host
from sglc.ir.host.evaluate import evaluate


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("1 + 2", "int"),
        ("1 / 2", "float"),
        ("1 + 0.5", "float"),
        ("true + true", "int"),
        ("text * 2", "str"),
        ("[1] + [0.5]", "list[float]"),
        ("[1, text]", "list[json]"),
        ("[1, null]", "list[int?]"),
        ("text or null", "str?"),
        ("1 if text else null", "int?"),
        ("{'a': 1}['a']", "json"),
        ("[len(w) for w in split(text)]", "list[int]"),
        ("{w: 1 for w in split(text)}", "json"),
        ("text[0]", "str"),
        ("split(text)[1:]", "list[str]"),
        ("zip(split(text), [1])[0]", "tuple[str, int]"),
        ("enumerate(split(text))", "list[tuple[int, str]]"),
        ("max([1, 2.5])", "float"),
        ("max(len(text), 3)", "int"),
        ("sum([1, 2])", "int"),
        ("sum([0.5])", "float"),
        ("find(r'[0-9]+', text)", "str?"),
        ("match(r'(a)(b)', text)", "tuple[str, str]?"),
        ("match(r'(a)|(b)', text)", "tuple[str?, str?]?"),
        ("try(parse_json(text), null)", "json"),
        ("try(int(text), null)", "int?"),
        ("majority(split(text))", "str"),
        ("first(zip(split(text), [1]))[1]", "int"),
        ("text in split(text) and not text", "bool"),
        ("1 < len(text) <= 3", "bool"),
        ("any([w == text for w in split(text)])", "bool"),
    ],
)
def test_types_of_expressions(expr: str, expected: str) -> None:
    assert types(body(f"let x = {expr.replace(chr(39), chr(34))}"))["x"] == expected


def test_a_group_has_what_its_branches_surely_bind() -> None:
    found = types(
        body(
            """
            fork word in split(text) as views:
                gen view(logprobs=2)
                select grade from ["A", "B"]
                if grade == "A":
                    gen more
            let kinds = views.grade
            let counts = [len(v.view.tokens) for v in views]
            let sure = views[0].view.logprobs
            """
        )
    )
    assert found["views"] == (
        "group{word: str, view: str, view.logprobs: list[json], "
        'view.tokens: list[str], grade: "A" | "B"}'
    )
    assert found["kinds"] == 'list["A" | "B"]'
    assert found["counts"] == "list[int]"
    assert found["sure"] == "list[json]"


def test_a_counting_fork_binds_i() -> None:
    assert types(body("fork 3 as g:\n    gen x"))["g"] == "group{i: int, x: str}"


def test_samples_are_a_list_and_so_are_their_metas() -> None:
    found = types(body('gen x(n=3)\n"{x.tokens}"'))
    assert found["x"] == "list[str]"
    assert found["x.tokens"] == "list[list[str]]"


def test_metas_are_in_the_tables() -> None:
    result = checked(body('select x from ["a", "b"]\n"{x.scores} {x.index}"\ngen y'))
    assert set(result.metas.values()) == {Meta("x", "scores"), Meta("x", "index")}


def test_a_meta_dies_when_its_name_is_bound_anew() -> None:
    assert codes(body('gen x\nx = "a"\n"{x.tokens}"\ngen y')) == ["E0213"]


def test_a_meta_survives_a_loop_that_renews_it() -> None:
    loop = 'gen x\nwhile len(x.tokens) > 3 max 5:\n    "again"\n    gen x'
    assert types(body(loop))["x.tokens"] == "list[str]"


def test_a_meta_that_a_round_does_not_renew_is_lost_at_its_start() -> None:
    loop = 'gen x\nfor w in split(text):\n    "{x.tokens}"\n    x = w\ngen y'
    assert codes(body(loop)) == ["E0213"]


def test_a_field_of_a_record_hides_the_meta() -> None:
    result = checked(
        """
        type Count:
            tokens: int

        extern count(text: str) -> Count

        program main(text: str):
            let x = count(text)
            let n = x.tokens + 1
        """
    )
    assert not result.metas
    assert str(result.variables[result.program]["n"]) == "int"


def test_choices_of_several_selects_are_joined() -> None:
    found = types(
        body(
            """
            if text:
                select x from ["a", "b"]
            else:
                select x from ["c"]
            """
        )
    )
    assert found["x"] == '"a" | "b" | "c"'


def test_an_empty_start_takes_its_type_from_what_follows() -> None:
    found = types(
        body(
            """
            let best = null
            let seen = []
            for word in split(text):
                seen = seen + [word]
                if best == null or len(word) > len(best):
                    best = word
            """
        )
    )
    assert found["best"] == "str?"
    assert found["seen"] == "list[str]"


def test_results_are_inferred_callees_first() -> None:
    result = checked(
        """
        program main(text: str):
            let v = run outer(text)
            return v + 1

        def outer(text: str):
            let v = inner(text)
            return v * 2

        def inner(text: str):
            return len(text)
        """
    )
    assert str(result.results[result.program]) == "int"
    assert list(result.fragments.values()) == ["outer", "inner"]


def test_a_program_without_return_has_no_result() -> None:
    result = checked(body("gen x"))
    assert result.results[result.program] is None


def test_defines_replace_consts() -> None:
    program = """
        const NAMES = ["a", "b"]
        const COUNT = len(NAMES)

        program main(text: str):
            let n = COUNT
            select x from NAMES
        """
    result = checked(program, defines={"NAMES": ["c"]})
    assert sorted(map(str, result.consts.values())) == ["1", "['c']", "['c']"]
    assert str(result.variables[result.program]["x"]) == '"c"'


def test_imports(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "data.json").write_text('["x", "y"]')
    (tmp_path / "lib" / "shots.sgl").write_text(
        'import "more.sgl"\n'
        'const SHOTS = read_json("data.json") + MORE\n'
        "type Item:\n    name: str\n"
        'def show(item: Item):\n    "{item.name}"\n'
        "program test(item: Item):\n    show(item)\n"
    )
    (tmp_path / "lib" / "more.sgl").write_text('const MORE = ["z"]\n')
    main = tmp_path / "main.sgl"
    main.write_text(
        'import "lib/shots.sgl" as shots\nimport "lib/more.sgl"\n'
        "program main(item: shots.Item):\n"
        "    shots.show(item)\n"
        "    select x from shots.SHOTS\n"
        "    select y from MORE\n"
        "    return [x, y]\n"
    )
    result = check(main)
    found = {name: str(type) for name, type in result.variables[result.program].items()}
    assert found == {"item": "Item", "x": '"x" | "y" | "z"', "y": '"z"'}
    assert len(result.sources) == 3


def test_imports_are_not_handed_on(tmp_path: Path) -> None:
    (tmp_path / "a.sgl").write_text('const A = "a"\n')
    (tmp_path / "b.sgl").write_text('import "a.sgl"\nconst B = A\n')
    (tmp_path / "main.sgl").write_text(
        'import "b.sgl"\nprogram main():\n    "{B} {A}"\n    gen x\n'
    )
    with pytest.raises(CompileErrors) as caught:
        check(tmp_path / "main.sgl")
    assert [d.message for d in caught.value.diagnostics] == ["`A` is not defined"]


def test_host_expressions_of_checked_ones_evaluate() -> None:
    """Variables become operands, comprehensions' names locals, consts their values."""
    result = checked(
        """
        const LIMIT = 2

        extern size(text: str) -> int

        program main(text: str):
            let words = [upper(w) for w in split(text) if 1 < len(w) + 1 <= LIMIT + 9]
            let shown = "{words} {len(words):03d}"
            let asked = size(text) + 1
        """
    )
    values: list[syntax.Node] = []

    def operand(node: syntax.Node) -> int:
        values.append(node)
        return len(values) - 1

    lets = [stmt for stmt in result.program.body if isinstance(stmt, syntax.Let)]
    words, shown, asked = (to_host(stmt.value, result, operand) for stmt in lets)
    found = evaluate(words, ["a bc def"])
    assert found == ["A", "BC", "DEF"]
    assert evaluate(shown, [None, found, found]) == '["A","BC","DEF"] 003'
    assert evaluate(asked, [None, None, None, 8]) == 9
    assert [type(value).__name__ for value in values] == ["Name", "Name", "Name", "Call"]
    assert [is_pure(stmt.value, result) for stmt in lets] == [True, True, False]
