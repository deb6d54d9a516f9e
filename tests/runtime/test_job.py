"""Runs from file to file: outcomes in order, bad rows beside good ones, SIGKILL and a second
try."""

import contextlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from sglc.runtime.engine.request import Engine
from sglc.runtime.job import Done, Job, run_job
from sglc.runtime.results.append_file import ResultError
from sglc.runtime.row import BoundRow, RowDone, RowFailed
from sglc.runtime.rows.bind import InputError
from sglc.runtime.run import run

SCRIPT = Path(__file__).with_name("killable_run.py")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = spec_from_file_location("killable_run", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def no_engine() -> Engine:
    raise AssertionError("nothing should run")


@pytest.fixture
def start(script: ModuleType) -> Callable[..., Done]:
    def start(
        inputs: object,
        output: object = None,
        *,
        engine: Callable[[], Engine] | None = None,
        **options: object,
    ) -> Done:
        job = Job(
            str(inputs) if isinstance(inputs, Path) else inputs,  # type: ignore[arg-type]
            None if output is None else str(output),
            **options,  # type: ignore[arg-type]
        )
        make = engine or (lambda: script.SlowEngine(0))
        plan = script.small_plan()
        return run_job(job, plan, script.MODEL.spec, make, externs={}, engine_options={})

    return start


def write_rows(path: Path, count: int) -> Path:
    rows = ({"text": f"question {i % 7}", "id": i} for i in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# ---------------------------------------------------------------- the loop


def bound(index: int) -> BoundRow:
    return BoundRow(index, str(index).encode(), {"text": f"q{index}", "note": ""})


@pytest.mark.parametrize("ordered", [True, False])
def test_every_row_has_one_outcome(script: ModuleType, ordered: bool) -> None:
    rows = [RowFailed(i, "x", "bad") if i % 10 == 3 else bound(i) for i in range(100)]
    outcomes = list(
        run(
            script.small_plan(),
            script.MODEL.spec,
            script.SlowEngine(0),
            rows,
            ordered=ordered,
            window=8,
        )
    )
    indices = [outcome.index for outcome in outcomes]
    assert sorted(indices) == list(range(100))
    assert (indices == sorted(indices)) == ordered
    assert all(isinstance(o, RowFailed) == (o.index % 10 == 3) for o in outcomes)


def test_rows_are_read_as_the_window_moves(script: ModuleType) -> None:
    num_read = 0

    def rows():  # type: ignore[no-untyped-def]
        nonlocal num_read
        while True:
            yield bound(num_read)
            num_read += 1

    outcomes = run(script.small_plan(), script.MODEL.spec, script.SlowEngine(0), rows(), window=8)
    for _ in range(200):
        assert isinstance(next(outcomes), RowDone)
    assert num_read < 200 + 5 * 8
    outcomes.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("max_batch", "in_flight"), [(8, 256), (700, 700)])
def test_as_many_rows_are_in_flight_as_the_engine_runs_together(
    script: ModuleType, max_batch: int, in_flight: int
) -> None:
    engine = script.SlowEngine(0)
    engine.max_batch = max_batch
    most = 0

    def note() -> None:
        nonlocal most
        most = max(most, len(engine._waiting))

    # none is answered before all that may be are in flight
    engine.step, answer = lambda: note() or (answer() if most == in_flight else []), engine.step
    rows = [bound(i) for i in range(1000)]
    assert len(list(run(script.small_plan(), script.MODEL.spec, engine, rows))) == 1000
    assert most == in_flight


# ---------------------------------------------------------------- files


def test_results_in_order_with_bad_rows_among_them(
    start: Callable[..., Done], tmp_path: Path
) -> None:
    inputs = tmp_path / "data.jsonl"
    inputs.write_bytes(
        b'{"text": "a", "id": 1}\n{"text": 1, "id": 2}\n\n{"id": 3}\n{"text": NaN}\n{"text": "b"}\n'
    )
    done = start(inputs, tmp_path / "out.jsonl", row_id="id", has_usage=True, has_trace=True)
    assert (done.num_run, done.num_rows, done.num_failed) == (5, 5, 4)
    good, wrong, missing, bad, without = read(tmp_path / "out.jsonl")
    assert list(good) == ["index", "id", "output", "usage", "trace"]
    assert good["trace"]["names"] == [{"name": "answer", "value": good["output"]}]  # type: ignore[index]
    assert good["usage"]["prompt_tokens"] == 1  # type: ignore[index]
    assert wrong["error"] == {
        "code": "wrong_type",
        "message": "expected a str, found an int",
        "where": 'row 1 (line 2), field "text"',
    }
    assert (wrong["id"], missing["error"]["where"]) == (2, 'row 2 (line 4), field "text"')  # type: ignore[index]
    assert bad["error"]["code"] == "bad_json"  # type: ignore[index]
    assert without["error"]["message"] == "the field that --row-id names is missing"  # type: ignore[index]


def test_to_stdout_by_hand(
    start: Callable[..., Done], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert start({"text": "é"}).num_rows == 1
    (line,) = capfdbinary.readouterr().out.splitlines()
    assert list(json.loads(line)) == ["index", "output"]


def test_to_a_text_that_stands_for_stdout(
    start: Callable[..., Done], tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    inputs = write_rows(tmp_path / "data.jsonl", 20)
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        assert start(inputs).num_rows == 20
    assert capfdbinary.readouterr().out == b""
    start(inputs, tmp_path / "out.jsonl")
    assert text.getvalue() == (tmp_path / "out.jsonl").read_text()


def test_stdin(start: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_rows(tmp_path / "data.jsonl", 20).read_bytes()
    for _ in range(2):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        done = start("-", tmp_path / "out.jsonl")
    assert (done.num_run, done.num_rows) == (0, 20)
    start(tmp_path / "data.jsonl", tmp_path / "other.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "other.jsonl").read_bytes()


def test_a_device_takes_results_as_a_pipe_does(start: Callable[..., Done], tmp_path: Path) -> None:
    assert start(write_rows(tmp_path / "data.jsonl", 5), "/dev/null").num_rows == 5


def test_a_full_device(start: Callable[..., Done], tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="cannot write /dev/full: no space left on device"):
        start(write_rows(tmp_path / "data.jsonl", 5), "/dev/full")


def test_a_folder_as_output(start: Callable[..., Done], tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="it is a folder"):
        start(write_rows(tmp_path / "data.jsonl", 5), tmp_path, engine=no_engine)


def test_wrong_input_is_refused_before_the_model_is_loaded(
    start: Callable[..., Done], tmp_path: Path
) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(InputError, match="is empty"):
        start(tmp_path / "empty.jsonl", tmp_path / "out.jsonl", engine=no_engine)


def test_nothing_to_do_needs_no_model(start: Callable[..., Done], tmp_path: Path) -> None:
    inputs, output = write_rows(tmp_path / "data.jsonl", 30), tmp_path / "out.jsonl"
    start(inputs, output)
    before = output.read_bytes()
    done = start(inputs, output, engine=no_engine)
    assert (done.num_run, done.num_rows) == (0, 30)
    assert output.read_bytes() == before


def test_a_limit_and_then_the_rest(start: Callable[..., Done], tmp_path: Path) -> None:
    inputs, output = write_rows(tmp_path / "data.jsonl", 30), tmp_path / "out.jsonl"
    assert start(inputs, output, limit=10).num_run == 10
    assert start(inputs, output).num_run == 20
    start(inputs, tmp_path / "whole.jsonl")
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    with pytest.raises(ResultError, match=r"results of more rows than the 10 of this input"):
        start(inputs, output, limit=10, engine=no_engine)


@pytest.mark.parametrize(
    "change", ["another row", "rows in another order", "a row less", "seed", "trace"]
)
def test_resuming_onto_another_run_is_refused(
    start: Callable[..., Done], tmp_path: Path, change: str
) -> None:
    inputs, output = write_rows(tmp_path / "data.jsonl", 30), tmp_path / "out.jsonl"
    start(inputs, output, limit=20)
    before = output.read_bytes()
    lines = inputs.read_text().splitlines(keepends=True)
    if change == "another row":
        lines[3] = '{"text": "other"}\n'
    elif change == "rows in another order":
        lines[3], lines[9] = lines[9], lines[3]
    elif change == "a row less":
        del lines[3]
    inputs.write_text("".join(lines))
    options = {"seed": {"seed": 1}, "trace": {"has_trace": True}}.get(change, {})
    with pytest.raises(ResultError, match=r"cannot go on with .*out\.jsonl"):
        start(inputs, output, engine=no_engine, **options)
    assert output.read_bytes() == before


def test_a_retry_of_a_run_with_another_input_is_refused_at_once(
    start: Callable[..., Done], tmp_path: Path
) -> None:
    inputs, output = write_rows(tmp_path / "data.jsonl", 10), tmp_path / "out.jsonl"
    inputs.write_text('{"text": 1}\n' + inputs.read_text())
    start(inputs, output)
    inputs.write_text(inputs.read_text().replace("question 6", "answer 6"))
    with pytest.raises(ResultError, match="the first 11 rows of the input are not what they were"):
        start(inputs, output, retry_errors=True, engine=no_engine)


def test_a_retry_runs_failed_rows_alone(
    start: Callable[..., Done], script: ModuleType, tmp_path: Path
) -> None:
    inputs, output = write_rows(tmp_path / "data.jsonl", 30), tmp_path / "out.jsonl"
    start(inputs, tmp_path / "whole.jsonl")

    class Moody(script.SlowEngine):  # type: ignore[name-defined,misc]
        def reply(self, request):  # type: ignore[no-untyped-def]
            if request.order[0] in (0, 4, 29):
                self._answer = lambda question: 1 / 0
            else:
                self._answer = script.MODEL.answer
            return super().reply(request)

    assert start(inputs, output, engine=lambda: Moody(0)).num_failed == 3
    assert start(inputs, output, engine=no_engine).num_failed == 3
    done = start(inputs, output, retry_errors=True)
    assert (done.num_run, done.num_failed) == (3, 0)
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


# ---------------------------------------------------------------- signals


def launch(inputs: Path, output: Path, seconds: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(SCRIPT), str(inputs), str(output), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for_rows(output: Path, count: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if output.exists() and output.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.005)
    raise AssertionError("the run does not get on")


@pytest.mark.parametrize("seed", [1, 2])
def test_sigkill_and_again(start: Callable[..., Done], tmp_path: Path, seed: int) -> None:
    inputs, output = write_rows(tmp_path / "data.jsonl", 300), tmp_path / "out.jsonl"
    chance = random.Random(seed)
    start(inputs, tmp_path / "whole.jsonl", keep=("id",))
    rows = 0
    for _ in range(3):
        process = launch(inputs, output, 0.004)
        wait_for_rows(output, rows + chance.randrange(1, 60))
        time.sleep(chance.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        rows = output.read_bytes().count(b"\n")
    process = launch(inputs, output, 0.0)
    _, err = process.communicate()
    assert process.returncode == 0, err.decode()
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert sorted(os.listdir(tmp_path)) == [
        "data.jsonl",
        "out.jsonl",
        "out.jsonl.run",
        "whole.jsonl",
        "whole.jsonl.run",
    ]


def test_a_second_run_is_refused_until_the_first_dies(
    start: Callable[..., Done], tmp_path: Path
) -> None:
    inputs, output = write_rows(tmp_path / "data.jsonl", 300), tmp_path / "out.jsonl"
    process = launch(inputs, output, 0.05)
    wait_for_rows(output, 1)
    with pytest.raises(ResultError, match="another run is writing"):
        start(inputs, output, keep=("id",), window=16, engine=no_engine)
    process.kill()
    process.communicate()
    assert start(inputs, output, keep=("id",)).num_rows == 300
