"""Forks, joins, calls, runs, loops, names and externs: what runs, in which context, how often."""

from __future__ import annotations

import asyncio
import time

import pytest


def test_branches_share_what_stands_above_and_leave_the_parent_alone(tell) -> None:
    source = """
    program main(dims: list[str]):
        "a"
        fork dim in dims as views:
            "<{dim}"
            gen review
            select grade from ["1", "2"]
        "b"
        gen y
        let first_one = views[0].review if views else "none"
        return [views.dim, views.review, views.grade.index, len(views), first_one, y]
    """
    rows = [{"dims": ["p", "q"]}, {"dims": []}]
    told = tell(source, rows, {"review": lambda question: question.prompt.upper()})
    assert told.outputs == [
        [["p", "q"], ["A<P", "A<Q"], [0, 0], 2, "A<P", "X"],
        [[], [], [], 0, "none", "X"],
    ]
    assert told.prompts("y") == ["ab", "ab"]


def test_join_appends_the_branches_in_order_with_their_roles(tell) -> None:
    source = """
    program main(n: int):
        user "s"
        fork n as g:
            user "q{i}"
            assistant:
                gen x
        join g
        assistant:
            gen y
        return [v.i for v in g]
    """
    told = tell(source, [{"n": 2}, {"n": 0}, {"n": -1}])
    assert told.outputs == [[0, 1], [], []]
    start, end = "<|im_start|>", "<|im_end|>\n"
    branch = f"{start}user\nq%d{end}{start}assistant\nX{end}"
    opening, last = f"{start}user\ns{end}", f"{start}assistant\n"
    assert sorted(told.prompts("y")) == sorted(
        [opening + branch % 0 + branch % 1 + last, opening + last, opening + last]
    )


def test_forks_nest_and_join_where_they_may(tell) -> None:
    source = """
    "s"
    fork a in ["1", "2"] as g:
        "{a}"
        fork b in ["x", "y"] as h:
            "{b}"
            gen z
        join h
        gen w
    join g
    "."
    join g
    gen last
    return [g.w, g[1].h[0].z, [[v.z for v in u.h] for u in g]]
    """
    told = tell(source, answers={"z": "Z", "w": lambda question: str(len(question.prompt))})
    assert told.outputs == [[["6", "6"], "Z", [["Z", "Z"], ["Z", "Z"]]]]
    assert told.prompts("w") == ["s1xZyZ", "s2xZyZ"]
    assert told.prompts("last") == ["s1xZyZ62xZyZ6.1xZyZ62xZyZ6"]


def test_fragments_append_where_they_are_called_and_runs_do_not(tell) -> None:
    source = """
    def show(a: str, b: str = "dd"):
        "<{a}{b}>"
    def ask(x: str) -> str:
        "in {x}:"
        gen q
        return q
    program main(xs: list[str]):
        show("x")
        show(b="1", a="2")
        let here = ask("h")
        let lone = run ask("l")
        let many = [run ask(x) for x in xs if x != "b"]
        let by_name = {x: run ask(x) for x in xs}
        gen z
        return [here, lone, many, by_name, upper(run ask("u"))]
    """
    told = tell(source, [{"xs": ["a", "b"]}], {"q": lambda question: question.prompt[-2]})
    assert told.outputs == [["h", "l", ["a"], {"a": "a", "b": "b"}, "U"]]
    assert told.prompts("z") == ["<xdd><21>in h:h"]


def test_loops_and_conditions_on_what_is_generated(tell) -> None:
    source = """
    program main(limit: int):
        let n = 0
        "go"
        gen a
        while a != "stop" max limit:
            n = n + 1
            if a == "skip":
                gen a
                continue
            "again"
            gen a
        if a == "stop":
            gen b
        elif n > 1:
            let b = "many"
        else:
            let b = "few"
        return [n, a, b]
    """
    answers = {"a": ["x", "skip", "stop"], "b": "B"}
    told = tell(source, [{"limit": 5}], answers)
    assert told.outputs == [[2, "stop", "B"]]
    assert told.prompts("b") == ["goxagainskipstop"]
    for limit, output in ((0, [0, "x", "few"]), (1, [1, "x", "few"]), (3, [3, "x", "many"])):
        assert tell(source, [{"limit": limit}], {"a": "x"}).outputs == [output]
    assert tell(source, [{"limit": -3}], {"a": "x"}).outputs == [[0, "x", "few"]]


def test_for_goes_through_lists_groups_texts_and_dicts(tell) -> None:
    source = """
    program main(s: str, d: json, pairs: list[list[int]]):
        for c in s: "<{c}>"
        for k in d: "({k})"
        for a, b in pairs: "{a}-{b};"
        for i, x in enumerate(["p", "q"]):
            if x == "q":
                continue
            "{i}{x}"
        gen y
    """
    row = {"s": "aé", "d": {"k": 1, "l": 2}, "pairs": [[1, 2], [3, 4]]}
    assert tell(source, [row]).prompts("y") == ["<a><é>(k)(l)1-2;3-4;0p"]


def test_any_order_puts_constants_first_and_nothing_else_is_moved(tell) -> None:
    source = """
    const LONG = "The rules are these and only these. "
    program main(a: str, b: str):
        any_order:
            "{a} "
            "{LONG}"
        "{b} "
        "{LONG}"
        gen x(max_tokens=2)
    """
    rules = "The rules are these and only these. "
    assert tell(source, [{"a": "A", "b": "B"}]).prompts("x") == [f"{rules}A B {rules}"]


def test_require_fails_the_row_and_only_it(tell) -> None:
    source = """
    program main(x: int):
        require x > 1, "x is {x}"
        gen y
        require y != "bad"
    """
    rows = [{"x": 1}, {"x": 2}, {"x": 3}]
    told = tell(source, rows, {"y": lambda question: "bad" if question.row == 1 else "good"})
    assert told.outputs == [
        "require: x is 1",
        'require: the row does not meet `y != "bad"`',
        {"y": "good"},
    ]


NAME_ERRORS = {
    "unbound on one path": ("if 1 < 2:\n    let x = 1\nreturn x\n", "E0204"),
    "bound in a loop only": ("for x in [1]:\n    pass\nreturn x\n", "E0204"),
    "a second let": ("let x = 1\nlet x = 2\nreturn x\n", "E0209"),
    "no let": ("x = 1\nreturn x\n", "E0206"),
    "another type": ('let x = 1\nx = "a"\nreturn x\n', "E0312"),
    "a gen of another type": ('let x = 1\n"a"\ngen x\nreturn x\n', "E0312"),
    "an outer name in a branch": ('let x = "a"\nfork 2 as g:\n    gen x\nreturn g.x\n', "E0207"),
    "a break out of a branch": ("for x in [1]:\n    fork 2 as g:\n        break\n", "E0403"),
    "not sure in a branch": (
        "fork 2 as g:\n    if i > 0:\n        let z = 1\nreturn g.z\n", "E0213"),
    "a while without a bound": ("while true:\n    pass\n", "E0412"),
    "a gen in any_order": ('any_order:\n    "a"\n    gen x\n', "E0408"),
    "two gens in a reasoning": ("reasoning t:\n    gen a\n    gen b\n", "E0409"),
    "an outer item in a branch": (
        'for x in ["a"]:\n    pass\nfork x in ["b"] as g:\n    "{x}"\nreturn g.x\n', "E0207"),
    "a count within a count": ("fork 2 as g:\n    fork 2 as h:\n        gen z\n", "E0207"),
}  # fmt: skip


@pytest.mark.parametrize("what", NAME_ERRORS)
def test_names_and_flow_are_checked(refuse, what: str) -> None:
    body, code = NAME_ERRORS[what]
    assert refuse(body) == [code]


def test_parameters_keep_their_values_and_gens_may_rebind_names(refuse, tell) -> None:
    assert refuse('program main(a: str):\n    "x"\n    gen a\n') == ["E0205"]
    source = """
    let x = "0"
    for i in range(2):
        "{x}"
        gen x
    return x
    """
    assert tell(source, answers={"x": ["p", "q"]}).outputs == ["q"]


def test_recursion_and_calls_inside_expressions_are_errors(refuse) -> None:
    circle = "def f():\n    g()\ndef g():\n    f()\nprogram main():\n    f()\n"
    assert refuse(circle) == ["E0210"]
    ask = "def f() -> str:\n    gen x\n    return x\nprogram main():\n    return upper(f())\n"
    assert refuse(ask) == ["E0405"]


def test_all_errors_are_told_in_one_go(refuse) -> None:
    source = """
    program main(a: str):
        let b = c + d
        gen a
        foo(3)
        user:
            user "x"
        return e
    """
    assert refuse(source) == ["E0203", "E0203", "E0205", "E0203", "E0401", "E0203"]


def test_what_cannot_fit_the_model_is_refused_or_fails_its_row(refuse, tell) -> None:
    """Rule 9: max_tokens count, known or not."""
    source = """
    program main(x: str):
        "{x}0123456789"
        gen y(max_tokens=85)
    """
    assert refuse(source.replace("85", "91"), context_len=100) == ["E0704"]
    rows = [{"x": "a" * 5}, {"x": "b" * 6}, {"x": ""}]
    assert tell(source, rows, context_len=100).outputs == [
        {"y": "X"},
        "too_long: needs 101 tokens (16 before it and 85 of max_tokens), "
        "the model's context holds 100; shorten the row's texts or ask for fewer tokens",
        {"y": "X"},
    ]
    # an arm that some rows do not take is no reason to refuse
    arm = """
    program main(x: bool):
        if x:
            "0123456789"
            gen y
        return 1
    """
    assert tell(arm, [{"x": False}], context_len=20).outputs == [1]


# ---------------------------------------------------------------- externs


def test_externs_run_in_program_order_once_an_evaluation(tell) -> None:
    source = """
    extern note(x: str) -> str
    program main(a: str):
        note(a)
        let xs = [note(x) for x in ["1", a]]
        gen y
        let no = note("2") == "" and note("never") == ""
        let z = note("never") if no else note("3")
        fork k in ["4"] as g:
            let f = note(k)
        return [xs, z, g.f]
    """
    calls: list[str] = []

    def note(x: str) -> str:
        calls.append(x)
        return x.upper()

    assert tell(source, [{"a": "q"}], externs={"note": note}).outputs == [[["1", "Q"], "3", ["4"]]]
    assert calls == ["q", "1", "q", "2", "3", "4"]


def test_an_extern_that_fails_fails_its_row_unless_tried(tell) -> None:
    source = """
    extern get(x: str) -> str (timeout=0.2, retries=1)
    program main(x: str, tries: bool):
        if tries:
            return try(get(x), "default")
        return get(x)
    """
    calls: list[str] = []

    def get(x: str) -> object:
        calls.append(x)
        match x:
            case "late":
                time.sleep(0.5)
            case "boom" | "once" if x == "boom" or calls.count(x) == 1:
                raise ValueError("no")
        return 3 if x == "number" else x

    names = ("good", "once", "boom", "late", "number")
    rows = [{"x": x, "tries": tries} for x in names for tries in (False, True)]
    told = tell(source, rows, externs={"get": get})
    assert told.outputs == [
        "good",
        "good",
        "once",
        "once",
        "extern: extern `get` raised ValueError: no",
        "default",
        "extern: extern `get` did not return in 0.2 s",
        "default",
        "extern: extern `get` returned a wrong value: expected a str, found an int",
        "default",
    ]
    assert calls.count("boom") == 4


def test_externs_may_be_async(tell) -> None:
    async def slow(x: str) -> str:
        await asyncio.sleep(0.01)
        return x + "!"

    source = """
    extern slow(x: str) -> str
    program main(x: str):
        return slow(x)
    """
    assert tell(source, [{"x": "a"}, {"x": "b"}], externs={"slow": slow}).outputs == ["a!", "b!"]


def test_a_failed_require_is_not_caught(tell) -> None:
    source = """
    def f(x: int) -> str:
        require x > 0, "x is {x}"
        return str(1 // (x - 1))
    program main(x: int):
        return try(run f(x), "default")
    """
    rows = [{"x": 0}, {"x": 1}, {"x": 2}]
    assert tell(source, rows).outputs == ["require: x is 0", "default", "1"]


def test_two_files_share_an_extern_that_they_declare_alike(tell, refuse, tmp_path) -> None:
    for name, type in (("a", "str"), ("b", "str"), ("c", "int")):
        (tmp_path / f"{name}.sgl").write_text(
            f"extern get(x: {type}) -> str\n"
            f"def f(x: {type}) -> str:\n    let v = get(x)\n    return v\n",
            encoding="utf-8",
        )
    alike, unlike = tmp_path / "alike.sgl", tmp_path / "unlike.sgl"
    text = 'import "a.sgl" as a\nimport "{}.sgl" as b\nprogram main():\n'
    text += '    let x = a.f("s")\n    let y = b.f({})\n    return [x, y]\n'
    alike.write_text(text.format("b", '"t"'), encoding="utf-8")
    unlike.write_text(text.format("c", "1"), encoding="utf-8")
    assert tell(alike, externs={"get": str.upper}).outputs == [["S", "T"]]
    assert refuse(unlike) == ["E0201"]


def test_a_trace_has_the_named_values_and_each_context(tell) -> None:
    source = """
    def f() -> str:
        user "run"
        assistant:
            gen r
        return r
    program main(a: str):
        let r = run f()
        "x{a}"
        fork 2 as g:
            "b{i}"
            gen k
        gen z
        return [r, g.k]
    """
    answers = {"r": "R", "k": ["K0", "K1"], "z": "Z"}
    (trace,) = tell(source, [{"a": "A"}], answers, trace=True).traces
    assert trace.names == (("r", "R"), ("k", "K0"), ("k", "K1"), ("z", "Z"))
    assert trace.contexts == (
        [{"role": None, "text": "xAZ"}],
        [{"role": "user", "text": "run"}, {"role": "assistant", "text": "R"}],
        [{"role": None, "text": "xAb0K0"}],
        [{"role": None, "text": "xAb1K1"}],
    )
