"""A mistake is told in a sentence, with exit code 2 and no traceback."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sglc.codegen.plan_file import read_plan, write_plan
from sglc.compiler import driver
from sglc.runtime import session

Sglc = Callable[..., tuple[int, str, str]]
MEASURE = ("prog.sgl", "--program", "measure")


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
        (("run", *MEASURE, "--set", "text=a", "-o", "no/out.jsonl"), "there is no folder"),
        (
            ("run", "prog.sgl", "--program", "loud", "--set", "text=a"),
            "`shout` (give it with --extern",
        ),
        (
            ("run", "prog.sgl", "--program", "loud", "--set", "text=a", "--extern", "none.py"),
            "--extern none.py: there is no such file",
        ),
        (("compile", *MEASURE, "--skip", "lengthz"), "no pass is called `lengthz`"),
        (
            ("compile", *MEASURE, "-o", "no/plan.bin"),
            "cannot write no/plan.bin: there is no",
        ),
        (("compile", *MEASURE, "-o", "."), "cannot write .: it is a folder"),
        (("compile", *MEASURE, "--define", "SIZE=3"), "there is no const `SIZE` to define"),
        (("explain", *MEASURE, "--html", "."), "cannot write .: it is a folder"),
        (("compile", "nothing.sgl"), "nothing.sgl"),
        (("explain", "nothing.bin"), "nothing.bin"),
        (("run", *MEASURE, "--kv-memory", "2XB"), "'2XB' is not a size such as 2GB"),
        (("run", *MEASURE, "--limit", "0"), "0 is less than 1"),
        (("run", *MEASURE, "--limit", "few"), "'few' is not a whole number"),
        (("run", ".", "--set", "text=a"), "cannot be read: is a directory"),
        (("run", *MEASURE, "--device", "tpu"), "invalid choice: 'tpu'"),
        (("run", *MEASURE, "--inptus", "a"), "unknown argument --inptus; did you mean --inputs?"),
        (("run", *MEASURE, "more"), "unknown argument more (`sglc run --help` says more)"),
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
    assert "Traceback" not in err and "internal error" not in err and "usage:" not in err


@pytest.mark.parametrize("command", ["check", "compile"])
def test_a_plan_is_no_program(sglc: Sglc, command: str) -> None:
    assert sglc("compile", *MEASURE, "-o", "plan.bin")[0] == 0
    code, out, err = sglc(command, "plan.bin")
    assert (code, out) == (2, "")
    assert err == "sglc: error: plan.bin is a compiled plan; this command takes the .sgl program\n"


@pytest.mark.parametrize(
    ("args", "target"),
    [
        (("compile", *MEASURE, "-o", "prog.sgl"), "prog.sgl"),
        (("compile", *MEASURE, "--sample", "data.jsonl", "-o", "data.jsonl"), "data.jsonl"),
        (("explain", *MEASURE, "--html", "prog.sgl"), "prog.sgl"),
        (("run", *MEASURE, "--inputs", "data.jsonl", "--profile", "data.jsonl"), "data.jsonl"),
    ],
)
def test_no_command_writes_over_what_it_reads(
    sglc: Sglc, tmp_path: Path, args: tuple[str, ...], target: str
) -> None:
    before = (tmp_path / target).read_bytes()
    code, _, err = sglc(*args)
    assert (code, err) == (
        2,
        f"sglc: error: cannot write {target}: this command reads it; give another name\n",
    )
    assert (tmp_path / target).read_bytes() == before


def test_a_device_is_written_to_and_not_replaced(sglc: Sglc, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert sglc("compile", *MEASURE, "-o", "pipe")[0] == 0
        assert b"sglc-plan" in os.read(reader, 200)
    finally:
        os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_compiling_can_be_interrupted(
    sglc: Sglc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(driver, "lower", interrupted)
    assert sglc("compile", *MEASURE) == (130, "", "sglc: interrupted\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.jsonl", "prog.sgl"]


def test_a_broken_extern_file(sglc: Sglc, tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text("def shout(text):\n    return text\n\n1 / 0\n")
    loud = ("run", "prog.sgl", "--program", "loud", "--set", "text=a", "--extern", "tools.py")
    code, _, err = sglc(*loud)
    assert code == 2
    assert err == "sglc: error: --extern tools.py:4: ZeroDivisionError: division by zero\n"
    (tmp_path / "tools.py").write_text("def shout(text:\n")
    assert "--extern tools.py:1: SyntaxError" in sglc(*loud)[2]


def test_diagnostics_go_to_stderr_or_as_json_to_stdout(
    sglc: Sglc, tmp_path: Path, program: str
) -> None:
    measure = program.split("program loud")[0]
    (tmp_path / "bad.sgl").write_text(measure.replace("return size", "return sise"))
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
