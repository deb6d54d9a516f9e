"""Recomputed tokens and steps where memory is short, of rehearsed random programs whose rows go on
after gens, as on a CPU and as on a GPU: sglc and a cache (LRU, longest prefix first). The last two
columns: in how many programs more is recomputed than by the cache, and the most steps over its.

    python examples/benchmarks/budgets.py [PROGRAMS] [ROWS]
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import torch

import sglc

sys.path.insert(0, str(Path(sglc.__file__).parent / "tests" / "runtime" / "planner"))

from lru_engine import LruRehearsal
from random_programs import MODEL, RandomProgram, random_rows, rehearse

from sglc.runtime.engine.request import EngineStats
from sglc.runtime.planner.rehearsal import Rehearsal

ENGINES = {"sglc": Rehearsal, "cache": LruRehearsal}


def main(num_programs: int = 40, num_rows: int = 48) -> None:
    torch.set_num_threads(1)
    programs = [
        (sglc.compile(RandomProgram(seed).source(), model=MODEL), random_rows(seed, num_rows, 8))
        for seed in range(num_programs)
    ]
    print("| | of the peak | engine | recomputed | prefilled | steps | more in | most steps |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for device, share in product(("CPU", "GPU"), (0.5, 0.25, 0.1)):
        is_device = device == "GPU"
        found: dict[str, list[EngineStats]] = {name: [] for name in ENGINES}
        for each in programs:
            whole, _ = rehearse(Rehearsal, *each, None, is_device=is_device)
            slots = round(whole.stats.peak_kv_tokens * share)
            for name, cls in ENGINES.items():
                found[name].append(rehearse(cls, *each, slots, is_device=is_device)[0].stats)
        for name, stats in found.items():
            pairs = list(zip(stats, found["cache"], strict=True))
            more = sum(ours.recomputed_tokens > other.recomputed_tokens for ours, other in pairs)
            most = max(ours.steps / other.steps for ours, other in pairs)
            print(
                f"| {device} | {share:.0%} | {name} "
                f"| {sum(each.recomputed_tokens for each in stats):,} "
                f"| {sum(each.prefilled_tokens for each in stats):,} "
                f"| {sum(each.steps for each in stats):,} | {more} | {most:.2f} |"
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
