"""The `sglc` command: what goes to stdout, what to stderr, and with which exit code it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sglc import testing
from sglc.cli import main
from sglc.codegen.plan_file import read_plan, write_plan
from sglc.compiler import driver
from sglc.runtime import session

SCRIPT = Path(__file__).with_name("run_cli.py")
PROGRAM = '''"""Says how long."""
const GREETING = "Hello"

extern shout(text: str) -> str

program measure(text: str, n: int = 1) -> str:
    user "{GREETING} {text}"
    assistant:
        gen size(max_tokens=8)
    return size

program loud(text: str):
    let big = shout(text)
    user "{big}"
    assistant:
        gen size
'''

Sglc = Callable[..., tuple[int, str, str]]


def answer(question: testing.Question) -> str:
    if "fail" in question.prompt:
        raise testing.NoAnswer("told to fail")
    return str(len(question.prompt))


@pytest.fixture
def sglc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Sglc:
    """Runs a command in a folder with `prog.sgl` and `data.jsonl`: exit code, stdout, stderr."""
    model = testing.Model(answer)
    opened = session.Session(model.spec, lambda options: model.engine())
    monkeypatch.setattr(session, "open_session", lambda name, progress=None: opened)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prog.sgl").write_text(PROGRAM)
    rows = [{"text": "a" * i, "id": f"r{i}"} for i in range(5)]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def call(*args: str) -> tuple[int, str, str]:
        try:
            code = main(args)
        except SystemExit as stop:  # argparse's own
            code = int(stop.code or 0)
        return code, *capfd.readouterr()

    return call


MEASURE = ("prog.sgl", "--program", "measure")


# ---------------------------------------------------------------- results


def test_run_prints_results_and_only_results(sglc: Sglc) -> None:
    code, out, err = sglc("run", *MEASURE, "--inputs", "data.jsonl")
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 2, 3, 4]
    assert [int(line["output"]) for line in lines] == [
        int(lines[0]["output"]) + i for i in range(5)
    ]
    assert err.startswith("sglc: 5 rows in ")
    assert "rows/s" in err and "prefill" in err and "decode" in err


def test_a_plan_runs_like_its_program(sglc: Sglc) -> None:
    assert sglc("compile", *MEASURE, "-o", "plan.bin")[0] == 0
    assert (
        sglc("run", "plan.bin", "--inputs", "data.jsonl")[1]
        == sglc("run", *MEASURE, "--inputs", "data.jsonl")[1]
    )


def test_one_row_by_hand(sglc: Sglc) -> None:
    code, out, _ = sglc("run", *MEASURE, "--set", "text=hi", "--set", "n=2")
    assert (code, json.loads(out)["index"]) == (0, 0)


def test_fields_of_results(sglc: Sglc) -> None:
    options = ("--row-id", "id", "--keep", "text,n", "--usage", "--trace", "--limit", "2")
    code, out, _ = sglc("run", *MEASURE, "--inputs", "data.jsonl", *options)
    assert code == 0
    first, second = (json.loads(line) for line in out.splitlines())
    assert list(first) == ["index", "id", "text", "output", "usage", "trace"]
    assert (second["id"], second["text"]) == ("r1", "a")
    assert second["trace"]["contexts"][0][0] == {"role": "user", "text": "Hello a"}


def test_failed_rows_make_exit_code_1(sglc: Sglc, tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text('{"text": "ok"}\n{"text": "fail"}\n{"txt": "ok"}\n')
    code, out, err = sglc("run", *MEASURE, "--inputs", "data.jsonl", "-o", "out.jsonl")
    assert (code, out) == (1, "")
    assert "2 failed" in err and "--retry-errors runs them again" in err
    _, failed, missing = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert failed["error"]["where"] == "prog.sgl:9:9"
    assert missing["error"] == {
        "code": "missing_field",
        "message": 'the field is missing; did you mean "txt"?',
        "where": 'row 2 (line 3), field "text"',
    }


def test_nothing_to_do(sglc: Sglc) -> None:
    command = ("run", *MEASURE, "--inputs", "data.jsonl", "-o", "out.jsonl")
    assert sglc(*command)[0] == 0
    assert sglc(*command) == (0, "", "sglc: nothing to do: out.jsonl has all 5 rows\n")


def test_define(sglc: Sglc) -> None:
    command = ("run", *MEASURE, "--set", "text=", "--trace", "--define", "GREETING=Goodbye")
    assert "Goodbye " in sglc(*command)[1]


def test_externs_from_a_file(sglc: Sglc, tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text("async def shout(text):\n    return text.upper()\n")
    loud = ("run", "prog.sgl", "--program", "loud", "--set", "text=quiet", "--trace")
    code, out, _ = sglc(*loud, "--extern", "tools.py")
    assert (code, json.loads(out)["trace"]["contexts"][0][0]["text"]) == (0, "QUIET")
    assert sglc(*loud)[0] == 2


# ---------------------------------------------------------------- what is wrong is said in a
# sentence


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (
            ("run", *MEASURE),
            "`measure` needs rows: give --inputs FILE.jsonl, or one row: --set text=...",
        ),
        (
            ("run", *MEASURE, "--inputs", "x.jsonl"),
            "cannot read x.jsonl: no such file or directory",
        ),
        (("run", *MEASURE, "--inputs", "."), ". is a folder; expected a JSON Lines file"),
        (("run", *MEASURE, "--inputs", "a", "--set", "text=b"), "use one of them"),
        (
            ("run", *MEASURE, "--set", "txt=b"),
            "--set txt=b: no parameter 'txt'; did you mean \"text\"?",
        ),
        (
            ("run", *MEASURE, "--set", "text=b", "--retry-errors"),
            "--retry-errors needs the -o file",
        ),
        (
            ("run", *MEASURE, "--set", "text=b", "--row-id", "index"),
            "--row-id index: a result line has",
        ),
        (("run", *MEASURE, "--set", "text=b", "--define", "X"), "--define X: expected NAME=VALUE"),
        (("run", "data.bin", "--program", "p"), "--program and --define are for .sgl files"),
        (("run", "prog.bin", "--set", "text=a"), "prog.bin"),
        (("run", "data.jsonl", "--set", "text=a"), "data.jsonl"),
        (("run", *MEASURE, "--set", "text=a", "-o", "no/out.jsonl"), "cannot write"),
        (
            ("run", "prog.sgl", "--program", "loud", "--set", "text=a"),
            "`shout` (give it with --extern",
        ),
        (
            ("run", "prog.sgl", "--program", "loud", "--set", "text=a", "--extern", "none.py"),
            "--extern none.py: expected a Python file",
        ),
        (("compile", *MEASURE, "--skip", "lengthz"), "no pass is called `lengthz`"),
        (("compile", *MEASURE, "-o", "no/plan.bin"), "no/plan.bin"),
        (("compile", "nothing.sgl"), "nothing.sgl"),
        (("explain", "nothing.bin"), "nothing.bin"),
        (("run", *MEASURE, "--kv-memory", "2XB"), "'2XB' is not a size such as 2GB"),
        (("run", *MEASURE, "--limit", "0"), "0 is less than 1"),
        (("run", *MEASURE, "--device", "tpu"), "invalid choice: 'tpu'"),
        (("run",), "the following arguments are required: FILE"),
        (("fly",), "invalid choice: 'fly'"),
    ],
)
def test_a_mistake_is_a_sentence_and_exit_code_2(
    sglc: Sglc, args: tuple[str, ...], sentence: str
) -> None:
    code, out, err = sglc(*args)
    assert code == 2
    assert out == ""
    assert sentence in err
    assert "Traceback" not in err and "internal error" not in err


def test_a_broken_extern_file(sglc: Sglc, tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text("def shout(text):\n    return text\n\n1 / 0\n")
    loud = ("run", "prog.sgl", "--program", "loud", "--set", "text=a", "--extern", "tools.py")
    code, _, err = sglc(*loud)
    assert code == 2
    assert err == "sglc: error: --extern tools.py:4: ZeroDivisionError: division by zero\n"
    (tmp_path / "tools.py").write_text("def shout(text:\n")
    assert "--extern tools.py:1: SyntaxError" in sglc(*loud)[2]


def test_diagnostics_go_to_stderr_or_as_json_to_stdout(sglc: Sglc, tmp_path: Path) -> None:
    (tmp_path / "bad.sgl").write_text(
        PROGRAM.replace("return size", "return sise").split("program loud")[0]
    )
    code, out, err = sglc("check", "bad.sgl")
    assert (code, out) == (2, "")
    assert "did you mean `size`?" in err and "bad.sgl:10:12" in err
    code, out, err = sglc("check", "bad.sgl", "--json")
    assert (code, err) == (2, "")
    (found,) = map(json.loads, out.splitlines())
    assert (found["line"], found["severity"]) == (10, "error")


def test_a_plan_of_another_model_is_refused(sglc: Sglc, tmp_path: Path) -> None:
    sglc("compile", *MEASURE, "-o", "plan.bin")
    plan = read_plan(tmp_path / "plan.bin")
    other = replace(plan.model, reference="other", tokenizer_hash="0" * 64)
    (tmp_path / "plan.bin").write_bytes(write_plan(replace(plan, model=other)))
    code, _, err = sglc("run", "plan.bin", "--set", "text=a")
    assert code == 2
    assert "the plan was compiled for other; testing has another tokenizer or chat template" in err


def test_a_damaged_plan_is_refused(sglc: Sglc, tmp_path: Path) -> None:
    sglc("compile", *MEASURE, "-o", "plan.bin")
    data = bytearray((tmp_path / "plan.bin").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "plan.bin").write_bytes(data)
    code, _, err = sglc("run", "plan.bin", "--set", "text=a")
    assert (code, "Traceback" in err) == (2, False)


def test_an_internal_error_asks_for_a_report(sglc: Sglc, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str | None, progress: object = None) -> None:
        raise RuntimeError("oh")

    monkeypatch.setattr(session, "open_session", broken)
    code, _, err = sglc("run", *MEASURE, "--set", "text=a")
    assert code == 3
    assert err.startswith(
        "sglc: internal error: RuntimeError: oh\nsglc: this is a bug in sglc: please"
    )
    assert "Traceback" not in err
    monkeypatch.setenv("SGLC_TRACEBACK", "1")
    assert "Traceback" in sglc("run", *MEASURE, "--set", "text=a")[2]


def test_a_failed_pass_asks_for_a_report_once(sglc: Sglc, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: object) -> None:
        raise RuntimeError("oh")

    monkeypatch.setattr(driver, "lower", broken)
    code, _, err = sglc("run", *MEASURE, "--set", "text=a")
    assert code == 3
    assert err.startswith("sglc: internal error: `lower` failed (RuntimeError: oh)")
    assert err.count("report") == 1


# ---------------------------------------------------------------- the other commands


def test_check(sglc: Sglc) -> None:
    assert sglc("check", *MEASURE)[0] == 0


def test_compile_tells_what_the_template_adds(sglc: Sglc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "template_notes", lambda program, markup: ("it adds a date",))
    code, out, err = sglc("compile", *MEASURE)
    assert (code, out) == (0, "")
    assert err.splitlines()[0] == "sglc: it adds a date"


def test_compile_writes_the_same_bytes_twice(sglc: Sglc, tmp_path: Path) -> None:
    code, out, err = sglc("compile", *MEASURE)
    assert (code, out) == (0, "")
    assert err.endswith("bytes)\n")
    sglc("compile", *MEASURE, "-o", "again.bin")
    assert (tmp_path / "prog.bin").read_bytes() == (tmp_path / "again.bin").read_bytes()


def test_print_after(sglc: Sglc) -> None:
    assert "program measure(%" in sglc("compile", *MEASURE, "--print-after", "lower")[1]


def test_explain(sglc: Sglc) -> None:
    sglc("compile", *MEASURE, "-o", "plan.bin")
    code, out, _ = sglc("explain", "plan.bin")
    assert (code, out.splitlines()[0]) == (0, "program measure(text: str, n: int = 1) -> str")
    assert json.loads(sglc("explain", "plan.bin", "--json")[1])["program"] == "measure"


def test_version(sglc: Sglc) -> None:
    assert sglc("version") == (0, "sglc 0.1.0\n", "")


@pytest.mark.parametrize("command", [[], ["check"], ["compile"], ["run"], ["explain"], ["model"]])
def test_help_names_the_exit_codes(sglc: Sglc, command: list[str]) -> None:
    code, out, _ = sglc(*command, "--help")
    assert code == 0
    assert "exit codes:" in out and "130" in out


def test_help_loads_nothing_heavy() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "sglc", "--help"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    modules = {line.split("|")[-1].strip() for line in found.stderr.splitlines()}
    assert "sglc.cli" in modules
    assert not modules & {"torch", "lark", "numpy", "transformers", "rich", "networkx", "asyncio"}


# ---------------------------------------------------------------- as a process


def launch(folder: Path, seconds: float, *args: str) -> subprocess.Popen[str]:
    (folder / "prog.sgl").write_text(PROGRAM)
    (folder / "data.jsonl").write_text(
        "".join(f'{{"text": "{"a" * (i % 9)}"}}\n' for i in range(200))
    )
    command = [sys.executable, str(SCRIPT), str(seconds), *args]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True)


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    args = ("run", *MEASURE, "--inputs", "data.jsonl", "-o", "out file.jsonl")
    process = launch(tmp_path, 0.2, *args)  # slow: it cannot end first
    output = tmp_path / "out file.jsonl"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (output.exists() and output.read_bytes()):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    num_rows = output.read_bytes().count(b"\n")
    assert 0 < num_rows < 200
    *_, said, typed = err.splitlines()
    assert said == f"sglc: interrupted: out file.jsonl has the first {num_rows} rows. To go on:"
    assert typed == (
        "  sglc run prog.sgl --program measure --inputs data.jsonl -o 'out file.jsonl'"
    )
    again = launch(tmp_path, 0.0, *args)
    assert again.wait() == 0
    whole = launch(tmp_path, 0.0, *args[:-1], "whole.jsonl")
    assert whole.wait() == 0
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    process = launch(tmp_path, 0.01, "run", *MEASURE, "--inputs", "data.jsonl")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_stdout_that_is_full(tmp_path: Path) -> None:
    (tmp_path / "prog.sgl").write_text(PROGRAM)
    args = [sys.executable, str(SCRIPT), "0", "run", *MEASURE, "--set", "text=a"]
    with open("/dev/full", "w") as full:
        found = subprocess.run(args, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True)
    assert found.returncode == 2
    assert found.stderr == "sglc: error: cannot write stdout: no space left on device\n"
