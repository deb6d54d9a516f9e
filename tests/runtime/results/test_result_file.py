"""The output file through kills at any system call: nothing lost, nothing twice, the same bytes."""

import contextlib
import json
import os
import random
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sglc.runtime.results.append_file import AppendFile, ResultError
from sglc.runtime.results.result_file import ResultFile

IDENTITY = {"plan": "abc", "seed": 0, "--keep": ["a"], "--row-id": None}


class Killed(BaseException):
    """Stands for SIGKILL: no handler of ours may catch it and go on."""


def digest(index: int, salt: str = "") -> bytes:
    """Of the input up to row `index`."""
    return blake2b(f"{index}{salt}".encode(), digest_size=16).digest()


def line(index: int, *, fails: bool = False, tries: int = 0) -> bytes:
    result = {"error": {"code": "x", "message": "é"}} if fails else {"output": "é" * (index % 50)}
    return json.dumps({"index": index, **result, "n": tries}, ensure_ascii=False).encode() + b"\n"


def lines(count: int) -> bytes:
    return b"".join(line(index) for index in range(count))


def run(
    path: Path,
    num_rows: int,
    order: random.Random,
    *,
    make_line: Callable[[int], bytes] = line,
    retry_errors: bool = False,
    window: int = 4,
) -> list[int]:
    """A run that finishes rows out of order within a window; returns the rows that it ran."""
    results = ResultFile(str(path), IDENTITY, retry_errors=retry_errors)
    ran: list[int] = []
    try:
        in_flight: list[int] = []
        for index in range(num_rows):
            if not results.has(index, digest(index)):
                in_flight.append(index)
            while len(in_flight) >= window:
                done = in_flight.pop(order.randrange(len(in_flight)))
                results.put(done, digest(done), make_line(done))
                ran.append(done)
        order.shuffle(in_flight)
        for done in in_flight:
            results.put(done, digest(done), make_line(done))
            ran.append(done)
        results.finish(num_rows)
    finally:
        results.close()
    return ran


def kill_at(monkeypatch: pytest.MonkeyPatch, call: int, torn: float) -> None:
    """The `call`-th change of a file from now on kills the run, a write midway."""
    left = [call]

    def deadly(name: str) -> Callable[..., object]:
        real = getattr(os, name)

        def wrapper(*args: object, **kwargs: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                if name == "write":
                    real(args[0], bytes(args[1])[: int(len(args[1]) * torn)])  # type: ignore[arg-type]
                raise Killed
            if left[0] < 0:
                raise Killed  # the dead do not write
            return real(*args, **kwargs)

        return wrapper

    for name in ("write", "rename", "link", "ftruncate", "unlink"):
        monkeypatch.setattr(os, name, deadly(name))


def leavings(path: Path) -> list[str]:
    return sorted(child.name for child in path.parent.iterdir())


# ---------------------------------------------------------------- without kills


def test_an_undisturbed_run(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    assert sorted(run(path, 50, random.Random(1))) == list(range(50))
    assert path.read_bytes() == lines(50)
    assert leavings(path) == ["out.jsonl", "out.jsonl.run"]
    assert len((tmp_path / "out.jsonl.run").read_bytes().splitlines()) <= 4


def test_nothing_to_do(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    run(path, 20, random.Random(1))
    assert run(path, 20, random.Random(2)) == []
    assert path.read_bytes() == lines(20)


def test_more_input_than_before_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    run(path, 20, random.Random(1))
    assert sorted(run(path, 30, random.Random(2))) == list(range(20, 30))
    assert path.read_bytes() == lines(30)


def test_the_journal_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sglc.runtime.results.journal._COMPACT_BYTES", 2000)
    path = tmp_path / "out.jsonl"
    results = ResultFile(str(path), IDENTITY)
    largest = 0
    for index in range(0, 2000, 2):
        results.put(index + 1, digest(index + 1), line(index + 1))
        results.put(index, digest(index), line(index))
        largest = max(largest, (tmp_path / "out.jsonl.run").stat().st_size)
    results.close()
    assert path.read_bytes() == lines(2000)
    assert 1500 < largest < 4000


# ---------------------------------------------------------------- kills


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    kills=st.lists(st.tuples(st.integers(1, 40), st.floats(0, 1)), min_size=1, max_size=6),
    num_rows=st.integers(1, 30),
)
def test_kills_lose_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    kills: list[tuple[int, float]],
    num_rows: int,
) -> None:
    path = tmp_path_factory.mktemp("kills") / "out.jsonl"
    order = random.Random(seed)
    finished: set[int] = set()
    for call, torn in kills:
        ran: list[int] = []
        put = ResultFile.put

        def record(self: ResultFile, index: int, *rest: bytes, ran=ran, put=put) -> None:  # type: ignore[no-untyped-def]
            put(self, index, *rest)
            ran.append(index)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ResultFile, "put", record)
            kill_at(patch, call, torn)
            with contextlib.suppress(Killed):
                run(path, num_rows, order)
        assert not finished & set(ran), "a row that was finished ran again"
        finished |= set(ran)
    assert not finished & set(run(path, num_rows, order))
    assert path.read_bytes() == lines(num_rows)
    assert leavings(path) == ["out.jsonl", "out.jsonl.run"]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    kills=st.lists(st.tuples(st.integers(1, 30), st.floats(0, 1)), max_size=5),
    failing=st.sets(st.integers(0, 19)),
    first_stop=st.integers(1, 100),
)
# killed between the new file and the new journal, while the old journal holds a failed row
@example(seed=0, kills=[(4, 0.0)], failing={2}, first_stop=19)
@example(seed=0, kills=[(6, 0.0)], failing={2}, first_stop=19)
def test_a_retry_survives_kills_and_runs_failed_rows_alone(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    kills: list[tuple[int, float]],
    failing: set[int],
    first_stop: int,
) -> None:
    path = tmp_path_factory.mktemp("retry") / "out.jsonl"
    order = random.Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, first_stop, 1.0)
        with contextlib.suppress(Killed):
            run(path, 20, order, make_line=lambda i: line(i, fails=i in failing))
    before = path.read_bytes() if path.exists() else b""
    good = {i for i in range(20) if i not in failing and b'{"index": %d,' % i in before}

    def again(index: int) -> bytes:
        return line(index, tries=1)

    for call, torn in kills:
        with pytest.MonkeyPatch.context() as patch:
            kill_at(patch, call, torn)
            with contextlib.suppress(Killed):
                run(path, 20, order, make_line=again, retry_errors=True)
    ran = run(path, 20, order, make_line=again, retry_errors=True)
    assert not good & set(ran)
    found = path.read_bytes().splitlines(keepends=True)
    assert len(found) == 20
    for index, text in enumerate(found):
        assert text == line(index, tries=0 if b'"n": 0' in text else 1)
        assert index not in failing or text == again(index)
        assert index not in good or text == line(index)
    assert leavings(path) == ["out.jsonl", "out.jsonl.run"]


def test_a_retry_keeps_the_lines_of_good_rows(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    run(path, 20, random.Random(1), make_line=lambda i: line(i, fails=i in (0, 7, 8, 19)))
    ran = run(path, 20, random.Random(2), retry_errors=True, make_line=lambda i: line(i, tries=1))
    assert sorted(ran) == [0, 7, 8, 19]
    expected = [line(i, tries=int(i in (0, 7, 8, 19))) for i in range(20)]
    assert path.read_bytes() == b"".join(expected)
    assert run(path, 20, random.Random(3), retry_errors=True) == []


# ---------------------------------------------------------------- refusals


def test_another_run_is_refused_while_one_holds_the_file(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    holder = ResultFile(str(path), IDENTITY)
    with pytest.raises(ResultError, match=f"another run is writing {path}: wait until it ends"):
        ResultFile(str(path), IDENTITY)
    holder.close()
    ResultFile(str(path), IDENTITY).close()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"seed": 1}, "its seed was 0, this run's is 1"),
        ({"plan": "def"}, "its plan was abc, this run's is def"),
        ({"--row-id": "id"}, "its --row-id was not set, this run's is id"),
        ({"--keep": []}, "its --keep was ['a'], this run's is []"),
    ],
)
def test_another_plan_seed_or_option(
    tmp_path: Path, change: dict[str, object], sentence: str
) -> None:
    path = tmp_path / "out.jsonl"
    run(path, 5, random.Random(1))
    with pytest.raises(ResultError) as refusal:
        ResultFile(str(path), {**IDENTITY, **change})  # type: ignore[arg-type]
    assert str(refusal.value) == (
        f"cannot go on with {path}: {sentence}; give another -o, or remove it to start over"
    )
    assert path.read_bytes() == lines(5)


def test_another_input(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    run(path, 5, random.Random(1))
    results = ResultFile(str(path), IDENTITY)
    for index in range(4):
        assert results.has(index, digest(index, "other"))
    with pytest.raises(ResultError, match="the first 5 rows of the input are not what they were"):
        results.has(4, digest(4, "other"))
    results.close()


def test_less_input(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    run(path, 5, random.Random(1))
    with pytest.raises(ResultError, match="it has results of more rows than the 3 of this input"):
        run(path, 3, random.Random(1))
    assert path.read_bytes() == lines(5)


def test_an_edited_row_that_waits_runs_again(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    results = ResultFile(str(path), IDENTITY)
    results.put(2, digest(2, "old"), line(2, tries=9))
    results.close()
    assert sorted(run(path, 4, random.Random(1))) == [0, 1, 2, 3]
    assert path.read_bytes() == lines(4)


def test_nothing_finished_means_starting_over(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    ResultFile(str(path), IDENTITY).close()
    ResultFile(str(path), {**IDENTITY, "seed": 5}).close()


def test_a_removed_output_means_starting_over(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    run(path, 5, random.Random(1))
    path.unlink()
    assert len(run(path, 5, random.Random(1))) == 5


def test_a_file_of_someone_else(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("precious\n")
    with pytest.raises(ResultError, match="exists and was not written by `sglc run -o`"):
        ResultFile(str(path), IDENTITY)
    assert path.read_text() == "precious\n"


def test_an_edited_output(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    run(path, 5, random.Random(1))
    found = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(found[:2] + found[3:]))
    with pytest.raises(ResultError, match="its line 3 is not the result of row 2"):
        ResultFile(str(path), IDENTITY)


@pytest.mark.parametrize("place", ["nowhere/out.jsonl", "file/out.jsonl"])
def test_a_place_that_cannot_be_written(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultError, match=r"cannot write .*out.jsonl: (there is )?no"):
        ResultFile(str(tmp_path / place), IDENTITY)


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.jsonl"
    room = [600]
    real = os.write

    def write(descriptor: int, data: bytes) -> int:
        size = min(len(data), room[0])
        if not size:
            raise OSError(28, "No space left on device")
        room[0] -= size
        return real(descriptor, bytes(data)[:size])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        with pytest.raises(ResultError, match=r"no room to write .*: no space left on device; the"):
            run(path, 50, random.Random(1))
    assert path.read_bytes() == lines(path.read_bytes().count(b"\n"))
    run(path, 50, random.Random(2))
    assert path.read_bytes() == lines(50)


def test_append_file_ends_at_a_whole_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    file = AppendFile(path, os.open(path, os.O_RDWR | os.O_CREAT))
    file.append(b"whole\n")
    real = os.write
    answers = [
        lambda d, b: real(d, bytes(b)[:3]),
        lambda d, b: (_ for _ in ()).throw(OSError(27, "x")),
    ]
    monkeypatch.setattr(os, "write", lambda d, b: answers.pop(0)(d, b))
    with pytest.raises(ResultError):
        file.append(b"torn")
    monkeypatch.undo()
    file.append(b"next\n")
    file.close()
    assert path.read_bytes() == b"whole\nnext\n"


def test_a_damaged_journal_is_read_up_to_the_damage(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    results = ResultFile(str(path), IDENTITY)
    for index in (0, 3, 4):
        results.put(index, digest(index), line(index))
    results.close()
    journal = tmp_path / "out.jsonl.run"
    found = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(found[:-1]) + found[-1][:20])
    assert sorted(run(path, 6, random.Random(1))) == [1, 2, 4, 5]
    assert path.read_bytes() == lines(6)
