"""Seconds from the command to the first row's result on a GPU, in processes of their own.

    python examples/benchmarks/first_row.py [--geometry 8b] [--tokenizer DIR] [--folder DIR]

`sglc run` of one row and one token: with random weights drawn on the device, and with weights from
sharded safetensors files that were written just before, so that they lie in the page cache where
there is memory for them. The first of two runs builds kernels unless they are cached on disk.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from safetensors.torch import save_file
from speed_model import write_model, write_tokenizer

SHARD = 4 << 30  # bytes
PROGRAM = """
program hello(prompt: str) -> str:
    "{prompt}"
    gen reply(max_tokens=1, temperature=0)
    return reply
"""


def write_weights(folder: Path) -> int:
    """Random bf16 weights of the model in `folder`, in shards; their bytes."""
    import torch

    from sglc.runtime.model.config import config_from_hf
    from sglc.runtime.models.dummy import fill_randomly
    from sglc.runtime.models.parameters import empty_parameters, slots

    config = config_from_hf(json.loads((folder / "config.json").read_text()))
    parameters = empty_parameters(config, torch.device("cuda"), torch.bfloat16)
    fill_randomly(parameters)
    shards: list[dict[str, torch.Tensor]] = [{}]
    sizes = [0]
    for name, tensor in slots(parameters, config).items():
        if sizes[-1] > SHARD:
            shards.append({})
            sizes.append(0)
        shards[-1][name] = tensor.contiguous().cpu()
        sizes[-1] += tensor.numel() * tensor.element_size()
    files = [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
    for file, shard in zip(files, shards, strict=True):
        save_file(shard, folder / file)
    weight_map = {name: file for file, s in zip(files, shards, strict=True) for name in s}
    index = {"metadata": {"total_size": sum(sizes)}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return sum(sizes)


def seconds(folder: Path, *options: str) -> float:
    """From the command to the result's line."""
    program = folder / "first.sgl"
    program.write_text(PROGRAM)
    command = [sys.executable, "-m", "sglc", "run", str(program), "--model", str(folder)]
    command += ["--set", "prompt=Once upon a time", "--device", "cuda", *options]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        took = time.perf_counter() - start
        talk = process.stderr.read().decode()
    if not line:
        raise SystemExit(f"sglc run failed:\n{talk}")
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--geometry", default="8b")
    parser.add_argument("--tokenizer", type=Path, help="a folder with tokenizer.json")
    parser.add_argument("--folder", type=Path, help="where the model's files go, some 15 GB")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name) / args.geometry
        tokenizer = args.tokenizer or Path(name) / "tokenizer"
        if args.tokenizer is None:
            write_tokenizer(tokenizer)
        write_model(folder, args.geometry, tokenizer)
        for turn in ("first", "again"):
            took = seconds(folder, "--load-format", "dummy")
            print(f"random weights, {turn}: {took:.2f} s", flush=True)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as aside:
            size = aside.submit(write_weights, folder).result()  # the device's memory is free again
        for turn in ("first", "again"):
            took = seconds(folder)
            print(f"{size / 1e9:.1f} GB of weights, {turn}: {took:.2f} s", flush=True)


if __name__ == "__main__":
    main()
