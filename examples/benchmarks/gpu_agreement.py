"""How far results on a GPU agree: with the CPU, with transformers, and with themselves.

    python examples/benchmarks/gpu_agreement.py [tokens] [logits] [repeats]

All with the weights of the embedded model. `tokens`: greedy tokens of 50 prompts in fp32 against
the CPU's. `logits`: errors of bf16 logits against float64, beside those of transformers in bf16 on
the same weights. `repeats`: sampled rows run twice, in another order and with other batches: how
many outputs differ, by default and with --deterministic, and what the latter costs in seconds.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from agreement_prompts import openings
from torch import Tensor

from sglc.bench.transformers_model import load_transformers
from sglc.compiler.driver import compile_file
from sglc.runtime.engine.memory import KVPool
from sglc.runtime.engine.request import Engine
from sglc.runtime.model.load import load_model
from sglc.runtime.model.locate import locate
from sglc.runtime.models.fused_transformer import FusedTransformer
from sglc.runtime.models.naive_attend import naive_attend
from sglc.runtime.models.parameters import empty_parameters, named_tensors
from sglc.runtime.models.transformer import Transformer
from sglc.runtime.row import RowDone
from sglc.runtime.rows.bind import RowBinder, RowFields, bind_rows
from sglc.runtime.run import run
from sglc.runtime.session import EngineOptions, Session, open_session

DEVICE = "cuda"
KV_MEMORY = 4 << 30  # bytes: each run has an engine of its own
PROGRAM = """program agree(prompt: str) -> str:
    "{{prompt}}"
    gen text(max_tokens={tokens}, temperature={temperature}, ignore_eos=true)
    return text
"""


def prompts(count: int) -> list[str]:
    """Texts of different lengths, a third of them long."""
    return [text * (1 + 5 * (i % 3 == 0)) for i, text in enumerate(openings(count))]


def outputs(
    session: Session,
    engine: Engine,
    texts: Iterable[tuple[int, str]],
    *,
    tokens: int,
    temperature: float,
    window: int = 1024,
) -> tuple[dict[int, Any], float]:
    """What the rows (index, prompt) return, and the seconds that took."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "agree.sgl"
        path.write_text(PROGRAM.format(tokens=tokens, temperature=temperature))
        plan = compile_file(path, spec=session.spec).plan
    pairs = list(texts)
    binder = RowBinder(RowFields(plan.params, row_id="id"))
    rows = bind_rows([{"id": str(index), "prompt": text} for index, text in pairs], binder)
    begin = time.perf_counter()
    found = {}
    for outcome in run(plan, session.spec, engine, rows, window=window, ordered=True):
        assert isinstance(outcome, RowDone), outcome
        found[pairs[outcome.index][0]] = outcome.output
    return found, time.perf_counter() - begin


def tokens() -> None:
    session = open_session(None)
    texts = list(enumerate(prompts(50)))
    found = []
    for device in ("cpu", "cuda"):
        engine = session.make_engine(EngineOptions(device, "float32", kv_memory=KV_MEMORY))
        found.append(outputs(session, engine, texts, tokens=64, temperature=0.0)[0])
    same = sum(found[0][index] == found[1][index] for index, _ in texts)
    print(f"greedy, fp32, 64 tokens: {same} of {len(texts)} outputs are the CPU's")


def repeats(count: int = 512) -> None:
    session = open_session(None)
    texts = list(enumerate(prompts(count)))
    shuffled = random.Random(1).sample(texts, count)
    seconds = []
    for is_deterministic in (False, True):
        options = EngineOptions(
            "cuda", "bfloat16", kv_memory=KV_MEMORY, deterministic=is_deterministic
        )
        runs = []
        for rows, window in ((texts, 1024), (texts, 1024), (shuffled, 1024), (texts, 100)):
            engine = session.make_engine(options)
            runs.append(outputs(session, engine, rows, tokens=64, temperature=1.0, window=window))
        first = runs[0][0]
        differing = [sum(other[i] != first[i] for i in first) for other, _ in runs[1:]]
        print(
            f"{count} sampled rows of 64 tokens, bf16, deterministic {is_deterministic}: differing "
            f"when run again {differing[0]}, in another order {differing[1]}, in other batches "
            f"{differing[2]}; first {runs[0][1]:.2f} s, again {runs[1][1]:.2f} s"
        )
        seconds.append(runs[1][1])
    print(f"--deterministic takes {seconds[1] / seconds[0]:.2f} times the seconds")


def logits() -> None:
    """Errors over all places of 20 prompts of 100 to 400 tokens."""
    files, session = locate(None), open_session(None)
    model = load_model(files, device=DEVICE, dtype="bfloat16")
    exact = _in_float64(model)
    theirs = load_transformers(files, torch.device(DEVICE), torch.bfloat16)
    errors: list[Tensor] = []
    for text in prompts(60)[::3]:
        ids = torch.tensor(session.spec.tokenizer.encode(text * 8)[:400], device=DEVICE)
        expected = exact.forward(ids, _places(ids), naive_attend, _places(ids))
        with torch.no_grad():
            both = (_ours(model, ids), theirs(ids[None]).logits[0])
        errors.append(torch.stack([(x.double() - expected).abs().flatten() for x in both]))
    all_errors = torch.cat(errors, 1)
    means = all_errors.mean(1).tolist()
    highest = [row.kthvalue(int(0.99 * len(row))).values.item() for row in all_errors]
    for name, mean, high in zip(("sglc", "transformers"), means, highest, strict=True):
        print(f"bf16 logits against float64, {name}: mean {mean:.4f}, 99th percentile {high:.4f}")
    print(f"ours over theirs: {means[0] / means[1]:.3f}, {highest[0] / highest[1]:.3f}")


def _places(ids: Tensor) -> Tensor:
    return torch.arange(len(ids), device=DEVICE)


def _ours(model: Transformer, ids: Tensor) -> Tensor:
    config = model.config
    pool = KVPool(
        len(ids), config.num_layers, config.num_kv_heads, config.head_size, model.dtype,
        model.device,
    )  # fmt: skip
    places = _places(ids)

    def attend(layer: int, q: Tensor) -> Tensor:
        k, v = pool.k[layer][: len(ids)], pool.v[layer][: len(ids)]
        return naive_attend(layer, q, k, v).contiguous()

    fused = FusedTransformer(config, model.parameters)
    return fused.forward(ids, places, places, pool.k, pool.v, attend, None)


def _in_float64(model: Transformer) -> Transformer:
    wide = empty_parameters(model.config, model.device, torch.float64)
    pairs = zip(named_tensors(wide), named_tensors(model.parameters), strict=True)
    for (_, into), (_, tensor) in pairs:
        into.copy_(tensor)
    return Transformer(model.config, wide)


def main() -> None:
    wanted = sys.argv[1:] or ["tokens", "logits", "repeats"]
    print(torch.cuda.get_device_name(), "torch", torch.__version__)
    for name, part in (("tokens", tokens), ("logits", logits), ("repeats", repeats)):
        if name in wanted:
            part()


if __name__ == "__main__":
    main()
