"""`sglc run`: what goes to stdout, what to stderr, and with which exit code it ends."""

import json
from collections.abc import Callable
from pathlib import Path

Sglc = Callable[..., tuple[int, str, str]]
MEASURE = ("prog.sgl", "--program", "measure")


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
