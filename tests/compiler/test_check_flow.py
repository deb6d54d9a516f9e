"""What holds where: null ruled out, names bound, roles open; and which errors are told."""

from __future__ import annotations

import pytest
from checking import body, checked, codes

from sglc.compiler.diagnostics import CompileErrors


@pytest.mark.parametrize(
    "test",
    [
        'if title != null:\n    "{upper(title)}"',
        'if title:\n    "{upper(title)}"',
        'if title == null:\n    return\n"{upper(title)}"',
        'if not title:\n    pass\nelse:\n    "{upper(title)}"',
        'if title == null or upper(title) == "A":\n    pass',
        'require title != null, "a title"\n"{upper(title)}"',
        '"{upper(title) if title else 0}"',
        '"{[upper(title) for w in split(text) if title != null]}"',
    ],
)
def test_a_test_for_null_narrows(test: str) -> None:
    checked(body(test, "text: str, title: str?"))


@pytest.mark.parametrize(
    "test",
    [
        'if title == null:\n    "{upper(title)}"',
        'if title != null or text:\n    "{upper(title)}"',
        'if title != null:\n    pass\n"{upper(title)}"',
    ],
)
def test_a_test_for_null_narrows_no_further(test: str) -> None:
    assert codes(body(test, "text: str, title: str?")) == ["E0301"]


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ('if text:\n    gen x\nelse:\n    gen x\n"{x}"\ngen y', []),
        ('if text:\n    return\nelse:\n    gen x\n"{x}"\ngen y', []),
        ('for w in split(text):\n    gen x\n"{x}"\ngen y', ["E0204"]),
        ('for w in split(text):\n    if w:\n        continue\n    gen x\n    "{x}"', []),
        ('for w in split(text):\n    if w:\n        gen x\n    "{x}"\ngen y', ["E0204"]),
        ('while text max 3:\n    gen x\n    break\n"{x}"\ngen y', ["E0204"]),
        ('gen x\nfor w in split(text):\n    gen x\n"{x}"\ngen y', []),
    ],
)
def test_definite_assignment(statements: str, expected: list[str]) -> None:
    if expected:
        assert codes(body(statements)) == expected
    else:
        checked(body(statements))


def test_one_mistake_is_one_error() -> None:
    statements = """
        let a = nothing + 1
        let b = [a, a]
        for c in b:
            "{c.field} {upper(c)} {c[0]}"
        gen x
        """
    assert codes(body(statements)) == ["E0203"]


def test_all_errors_in_one_go() -> None:
    program = """
        const A = 1 / 0

        type T:
            a: Missing

        def f(t: T) -> str:
            "{t.b}"

        program main(text: str):
            f(text)
            "{nothing}"
            user:
                assistant "{A}"
        """
    assert codes(program) == ["E0504", "E0212", "E0310", "E0213", "E0301", "E0203", "E0401"]


def test_what_is_not_supported_counts_only_where_the_program_goes() -> None:
    program = """
        program plain(text: str):
            "{text}"
            gen x

        program seeing(picture: image):
            "{picture}"
            gen x
        """
    assert checked(program, program="plain").program.name.text == "plain"
    with pytest.raises(CompileErrors) as caught:
        checked(program, program="seeing")
    assert [d.code for d in caught.value.diagnostics] == ["E0801"]


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ('user "a"\nassistant:\n    gen x', []),
        ('"a"\nuser "b"', []),
        ('user "a"\n"b"', ["E0402"]),
        ('if text:\n    user "a"\n"b"', ["E0402"]),
        ('if text:\n    user "a"\n    return\n"b"', []),
        ('for w in split(text):\n    "b"\n    user "a"', ["E0402"]),
        ('for w in split(text):\n    user:\n        break\nuser "a"', []),
        ('user:\n    fork w in split(text) as g:\n        "{w}"\n    join g', []),
        ('fork w in split(text) as g:\n    user "{w}"\njoin g\n"b"', ["E0402"]),
        ('fork w in split(text) as g:\n    user "{w}"\n"b"', []),
        ('fork w in split(text) as g:\n    "{w}"\nuser "a"\njoin g', ["E0411"]),
        ('user "a"\ngen x', ["E0402"]),
        ('user:\n    capture c:\n        "a"\n"{c}"', ["E0402"]),
    ],
)
def test_roles(statements: str, expected: list[str]) -> None:
    if expected:
        assert codes(body(statements)) == expected
    else:
        checked(body(statements))


def test_an_error_in_a_fragment_is_reported_once_whoever_calls_it() -> None:
    program = """
        def say(text: str):
            "{text}"

        program main(text: str):
            say(text)
            user "{text}"
            say(text)
            say(text)
        """
    assert codes(program) == ["E0402"]


def test_a_run_starts_outside_roles() -> None:
    checked(
        """
        def ask(text: str):
            user "{text}"
            assistant:
                gen x
            return x

        program main(text: str):
            user:
                let v = run ask(text)
                "{v}"
            assistant:
                gen y
        """
    )
