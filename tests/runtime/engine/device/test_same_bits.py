"""`--deterministic` on the GPU engine: every number of a result is the same bits whatever else is
asked, in which order, with which limits and memory. On the CPU its kernels' references run."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from sglc.codegen.automata.source import ConstraintSource
from sglc.ir import types as t
from sglc.runtime.engine.device import table_decode
from sglc.runtime.engine.device.engine import DeviceEngine
from sglc.runtime.engine.engine import TreeEngine
from sglc.runtime.engine.request import (
    Engine,
    EngineStats,
    GenRequest,
    GenResult,
    Request,
    Result,
    Sampling,
    ScoreRequest,
    ScoreResult,
)
from sglc.runtime.models.parameters import empty_parameters, named_tensors
from sglc.runtime.models.transformer import Transformer

NEEDS_GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]
CASES = [
    pytest.param("cpu", torch.float32, id="cpu fp32"),
    pytest.param("cuda", torch.float32, id="cuda fp32", marks=NEEDS_GPU),
    pytest.param("cuda", torch.bfloat16, id="cuda bf16", marks=NEEDS_GPU),
]
LARGE = {
    "hidden_size": 256, "num_layers": 3, "num_heads": 8, "num_kv_heads": 2, "head_size": 64,
    "intermediate_size": 512, "max_positions": 4096,
}  # fmt: skip
Run = Callable[[Engine, Sequence[Request]], dict[Request, Result]]


def on(device: str, model: Transformer) -> Transformer:
    there = empty_parameters(model.config, torch.device(device), model.dtype)
    pairs = zip(named_tensors(there), named_tensors(model.parameters), strict=True)
    for (_, into), (_, tensor) in pairs:
        into.copy_(tensor)
    return Transformer(model.config, there)


def request_of(prefix: Any, n: int) -> Request:
    """Request `n`: gens that report log-probabilities or not, greedy or not, and scores."""
    if n % 4 == 3:
        return ScoreRequest(prefix, ((3, 4, 5), (3, 4), (7,)), n % 8 == 3, (n,))
    sampling = Sampling(
        max_tokens=20 + n % 7,
        temperature=0.0 if n % 3 == 0 else 0.9,
        top_p=0.9 if n % 5 == 0 else 1.0,
        stop=("ab",),
        ignore_eos=n % 2 == 0,
        logprobs=3 if n % 4 == 1 else None,
    )
    return GenRequest(prefix, sampling, n, (n,))


def told(result: Result) -> tuple[object, ...]:
    if isinstance(result, ScoreResult):
        return result.logprobs, result.unconditional
    assert isinstance(result, GenResult), result
    reports = [(report.id, report.logprob, report.top) for report in result.logprobs]
    return result.token_ids, result.finish_reason, reports


def contexts_of(count: int, longest: int) -> list[list[int]]:
    """Contexts that share a header in whole or in part."""
    rng = random.Random(1)
    header = [rng.randint(1, 90) for _ in range(longest)]
    lens = [0, 63, 64, 65, longest // 2, longest]
    return [
        header[: lens[n % 6]] + [rng.randint(1, 90) for _ in range(rng.randint(1, 80))]
        for n in range(count)
    ]


@pytest.mark.parametrize(("device", "dtype"), CASES)
def test_bits_do_not_depend_on_what_else_runs(
    device: str,
    dtype: torch.dtype,
    tiny: Callable[..., Transformer],
    tokenizer: Any,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table_decode, "WIDTH", 100)  # tables are widened on the way
    is_large = device == "cuda"
    model = on(device, tiny(dtype, **(LARGE if is_large else {"head_size": 16})))
    contexts = contexts_of(24, 1400) if is_large else contexts_of(12, 70)
    slot_bytes = model.config.kv_elements_per_token * dtype.itemsize

    def see(
        which: Sequence[int], *, slots: int = 60_000, again: bool = False, **options: Any
    ) -> tuple[dict[int, object], EngineStats]:
        engine = DeviceEngine(
            model, tokenizer, kv_memory=slots * slot_bytes, deterministic=True, **options
        )
        prefixes = {n: engine.extend(engine.root, contexts[n]) for n in which}
        for _ in range(1 + again):  # with all prefixes alive since the first time
            requests = {n: request_of(prefixes[n], n) for n in which}
            results = run(engine, list(requests.values()))
        return {n: told(results[request]) for n, request in requests.items()}, engine.stats

    everything = range(len(contexts))
    expected, _ = see(everything)
    for n in (1, 4, 11):
        assert see([n])[0] == {n: expected[n]}
    assert see(everything[::-1], step_tokens=37, max_batch=5)[0] == expected
    assert see(everything, ahead=0, max_batch=3, share=False)[0] == expected
    longest = max(map(len, contexts)) + 27
    found, stats = see(everything, slots=longest + 40, again=True)
    assert found == expected
    assert stats.recomputed_tokens > 0


@pytest.mark.parametrize(("device", "dtype"), [CASES[0], CASES[2]])
@pytest.mark.parametrize("as_grammar", [False, True], ids=["table", "grammar"])
def test_constrained_gens_too(
    device: str,
    dtype: torch.dtype,
    as_grammar: bool,
    words: Any,
    tiny: Callable[..., Transformer],
    constraint_of: Callable[..., Any],
    run: Run,
) -> None:
    """Forced text is prefilled where it would have been decoded; grammars are sampled by the
    host."""
    model = on(device, tiny(dtype, vocab_size=words.vocab_size, head_size=16))
    item = t.RecordType("Item", (("name", t.StrType(max_length=5)), ("count", t.IntType(0, 99))))
    constraint = constraint_of(
        ConstraintSource("type", type=t.ListType(item, 1, 3)), as_grammar=as_grammar
    )

    def see(which: Sequence[int], **options: Any) -> dict[int, tuple[object, ...]]:
        engine = DeviceEngine(model, words, kv_memory=1 << 22, deterministic=True, **options)
        requests = {}
        for n in which:
            sampling = Sampling(
                max_tokens=60, temperature=1.0, top_p=0.9, logprobs=2 if n % 3 == 0 else None
            )
            prefix = engine.extend(engine.root, list(range(1, 20 + 5 * n)))
            requests[n] = GenRequest(prefix, sampling, n, (n,), constraint=constraint)
        results = run(engine, list(requests.values()))
        assert engine.stats.forced_tokens > 0
        return {n: told(results[request]) for n, request in requests.items()}

    everything = range(8)
    expected = see(everything)
    assert see(everything[::-1], max_batch=3, step_tokens=16) == expected
    assert see([6]) == {6: expected[6]}


def test_fp32_is_the_reference_engines(
    tiny: Callable[..., Transformer], tokenizer: Any, run: Run
) -> None:
    model = tiny(head_size=16)
    contexts = contexts_of(8, 70)
    found = []
    for engine in (
        TreeEngine(model, tokenizer, kv_memory=1 << 22),
        DeviceEngine(model, tokenizer, kv_memory=1 << 22, deterministic=True),
    ):
        requests = [request_of(engine.extend(engine.root, c), n) for n, c in enumerate(contexts)]
        results = run(engine, requests)
        found.append([results[request] for request in requests])
    for one, other in zip(*found, strict=True):
        if isinstance(one, GenResult):
            assert told(one)[:2] == told(other)[:2]
        else:
            for values, other_values in zip(one.logprobs, other.logprobs, strict=True):
                assert values == pytest.approx(other_values, abs=1e-4)
