"""Many generated rows through a one-gen program on a tiny model: memory over rows, rows/s, and what
kills and resumes do to the output.

    python examples/benchmarks/cpu_many_rows.py [--rows 100000] [--kills 5] [--kill-rows 20000]

Weights are random (`--load-format dummy`), so only the machinery is measured. First one run of
`--rows` rows with its resident memory sampled every second; then `--kill-rows` rows with
`--deterministic`, once undisturbed and once killed (SIGKILL) and resumed; the files must be equal.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sglc.bench.tiny_model import write_tiny_model

PROGRAM = """
program extend(text: str):
    "Continue: {text}\\n"
    gen more(max_tokens=32, temperature=0.8, ignore_eos=true)
"""


def write_rows(path: Path, count: int) -> None:
    rng = random.Random(1)
    words = ["river", "mill", "boat", "clear", "score", "old", "past", "12", "wait", "judge"]
    with path.open("w") as file:
        for index in range(count):
            text = " ".join(rng.choice(words) for _ in range(6))
            file.write(json.dumps({"text": f"{index} {text}"}) + "\n")


def command(folder: Path, rows: Path, out: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "sglc", "run", str(folder / "extend.sgl")),
        *("--model", str(folder / "model"), "--load-format", "dummy", "--device", "cpu"),
        *("--dtype", "float32", "--inputs", str(rows), "-o", str(out), *more),
    ]


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    lines = [line for line in status.splitlines() if line.startswith("VmRSS")]
    if not lines:
        raise ProcessLookupError(f"process {pid} has ended")
    return int(lines[0].split()[1]) / 1024


def lines_in(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def slope(points: list[tuple[int, float]]) -> float:
    """Least-squares slope in bytes a row, of (rows, MiB)."""
    n = len(points)
    mean_x = sum(x for x, _ in points) / n
    mean_y = sum(y for _, y in points) / n
    over = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / over * 2**20


def measure_memory(folder: Path, count: int) -> None:
    rows, out = folder / "rows.jsonl", folder / "out.jsonl"
    write_rows(rows, count)
    start = time.perf_counter()
    process = subprocess.Popen(command(folder, rows, out), stderr=subprocess.DEVNULL)
    points = []
    while process.poll() is None:
        time.sleep(1)
        try:
            points.append((lines_in(out), resident_mib(process.pid)))
        except (FileNotFoundError, ProcessLookupError):
            break
    assert process.wait() == 0, "the run failed"
    seconds = time.perf_counter() - start
    assert lines_in(out) == count
    warm = [(rows, mib) for rows, mib in points if rows > count // 10]
    print(f"{count} rows in {seconds:.0f} s = {count / seconds:.0f} rows/s, start-up included")
    print(
        f"resident memory {warm[0][1]:.0f} MiB at {warm[0][0]} rows, {warm[-1][1]:.0f} MiB at the"
    )
    print(f"  end; slope {slope(warm):.1f} bytes a row after the first tenth")


def measure_kills(folder: Path, count: int, kills: int) -> None:
    rows = folder / "kill_rows.jsonl"
    write_rows(rows, count)
    start = time.perf_counter()
    run = command(folder, rows, folder / "whole.jsonl", "--deterministic")
    subprocess.run(run, check=True, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    rng = random.Random(2)
    out = folder / "killed.jsonl"
    resume = command(folder, rows, out, "--deterministic")
    for number in range(kills):
        process = subprocess.Popen(resume, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.15, 1.0) * seconds / kills + 3)
        process.send_signal(signal.SIGKILL)
        process.wait()
        print(f"kill {number + 1}: {lines_in(out)} of {count} lines")
    subprocess.run(resume, check=True, stderr=subprocess.DEVNULL)
    is_same = out.read_bytes() == (folder / "whole.jsonl").read_bytes()
    print(f"{count} rows, deterministic: {count / seconds:.0f} rows/s undisturbed")
    print(f"output after {kills} kills is {'identical' if is_same else 'DIFFERENT'}")
    if not is_same:
        sys.exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--kill-rows", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tiny_model(folder / "model")
        (folder / "extend.sgl").write_text(PROGRAM)
        measure_memory(folder, args.rows)
        measure_kills(folder, args.kill_rows, args.kills)


if __name__ == "__main__":
    main()
