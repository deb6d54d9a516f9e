"""The ten workloads on one GPU, end to end: compiled, run from rows in memory, timed.

    python examples/benchmarks/gpu.py [--only w1 w10] [--rows w1=64] [--repeats 3] [--profile DIR]

Weights are random (Llama 3.1 8B and SmolLM2 135M geometries, bf16). The clock runs from rows in
memory to results as text: binding, tokenizing, planning and decoding to text are inside; compiling,
weights and graphs captured before are not, and are timed apart. Printed are the first run and the
best, beside the floor (`gpu_workloads.floor_seconds`, with the ceilings measured in this run) and
what the better of SGLang 0.5.17 and vLLM 0.26.0 took on an H100 80GB HBM3.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
from ceilings import copy_bandwidth, matmul_rate
from gpu_workloads import Row, Words, Workload, chosen, floor_seconds
from speed_model import write_model, write_tokenizer

from sglc.codegen.plan import Plan
from sglc.compiler.driver import compile_file
from sglc.runtime.engine.request import Engine
from sglc.runtime.model.config import config_from_hf
from sglc.runtime.row import RowDone
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows
from sglc.runtime.run import run
from sglc.runtime.session import EngineOptions, Session, open_session

HERE = Path(__file__).parent
WINDOW = 1024  # rows in flight: all of a workload's, as the peers were given them


@dataclass(frozen=True, slots=True)
class Timing:
    """One run: seconds in all, until the first result, and from a step to the next (the median,
    which is a step on the device where the host keeps ahead); what the engine counted."""

    seconds: float
    first_result: float
    step: float
    prefilled: int
    decoded: int
    scored: int
    steps: int
    phases: dict[str, float]
    outputs: list[Any]


def time_run(plan: Plan, session: Session, engine: Engine, rows: list[Row]) -> Timing:
    binder = RowBinder(RowFields(plan.params))
    before = vars_of(engine)
    phases_before = dict(engine.stats.seconds)
    start = time.perf_counter()
    first = 0.0
    outputs: list[Any] = []
    ends: list[float] = []
    outcomes = run(
        plan, session.spec, engine, bind_rows(rows, binder), window=WINDOW, ordered=False,
        on_step=lambda: ends.append(time.perf_counter()),
    )  # fmt: skip
    for outcome in outcomes:
        first = first or time.perf_counter() - start
        assert isinstance(outcome, RowDone), outcome
        outputs.append(outcome.output)
    seconds = time.perf_counter() - start
    counts = [after - b for after, b in zip(vars_of(engine), before, strict=True)]
    phases = {
        name: round(spent - phases_before.get(name, 0.0), 3)
        for name, spent in engine.stats.seconds.items()
    }
    step = median([after - before for before, after in pairwise(ends)] or [seconds])
    return Timing(seconds, first, step, *counts, phases, outputs)


def vars_of(engine: Engine) -> list[int]:
    stats = engine.stats
    return [stats.prefilled_tokens, stats.decoded_tokens, stats.scored_tokens, stats.steps]


def judged(timing: Timing, is_valid: Callable[[Any], bool]) -> str:
    """How many outputs are valid, and how long they are, as JSON without white space."""
    texts = [json.dumps(x, separators=(",", ":"), ensure_ascii=False) for x in timing.outputs]
    count, num_characters = len(texts), sum(map(len, texts))
    return (
        f"{sum(map(is_valid, timing.outputs))} of {count} outputs valid; on average "
        f"{num_characters / count:.0f} characters, {timing.decoded / count:.0f} sampled tokens"
    )


def profiled(directory: Path, name: str, call: Callable[[], object]) -> None:
    """Run `call` under torch's profiler: a table of kernels, and the device's idle share."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        call()
        torch.cuda.synchronize()
    directory.mkdir(parents=True, exist_ok=True)
    kernels = [e for e in profiler.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    spans = sorted((e.time_range.start, e.time_range.end) for e in kernels)
    busy, end = 0.0, spans[0][0]
    for low, high in spans:
        busy += max(0.0, high - max(low, end))
        end = max(end, high)
    idle = 1 - busy / (end - spans[0][0])
    print(f"{name}: device idle {100 * idle:.1f} % between its first and last kernel")
    table = profiler.key_averages().table(sort_by="self_cuda_time_total", row_limit=25)
    (directory / f"{name}.txt").write_text(table)
    for event in sorted(profiler.key_averages(), key=lambda e: -e.self_device_time_total)[:12]:
        print(
            f"    {event.self_device_time_total / 1e3:9.1f} ms {event.count:7d} x {event.key[:80]}"
        )


def main() -> None:
    args = arguments()
    is_cuda = args.device != "cpu"
    bandwidth, matmul = (copy_bandwidth(), matmul_rate()) if is_cuda else (1e10, 1e11)
    if is_cuda:
        print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}: "
              f"copy {bandwidth / 1e12:.2f} TB/s, matmul {matmul / 1e12:.0f} TFLOP/s")  # fmt: skip
    sizes = dict(pair.split("=") for pair in args.rows)
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        tokenizer = args.tokenizer or Path(name) / "tokenizer"
        if args.tokenizer is None:
            write_tokenizer(tokenizer)
        workloads = sorted(chosen(args.only), key=lambda workload: workload.geometry)
        for geometry in dict.fromkeys(workload.geometry for workload in workloads):
            folder = Path(name) / geometry
            write_model(folder, args.geometry or geometry, tokenizer)
            measure(
                folder,
                [w for w in workloads if w.geometry == geometry],
                args, sizes, (bandwidth, matmul), results,
            )  # fmt: skip
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


def measure(
    folder: Path,
    workloads: Sequence[Workload],
    args: argparse.Namespace,
    sizes: dict[str, str],
    ceilings: tuple[float, float],
    results: dict[str, object],
) -> None:
    config = config_from_hf(json.loads((folder / "config.json").read_text()))
    start = time.perf_counter()
    session = open_session(str(folder))
    engine = session.make_engine(
        EngineOptions(args.device, args.dtype, "dummy", None, args.deterministic)
    )
    print(f"{folder.name}: tokenizer, weights and engine in {time.perf_counter() - start:.1f} s")
    for workload in workloads:
        plan = compile_file(HERE / "workloads" / f"{workload.name}.sgl", spec=session.spec).plan
        count = int(sizes.get(workload.name, workload.num_rows))
        rows = workload.rows(Words(session.spec.tokenizer, workload.name), count)
        repeats = 1 if workload.name in args.once else args.repeats
        timings = [time_run(plan, session, engine, rows) for _ in range(repeats)]
        best = min(timings, key=lambda timing: timing.seconds)
        load = workload.load(count)
        floor = floor_seconds(load, config, *ceilings)
        peer = workload.peer_seconds if count == workload.num_rows else None
        print(
            f"{workload.name:4} {count:5} rows  first {timings[0].seconds:7.3f} s"
            f"  best {best.seconds:7.3f} s  to first row {best.first_result:6.3f}"
            f"  floor {floor:6.3f} ({best.seconds / floor:5.2f} x)"
            + (f"  peer {peer:5.2f} ({peer / best.seconds:5.2f} x)" if peer else "")
        )
        print(
            f"     {count / best.seconds:.1f} rows/s; {best.prefilled + best.scored} tokens "
            f"prefilled (at least {load.prefilled}), {best.decoded} decoded, {best.steps} steps "
            f"of {best.step * 1e3:.2f} ms; {best.phases}",
            flush=True,
        )
        if workload.is_valid is not None:
            print(f"     {judged(best, workload.is_valid)}", flush=True)
        results[workload.name] = {
            "rows": count, "first": timings[0].seconds, "best": best.seconds, "floor": floor,
            "peer": peer, "prefilled": best.prefilled + best.scored, "decoded": best.decoded,
            "steps": best.steps,
        }  # fmt: skip
        if args.profile:
            again = partial(time_run, plan, session, engine, rows)
            profiled(args.profile, workload.name, again)
    del engine, session
    gc.collect()
    torch.cuda.empty_cache()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[], metavar="W", help="workloads: w1 w10")
    parser.add_argument("--rows", nargs="*", default=[], metavar="W=N", help="fewer rows: w1=64")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--once", nargs="*", default=[], metavar="W", help="not repeated")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument(
        "--deterministic", action="store_true", help="the same bits in any batch: what it costs"
    )
    parser.add_argument("--geometry", help="run all on this geometry (tiny: to try the programs)")
    parser.add_argument("--tokenizer", type=Path, help="a folder with tokenizer.json")
    parser.add_argument("--profile", type=Path, help="a folder for tables of torch's profiler")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
