"""The GPU engine's logic on the CPU: its results are those of the reference engine, whatever runs
ahead, however steps are cut, and whoever is cancelled."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
import torch

from sglc.runtime.engine.device.engine import DeviceEngine
from sglc.runtime.engine.engine import TreeEngine
from sglc.runtime.engine.request import (
    Engine,
    GenRequest,
    GenResult,
    Request,
    RequestError,
    Result,
    Sampling,
    ScoreRequest,
    ScoreResult,
)
from sglc.runtime.engine.tree import Handle
from sglc.runtime.models.transformer import Transformer

Run = Callable[[Engine, Sequence[Request]], dict[Request, Result]]


@pytest.fixture(scope="module")
def model(tiny: Callable[..., Transformer]) -> Transformer:
    return tiny(head_size=16)  # the least that the kernels take


def kv_bytes(model: Transformer, slots: int) -> int:
    return slots * model.config.kv_elements_per_token * model.dtype.itemsize


def random_sampling(rng: random.Random) -> Sampling:
    return Sampling(
        max_tokens=rng.choice([1, 2, 5, 30, 70]),
        temperature=rng.choice([0.0, 0.0, 1.0, 0.7]),
        stop=rng.choice([(), (), ("ab",), ("a", "q")]),
        ignore_eos=rng.random() < 0.5,
        top_k=rng.choice([0, 0, 5]),
        top_p=rng.choice([1.0, 0.9]),
        min_tokens=rng.choice([0, 0, 3]),
        stop_token_ids=rng.choice([(), (7,)]),
        frequency_penalty=rng.choice([0.0, 0.0, 0.5]),
        repetition_penalty=rng.choice([1.0, 1.2]),
        logit_bias=rng.choice([(), ((5, 2.0),)]),
        logprobs=rng.choice([None] * 6 + [0, 2]),
    )


def random_requests(engine: Engine, seed: int, count: int) -> list[Request]:
    """Gens and scores below a few shared prefixes; the same for every engine."""
    rng = random.Random(seed)

    def tokens(low: int, high: int) -> list[int]:
        return [rng.randrange(1, 90) for _ in range(rng.randrange(low, high))]

    shared = [engine.extend(engine.root, tokens(1, 60)) for _ in range(3)]
    requests: list[Request] = []
    for index in range(count):
        prefix = engine.extend(rng.choice(shared), tokens(0, 50))
        if rng.random() < 0.25:
            choices = tuple(
                tuple(rng.randrange(1, 9) for _ in range(rng.randrange(1, 6))) for _ in range(3)
            )
            is_unconditional = rng.random() < 0.3
            requests.append(ScoreRequest(prefix, choices, is_unconditional, (index,)))
        else:
            sampling = random_sampling(rng)
            requests.append(GenRequest(prefix, sampling, rng.randrange(1 << 60), (index,)))
    return requests


def told(result: Result) -> tuple[object, list[float]]:
    """What must be equal, and the log-probabilities, which are so but for rounding."""
    if isinstance(result, RequestError):
        return (result.code, result.message), []
    if isinstance(result, GenResult):
        values = [token.logprob for token in result.logprobs]
        values += [value for token in result.logprobs for _, value in token.top]
        ids = [(token.id, [id for id, _ in token.top]) for token in result.logprobs]
        kept = (result.text, result.rest, result.token_ids, result.finish_reason)
        return (*kept, result.num_sampled, result.prefix.token_ids(), ids), values
    assert isinstance(result, ScoreResult)
    rows = [*result.logprobs, *(result.unconditional or ())]
    lengths = [prefix.num_tokens for prefix in result.prefixes]
    return ([len(row) for row in rows], lengths), [value for row in rows for value in row]


@pytest.mark.parametrize("seed", range(8))
def test_results_are_the_reference_engines(
    seed: int,
    model: Transformer,
    tokenizer: object,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr("sglc.runtime.engine.device.engine.STILL", (1, 3, 128)[seed % 3])
    options = {"kv_memory": kv_bytes(model, rng.choice([300, 800, 4000]))}
    reference = TreeEngine(model, tokenizer, **options)  # type: ignore[arg-type]
    engine = DeviceEngine(
        model,
        tokenizer,  # type: ignore[arg-type]
        **options,
        max_batch=rng.choice([3, 8, 40]),
        step_tokens=rng.choice([16, 64, 512]),
        ahead=rng.choice([0, 1, 2, 4]),
    )
    expected = run(reference, random_requests(reference, seed, 20)).values()
    requests = random_requests(engine, seed, 20)
    results = run(engine, requests)
    by_order = sorted(expected, key=lambda result: result.request.order)
    for request, other in zip(requests, by_order, strict=True):
        told_here, values = told(results[request])
        told_there, expected_values = told(other)
        assert told_here == told_there
        assert values == pytest.approx(expected_values, abs=2e-3)
    del results, requests, request
    assert engine.num_kv_tokens == 0


def test_what_runs_again_goes_on_from_kept_kv(
    model: Transformer, tokenizer: object, run: Run
) -> None:
    """Gens that follow gens: what the first has computed is not computed again, but for the last
    token of one that ran into max_tokens."""
    engine = DeviceEngine(model, tokenizer, kv_memory=kv_bytes(model, 4000))  # type: ignore[arg-type]
    root = engine.extend(engine.root, list(range(1, 41)))
    sampling = Sampling(max_tokens=20, temperature=0.0, ignore_eos=True)
    firsts: list[Request] = [GenRequest(root, sampling, 0, (i,)) for i in range(4)]
    results = run(engine, firsts)
    prefixes = [result.prefix for result in results.values() if isinstance(result, GenResult)]
    before = engine.stats.prefilled_tokens
    nexts = [engine.extend(prefix, [5, 6, 7 + i]) for i, prefix in enumerate(prefixes)]
    run(engine, [GenRequest(prefix, sampling, 0, (i,)) for i, prefix in enumerate(nexts)])
    assert before == 40
    assert engine.stats.prefilled_tokens == before + 4 * 3
    assert engine.stats.recomputed_tokens == 0
    assert engine.stats.decoded_tokens == 8 * 20


def test_a_chain_of_gens_stays_short_and_says_the_same(
    model: Transformer, tokenizer: object, run: Run
) -> None:
    def fields(engine: Engine) -> list[int]:
        """Six gens, each after the text that follows the one before."""
        prefix = engine.extend(engine.root, list(range(1, 41)))
        for field in range(6):
            prefix = engine.extend(prefix, [50 + field, 60])
            sampling = Sampling(max_tokens=3 + field, temperature=0.0, ignore_eos=True)
            [result] = run(engine, [GenRequest(prefix, sampling, 0)]).values()
            assert isinstance(result, GenResult)
            prefix = result.prefix
            del result  # whose request ends at the text before it
        if isinstance(engine, DeviceEngine):
            assert isinstance(prefix, Handle) and len(prefix.node.path()) <= 5
        return prefix.token_ids()

    options = {"kv_memory": kv_bytes(model, 4000)}
    reference = TreeEngine(model, tokenizer, **options)  # type: ignore[arg-type]
    engine = DeviceEngine(model, tokenizer, **options)  # type: ignore[arg-type]
    assert fields(engine) == fields(reference)
    assert engine.stats.prefilled_tokens == reference.stats.prefilled_tokens
    assert engine.stats.recomputed_tokens == 0
    assert engine.num_kv_tokens == 0


@pytest.mark.parametrize(("ahead", "still"), [(0, 128), (2, 128), (2, 1)])
def test_cancelled_gens_leave_nothing(
    ahead: int,
    still: int,
    model: Transformer,
    tokenizer: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sglc.runtime.engine.device.engine.STILL", still)
    engine = DeviceEngine(
        model,
        tokenizer,  # type: ignore[arg-type]
        kv_memory=kv_bytes(model, 4000),
        ahead=ahead,
    )
    rng = random.Random(5)
    requests = random_requests(engine, 3, 20)
    alone = {id(r) for r in requests[::3]}
    answered = {}
    for request in requests:
        engine.submit(request)
    for step in range(4000):
        if engine.is_idle:
            break
        for result in engine.step():
            answered[result.request] = result
        victim = rng.choice(requests)
        if step % 3 == 0 and id(victim) not in alone:
            engine.cancel(victim)
            answered.pop(victim, None)
    assert engine.is_idle
    assert alone <= {id(request) for request in answered}
    del answered, requests, request, victim, result
    assert engine.num_kv_tokens == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_greedy_tokens_on_a_gpu_are_the_cpus(
    model: Transformer, tokenizer: object, run: Run, tiny: Callable[..., Transformer]
) -> None:
    from sglc.runtime.models.parameters import empty_parameters, named_tensors

    there = empty_parameters(model.config, torch.device("cuda"), torch.float32)
    named = zip(named_tensors(there), named_tensors(model.parameters), strict=True)
    for (_, tensor), (_, other) in named:
        tensor.copy_(other)
    on_gpu = Transformer(model.config, there)
    found = []
    for engine in (
        TreeEngine(model, tokenizer, kv_memory=kv_bytes(model, 4000)),  # type: ignore[arg-type]
        DeviceEngine(on_gpu, tokenizer, kv_memory=kv_bytes(model, 4000)),  # type: ignore[arg-type]
    ):
        requests = random_requests(engine, 11, 60)
        results = run(engine, requests)
        found.append([told(results[request])[0] for request in requests])
    assert found[0] == found[1]
