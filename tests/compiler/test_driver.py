"""The driver: one call from a file to a plan, the same bytes each time, and honest failures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sglc import passes, testing
from sglc.codegen.plan_file import read_plan, write_plan
from sglc.compiler.diagnostics import CompileErrors
from sglc.compiler.driver import InternalError, UnknownPass, compile_file
from sglc.ir.text import parse_module

PROGRAM = """
const STYLE = "kind"
extern lookup(key: str) -> str

def ask(q: str) -> str:
    user "{q}"
    assistant:
        gen reply(max_tokens=8)
    return reply

program main(name: str, topics: list[str] = ["a", "b"]):
    system "Be {STYLE}."
    let first = ask("I am {name}")
    fork topic in topics as views:
        let view = ask(topic)
    let many = {t: run ask(t) for t in topics}
    return [first, views.view, many, lookup(name)]
"""


@pytest.fixture
def spec() -> testing.ModelSpec:
    return testing.Model({}).spec


def test_a_file_becomes_a_plan(tmp_path: Path, spec: testing.ModelSpec) -> None:
    path = tmp_path / "main.sgl"
    path.write_text(PROGRAM)
    result = compile_file(path, spec=spec)
    plan = result.plan
    assert (plan.program, [p.name for p in plan.params]) == ("main", ["name", "topics"])
    assert plan.params[1].default == ["a", "b"]
    assert [extern.name for extern in plan.externs] == ["lookup"]
    assert [source.name for source in plan.sources] == ["main.sgl"]
    assert plan.passes[0] == "inline"
    assert [name for name, _ in result.timings] == [
        "check",
        "lower",
        *plan.passes,
        "lengths",
        "constraints",
        "plan",
    ]
    assert dict(plan.stages) == {
        "STYLE": "const",
        "name": "input",
        "topics": "input",
        "first": "gen",
        "reply": "gen",
        "views": "gen",
        "topic": "input",
        "view": "gen",
        "many": "gen",
    }
    assert read_plan(write_plan(plan)) == plan


def test_the_same_bytes_everywhere(tmp_path: Path) -> None:
    """Neither the folder nor the hash seed shows in a plan."""
    script = (
        "import sys; from pathlib import Path; from sglc import testing;"
        "from sglc.codegen.plan_file import write_plan;"
        "from sglc.compiler.driver import compile_file;"
        "plan = compile_file(Path(sys.argv[1]), spec=testing.Model({}).spec).plan;"
        "sys.stdout.buffer.write(write_plan(plan))"
    )
    found = set()
    for seed, folder in (("1", tmp_path / "one"), ("2", tmp_path / "two" / "deep")):
        folder.mkdir(parents=True)
        (folder / "part.sgl").write_text('def hello():\n    "hello"\n')
        (folder / "main.sgl").write_text(
            'import "part.sgl"\n' + PROGRAM.replace("system", "system")
        )
        found.add(
            subprocess.run(
                [sys.executable, "-c", script, str(folder / "main.sgl")],
                env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True,
                check=True,
            ).stdout
        )
    assert len(found) == 1
    assert str(tmp_path).encode() not in found.pop()


def test_the_ir_is_printed_after_passes(spec: testing.ModelSpec) -> None:
    printed: list[str] = []
    compile_file(None, PROGRAM, spec=spec, print_after=("lower", "inline"), out=printed.append)
    assert [text.splitlines()[0] for text in printed] == ["; after lower", "; after inline"]
    modules = [parse_module(text.partition("\n")[2]) for text in printed]
    assert [len(module.functions) for module in modules] == [1, 0]


def test_skipped_passes_do_not_run(spec: testing.ModelSpec) -> None:
    optional = [each.name for each in passes.PIPELINE if each.is_optimization]
    plan = compile_file(None, PROGRAM, spec=spec, skip=optional).plan
    assert not set(plan.passes) & set(optional)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"skip": ["inline"]}, "`inline` cannot be skipped: what follows it needs it"),
        ({"skip": ["unrol"]}, "no pass is called `unrol`: did you mean `unroll`?"),
        ({"print_after": ["lowr"]}, "no pass is called `lowr`: did you mean `lower`?"),
    ],
)
def test_unknown_passes(spec: testing.ModelSpec, options: dict, sentence: str) -> None:
    with pytest.raises(UnknownPass) as error:
        compile_file(None, PROGRAM, spec=spec, **options)
    assert str(error.value) == sentence


def test_a_failing_pass_is_named_and_its_input_saved(
    tmp_path: Path, spec: testing.ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(module: object) -> None:
        raise KeyError("oops")

    pipeline = (*passes.PIPELINE[:2], passes.Pass("unlucky", broken), *passes.PIPELINE[2:])
    monkeypatch.setattr(passes, "PIPELINE", pipeline)
    path = tmp_path / "main.sgl"
    path.write_text(PROGRAM)
    with pytest.raises(InternalError) as error:
        compile_file(path, spec=spec)
    crash = tmp_path / "sglc-crash-main-unlucky.txt"
    assert str(error.value) == (
        f"`unlucky` failed (KeyError: 'oops'); the program before it is in {crash}. "
        "This is a bug in sglc: please report it with that file and the program"
    )
    assert parse_module(crash.read_text()).program.name == "main"


def test_a_program_longer_than_the_model(tmp_path: Path) -> None:
    spec = testing.Model({}, context_len=100).spec
    text = 'program p(x: str):\n    "{x}"\n    "' + "long " * 30 + '"\n    gen y\n'
    with pytest.raises(CompileErrors) as error:
        compile_file(None, text, spec=spec)
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "E0704"
    assert diagnostic.message == (
        "every row of this program needs a context of 278 tokens or more, and the model takes 100"
    )
    assert diagnostic.primary.span.line == 4


def test_fragments_that_double_each_other(spec: testing.ModelSpec) -> None:
    """Nothing is written out before the size is known: forty levels would never end."""
    text = 'def f0(a: str):\n    "{a}"\n\n'
    for level in range(1, 40):
        text += f"def f{level}(a: str):\n    f{level - 1}(a)\n    f{level - 1}(a)\n\n"
    text += "program p(a: str):\n    f3(a)\n    f39(a)\n    gen y\n"
    with pytest.raises(CompileErrors) as error:
        compile_file(None, text, spec=spec)
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "E0802"
    assert text.splitlines()[diagnostic.primary.span.line - 1].strip() == "f39(a)"
    compile_file(None, text.replace("f39(a)", "f5(a)"), spec=spec)
