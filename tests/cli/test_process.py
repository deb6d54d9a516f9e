"""`sglc` as a process: signals, and streams that end, fill up or are closed."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("run_cli.py")
MEASURE = ("prog.sgl", "--program", "measure")


@pytest.fixture
def folder(tmp_path: Path, program: str) -> Path:
    """A folder with `prog.sgl` and 200 rows."""
    (tmp_path / "prog.sgl").write_text(program)
    (tmp_path / "data.jsonl").write_text(
        "".join(f'{{"text": "{"a" * (i % 9)}"}}\n' for i in range(200))
    )
    return tmp_path


def launch(folder: Path, seconds: float, *args: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), str(seconds), *args]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True)


def test_ctrl_c_says_how_to_go_on(folder: Path) -> None:
    args = ("run", *MEASURE, "--inputs", "data.jsonl", "-o", "out file.jsonl")
    process = launch(folder, 0.2, *args)  # slow: it cannot end first
    output = folder / "out file.jsonl"
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
    again = launch(folder, 0.0, *args)
    assert again.wait() == 0
    whole = launch(folder, 0.0, *args[:-1], "whole.jsonl")
    assert whole.wait() == 0
    assert output.read_bytes() == (folder / "whole.jsonl").read_bytes()


def test_a_reader_that_goes_away(folder: Path) -> None:
    process = launch(folder, 0.01, "run", *MEASURE, "--inputs", "data.jsonl")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 141


def in_shell(folder: Path, redirect: str, *args: str) -> subprocess.CompletedProcess[str]:
    """The command with its streams as `redirect` says, in the shell's words."""
    command = shlex.join([sys.executable, str(SCRIPT), "0", *args])
    return subprocess.run(
        ["sh", "-c", f"{command} {redirect}"], cwd=folder, capture_output=True, text=True
    )


ONE_ROW = ("run", *MEASURE, "--set", "text=a")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize(
    "args",
    [ONE_ROW, ("version",), ("check", "bad.sgl", "--json")],
    ids=lambda args: args[0],
)
def test_stdout_that_is_full(folder: Path, args: tuple[str, ...]) -> None:
    (folder / "bad.sgl").write_text("program a(t: str):\n" + '    "{u}"\n' * 20)
    found = in_shell(folder, ">/dev/full", *args)
    assert found.returncode == 2
    assert found.stderr == "sglc: error: cannot write stdout: no space left on device\n"


def test_stdout_that_is_closed_loses_no_results(folder: Path) -> None:
    found = in_shell(folder, ">&-", *ONE_ROW)
    assert found.returncode == 2
    assert found.stderr == "sglc: error: cannot write stdout: bad file descriptor\n"
    found = in_shell(folder, ">&-", *ONE_ROW, "-o", "out.jsonl")
    assert found.returncode == 0
    assert (folder / "out.jsonl").read_text().startswith('{"index": 0, ')


def test_stdin_that_is_closed_has_no_rows(folder: Path) -> None:
    found = in_shell(folder, "<&-", "run", *MEASURE, "--inputs", "-")
    assert found.returncode == 2
    assert found.stderr == ("sglc: error: stdin is empty: expected JSON Lines, one object a line\n")


def test_talk_that_nobody_hears(folder: Path) -> None:
    found = in_shell(folder, "2>&-", *ONE_ROW)
    assert found.returncode == 0
    assert found.stdout.count("\n") == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_stderr_that_is_full_fails_nothing(folder: Path) -> None:
    found = in_shell(folder, "2>/dev/full", *ONE_ROW)
    assert (found.returncode, found.stdout.count("\n")) == (0, 1)
    (folder / "bad.sgl").write_text('program a(t: str):\n    "{u}"\n')
    assert in_shell(folder, "2>/dev/full", "check", "bad.sgl").returncode == 2
