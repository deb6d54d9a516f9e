"""Source form, strings and declarations: what a program's text is, before anything generates."""

from __future__ import annotations

import pytest

# the program's one gen is asked with this prompt
TEXTS = {
    "interpolation of any expression": ('"{1 + 1} {[x * 2 for x in [1, 2]]} {"in {"quotes"}"}"\n',
                                        "2 [2,4] in quotes"),
    "braces": ('"{{x}} {{{1}}}"\n', "{x} {1}"),
    "raw strings": ('r"{x}\\n"\n', "{x}\\n"),
    "escapes": (r'"\x41\u00e9\t\"\\"' + "\n", 'Aé\t"\\'),
    "single quotes": ("'it is \"so\"'\n", 'it is "so"'),
    "triple quotes lose a newline and indentation": (
        '"""\n    one\n      two\n\n    {1}\n    """\n', "one\n  two\n\n1\n"),
    "an interpolated value keeps its lines": (
        'let x = "a\\n   b"\n"""\n    {x}\n    c"""\n', "a\n   b\nc"),
    "format specs": ('"{1.5:.2f}|{7:03d}|{"a":>3}|{0.25:.0%}|{12345:,}"\n',
                     "1.50|007|  a|25%|12,345"),
    "a dict stands behind a space": ('"{ {"a": null} }"\n', '{"a":null}'),
    "braces in braces": ('"{ {"a": {"b": 1}}["a"]["b"] }{[{"c": 2}][0]["c"]}"\n', "12"),
    "comments": ('"a"  # "b"\n# "c"\n"d"\n', "ad"),
    "brackets continue lines": ('let l = [\n  1,  # one\n\n  2,\n]\n"{l}"\n', "[1,2]"),
    "blocks on one line": ('if true: "yes"\nelse: "no"\nfor i in range(2): "{i}"\n', "yes01"),
    "statement words are names elsewhere": (
        'let gen = "g"\nlet fork = gen + "!"\n"{gen}{fork}"\n', "gg!"),
}  # fmt: skip


@pytest.mark.parametrize("what", TEXTS)
def test_text(tell, what: str) -> None:
    body, prompt = TEXTS[what]
    assert tell(body + "gen x\n").prompts("x") == [prompt]


def test_values_as_text(tell) -> None:
    """Rule 11: a str as it is, everything else as compact JSON."""
    source = """
    program main(s: str, n: int, f: float, b: bool, l: list[str], o: str?, j: json):
        "{s}|{n}|{f}|{b}|{l}|{o}|{j}"
        gen x
    """
    row = {"s": 'a"{b}', "n": 3, "f": 1, "b": False, "l": ['q"', "é"], "o": None, "j": {"k": [1.0]}}
    assert tell(source, [row]).prompts("x") == ['a"{b}|3|1.0|false|["q\\"","é"]|null|{"k":[1.0]}']


def test_consts_are_computed_when_compiling(tell, tmp_path) -> None:
    (tmp_path / "rubric.txt").write_text("Be fair.\n", encoding="utf-8")
    (tmp_path / "shots.json").write_text('[{"q": "1+1", "a": 2}]', encoding="utf-8")
    file = tmp_path / "main.sgl"
    file.write_text(
        """
const RUBRIC = strip(read("rubric.txt"))
const SHOTS = read_json("shots.json")
const BOTH = {"rubric": RUBRIC, "count": len(SHOTS), "tokens": tokens("é")}

program main():
    "{BOTH} "
    for shot in SHOTS:
        "{shot.q}={shot.a}"
    gen x
""",
        encoding="utf-8",
    )
    assert tell(file).prompts("x") == ['{"rubric":"Be fair.","count":1,"tokens":2} 1+1=2']


def test_define_replaces_a_const(tell, refuse) -> None:
    source = "const N = 1\nconst M = N + 1\nprogram main():\n    return [N, M]\n"
    assert tell(source, define={"N": 5}).outputs == [[5, 6]]
    assert "E0509" in refuse(source, define={"N": "x"})
    assert refuse(source, define={"K": 1}) == ["E0508"]


def test_imports_bring_declarations_and_no_more(tell, refuse, tmp_path) -> None:
    (tmp_path / "inner.sgl").write_text('const DEEP = "deep"\n', encoding="utf-8")
    (tmp_path / "shots.sgl").write_text(
        'import "inner.sgl"\nconst STYLE = "short {DEEP}"\ntype Item:\n    name: str\n'
        'def show(item: Item):\n    "<{item.name}>"\nprogram other():\n    pass\n',
        encoding="utf-8",
    )
    named = tmp_path / "named.sgl"
    named.write_text(
        'import "shots.sgl" as s\nprogram main(i: s.Item):\n    s.show(i)\n    "{s.STYLE}"\n'
        "    gen x\n",
        encoding="utf-8",
    )
    plain = tmp_path / "plain.sgl"
    plain.write_text(
        'import "shots.sgl"\nprogram main(i: Item):\n    show(i)\n    "{STYLE}"\n    gen x\n',
        encoding="utf-8",
    )
    for file in (named, plain):
        assert tell(file, [{"i": {"name": "n"}}]).prompts("x") == ["<n>short deep"]
    handed_on = tmp_path / "on.sgl"
    handed_on.write_text('import "shots.sgl"\nprogram main():\n    "{DEEP}"\n', encoding="utf-8")
    assert refuse(handed_on) == ["E0203"]


def test_one_of_several_programs(tell, refuse) -> None:
    source = "program a():\n    return 1\nprogram b():\n    return 2\n"
    assert tell(source, program="b").outputs == [2]
    assert refuse(source) == ["E0511"]
    assert refuse(source, program="c") == ["E0512"]


def test_special_is_the_way_to_a_control_token(tell, refuse) -> None:
    source = """
    program main(text: str):
        "{text}{special("<|im_end|>")}{text}"
        gen x
        return tokens(text)
    """
    told = tell(source, [{"text": "<|im_end|>"}])
    (request,) = told.requests
    ids = request.prefix.token_ids()
    spelt = list(b"<|im_end|>")
    assert ids == [*spelt, 258, *spelt]
    assert told.outputs == [10]
    assert refuse('"{special("<|no|>")}"\ngen x\n') == ["E0701"]
    assert refuse('let x = "{special("<|im_end|>")}"\n') == ["E0407"]


def test_the_output_without_return_is_the_names_surely_bound(tell) -> None:
    source = """
    def f() -> str:
        gen inside
        return inside
    program main(c: bool):
        "a"
        let v = f()
        if c:
            let only_here = 1
        gen x
        fork k in [1] as g:
            gen y
        capture text:
            "abc"
    """
    wanted = {"v": "X", "x": "X", "g": [{"k": 1, "y": "X"}], "text": "abc"}
    assert tell(source, [{"c": True}, {"c": False}]).outputs == [wanted, wanted]
