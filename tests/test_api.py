"""sglc from Python: programs, results, errors, and where it can be called from."""

import asyncio
import itertools
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import sglc
from sglc import testing
from sglc.ir.host.expr import Value
from sglc.runtime.extern_file import ExternError
from sglc.runtime.model.errors import ModelError
from sglc.runtime.rows.bind import InputError

SOURCE = """
const WORD = "Echo"

extern twice(text: str) -> str

program echo(text: str, n: int = 1) -> str:
    user "{WORD} {text}"
    assistant:
        gen answer(temperature=1.0)
    return answer

program doubled(text: str) -> str:
    let t = twice(text)
    user "{t}"
    assistant:
        gen answer
    return answer
"""


def answer(question: testing.Question) -> str:
    said = re.findall(r"user\n(.*)<\|im_end\|>", question.prompt)[-1]
    if "fail" in said:
        raise testing.NoAnswer("told to fail")
    return str(said).upper()


MODEL = testing.Model(answer)


@pytest.fixture(scope="module")
def echo() -> sglc.Program:
    return sglc.compile(SOURCE, model=MODEL, program="echo")


def texts(*words: str) -> list[dict[str, Value]]:
    return [{"text": word} for word in words]


def test_a_regex_without_end_fails_its_row_alone() -> None:
    source = """
program main(text: str(pattern=r"(x+x+)+y|\\w+")) -> json:
    "{text}:"
    gen reply(stop_regex=r"(!|!!)*[?]")
    let safe = try(find(r"(b+)+c", text), "none")
    return [find(r"(a+)+b", text), safe, reply]
"""
    rows = texts("aab", "a" * 40, "bbc", "x" * 40, "b" * 40)
    begin = time.monotonic()
    results = list(sglc.compile_and_run(source, rows, model=testing.Model({"reply": "yes!!?"})))
    assert time.monotonic() - begin < 30  # about 3: a second of the processor's time each
    done = [result.output for result in results if result.error is None]
    assert done == [["aa", None, "yes"], [None, "bb", "yes"], [None, "none", "yes"]]
    found, refused = (results[i].error for i in (1, 3))
    assert found is not None and found.code == "timeout" and found.where == "<program>:6:13"
    assert "write the regex so that there is only one way" in str(found)
    assert refused is not None and refused.code == "wrong_type"


def test_compile_and_run() -> None:
    source = SOURCE.split("program doubled")[0]
    results = sglc.compile_and_run(source, texts("a", "b"), model=MODEL, seed=3)
    assert [(r.index, r.output) for r in results] == [(0, "ECHO A"), (1, "ECHO B")]
    assert results[0].usage.decoded_tokens == 6
    assert repr(results[0]) == "<sglc result 0: 'ECHO A'>"


def test_a_path_or_a_source(tmp_path: Path, echo: sglc.Program) -> None:
    path = tmp_path / "echo.sgl"
    path.write_text(SOURCE)
    for given in (path, str(path)):
        assert sglc.compile(given, model=MODEL, program="echo").signature == echo.signature
    with pytest.raises((sglc.CompileError, OSError)):
        sglc.compile("no such file.sgl", model=MODEL)


def test_signature_explain_and_repr(echo: sglc.Program) -> None:
    assert echo.signature == "echo(text: str, n: int = 1) -> str"
    assert echo.explain().startswith("program echo(text: str, n: int = 1) -> str")
    assert repr(echo) == "<sglc program echo(text: str, n: int = 1) -> str>"


def test_save_and_load(tmp_path: Path, echo: sglc.Program) -> None:
    echo.save(tmp_path / "echo.bin")
    again = sglc.Program.load(tmp_path / "echo.bin", model=MODEL)
    assert again.plan == echo.plan
    assert [r.output for r in again.run(texts("x"))] == ["ECHO X"]


def test_define() -> None:
    program = sglc.compile(SOURCE, model=MODEL, program="echo", define={"WORD": "Say"})
    assert [r.output for r in program.run(texts("x"))] == ["SAY X"]


def test_a_failed_row_is_an_error_that_cannot_be_overlooked(echo: sglc.Program) -> None:
    good, unanswered, wrong = echo.run([{"text": "a"}, {"text": "fail"}, {"text": 1}])
    assert good.error is None and good.output == "ECHO A"
    assert unanswered.error is not None and unanswered.error.where == "<program>:9:9"
    assert wrong.error is not None
    assert (wrong.error.index, wrong.error.code) == (2, "wrong_type")
    with pytest.raises(
        sglc.RowError, match=r'row 2: expected a str, found an int \(row 2, field "text"\)'
    ):
        wrong.output  # noqa: B018


def test_compile_errors_are_data_and_text() -> None:
    source = SOURCE.replace("return answer\n\nprogram", "return anwser\n\nprogram").replace(
        "{t}", "{u}"
    )
    with pytest.raises(sglc.CompileError) as refusal:
        sglc.compile(source, model=MODEL, program="echo")
    assert any("anwser" in d.message for d in refusal.value.diagnostics)
    assert "did you mean `answer`?" in str(refusal.value)


def test_rows_are_read_as_they_are_needed(echo: sglc.Program) -> None:
    read: list[int] = []

    def rows() -> Iterator[Mapping[str, Value]]:
        for i in itertools.count():
            read.append(i)
            yield {"text": str(i)}

    results = echo.run(rows(), window=4)
    assert [r.output for r in itertools.islice(results, 10)] == [f"ECHO {i}" for i in range(10)]
    assert len(read) < 40


def test_as_they_end(echo: sglc.Program) -> None:
    results = list(echo.run(texts(*"abcdef"), ordered=False))
    assert sorted(r.index for r in results) == [0, 1, 2, 3, 4, 5]


def test_runs_do_not_disturb_each_other(echo: sglc.Program) -> None:
    one, two = echo.run(texts("a", "b")), echo.run(texts("c", "d"))
    outputs = [next(one).output, next(two).output, next(one).output, next(two).output]
    assert outputs == ["ECHO A", "ECHO C", "ECHO B", "ECHO D"]


def test_trace(echo: sglc.Program) -> None:
    (result,) = echo.run(texts("a"), trace=True)
    assert result.trace is not None
    assert result.trace.names == (("answer", "ECHO A"),)


def test_externs_plain_and_async() -> None:
    program = sglc.compile(SOURCE, model=MODEL, program="doubled")

    async def twice(text: str) -> str:
        await asyncio.sleep(0)
        return text * 2

    for function in (lambda text: text * 2, twice):
        results = program.run(texts("ab", "c"), externs={"twice": function})
        assert [r.output for r in results] == ["ABAB", "CC"]
    with pytest.raises(
        ExternError, match=r"needs the extern function `twice`; did you mean \"twicee\"\?"
    ):
        program.run(texts("a"), externs={"twicee": len})


def test_inside_a_running_event_loop(echo: sglc.Program) -> None:
    async def cell() -> list[Value]:
        return [result.output for result in echo.run(texts("a", "b"))]

    assert asyncio.run(cell()) == ["ECHO A", "ECHO B"]


def test_what_is_wrong_with_the_whole_run_is_raised_at_once(echo: sglc.Program) -> None:
    with pytest.raises(InputError, match="--row-id index"):
        echo.run([], row_id="index")
    other = sglc.Program(echo.plan, model=testing.Model({}, context_len=10))
    other.run([])  # the same tokenizer and template: the same model to a plan
    with pytest.raises(ModelError, match="there is no model `nothing here`"):
        sglc.Program(echo.plan, model="nothing here").run([])


def test_strict_and_row_id(echo: sglc.Program) -> None:
    (result,) = echo.run([{"text": "a", "m": 1}], strict=True)
    assert result.error is not None and result.error.code == "unknown_field"
    (result,) = echo.run([{"text": "a", "id": "x"}], strict=True, row_id="id")
    assert result.output == "ECHO A"
