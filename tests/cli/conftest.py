"""The `sglc` command in a folder with a program and rows, on a testing model."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sglc import testing
from sglc.cli import main
from sglc.runtime import session

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


def answer(question: testing.Question) -> str:
    if "fail" in question.prompt:
        raise testing.NoAnswer("told to fail")
    return str(len(question.prompt))


@pytest.fixture
def sglc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
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


@pytest.fixture
def program() -> str:
    """What `prog.sgl` holds."""
    return PROGRAM
