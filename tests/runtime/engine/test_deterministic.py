"""`--deterministic`: logits are the same bits whatever else is run, in which order, with which
memory."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
import torch

from sglc.runtime.engine.request import GenRequest, ScoreRequest


def observed(
    new_engine, run, contexts, *, which: Sequence[int], make, scores=(), again=False, **options
):
    """Run the requests `which` (`again`: a second time, with all prefixes alive since the first),
    and report for each its tokens and exact log-probabilities."""
    engine = new_engine(deterministic=True, **options)
    requests: dict[int, GenRequest] = {
        n: make(engine.extend(engine.root, contexts[n]), n) for n in which
    }
    extra = [ScoreRequest(engine.extend(engine.root, contexts[n]), ((3, 4), (3,))) for n in scores]
    results = run(engine, [*requests.values(), *extra])
    if again:
        requests = {n: make(request.prefix, n) for n, request in requests.items()}
        results = run(engine, list(requests.values()))
    return {
        n: [(report.id, report.logprob, report.top) for report in results[request].logprobs]
        for n, request in requests.items()
    }, engine.stats


@pytest.fixture
def make(gen) -> Callable[[object, int], GenRequest]:
    def request(prefix: object, n: int) -> GenRequest:
        return gen(
            prefix, max_tokens=20 + n % 7, seed=n, order=n, logprobs=3,
            temperature=0.8 if n % 2 else 0.0, top_p=0.95 if n % 3 else 1.0,
        )  # fmt: skip

    return request


def shared_contexts(seed: int) -> list[list[int]]:
    rng = random.Random(seed)
    header = [rng.randint(1, 90) for _ in range(150)]
    return [
        header[: rng.choice([0, 63, 64, 65, 150])]
        + [rng.randint(1, 90) for _ in range(rng.randint(1, 80))]
        for _ in range(12)
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_bits_do_not_depend_on_what_else_runs(new_engine, tiny, run, make, dtype, threads) -> None:
    torch.set_num_threads(threads)
    model = tiny(dtype)
    contexts = shared_contexts(1)
    everything = range(len(contexts))

    def see(which, **options):
        return observed(new_engine, run, contexts, which=which, make=make, model=model, **options)

    expected, _ = see(everything)
    alone = {}
    for n in (1, 4, 11):
        alone.update(see([n])[0])
    assert alone == {n: expected[n] for n in alone}
    other_order, _ = see(list(reversed(everything)), step_tokens=17, max_batch=5)
    assert other_order == expected
    with_others, _ = see(everything, step_tokens=64, scores=everything)
    assert with_others == expected
    longest = max(map(len, contexts)) + 27
    short_of_memory, stats = see(everything, slots=longest + 40, again=True)
    assert short_of_memory == expected
    assert stats.recomputed_tokens > 0


def test_fp32_is_close_to_the_fast_path(new_engine, run, make) -> None:
    contexts = shared_contexts(2)
    expected, _ = observed(new_engine, run, contexts, which=range(12), make=make)
    engine = new_engine()
    requests = [make(engine.extend(engine.root, c), n) for n, c in enumerate(contexts)]
    results = run(engine, requests)
    for n, request in enumerate(requests):
        found = results[request].logprobs
        assert [report.id for report in found] == [id for id, _, _ in expected[n]]
        assert [report.logprob for report in found] == pytest.approx(
            [logprob for _, logprob, _ in expected[n]], abs=1e-4
        )


def test_a_fork_after_a_gen_equals_the_same_tokens_as_text(new_engine, run, make, gen) -> None:
    """KV that decoding wrote has the bits that prefilling would have written."""
    engine = new_engine(deterministic=True)
    first = gen(engine.extend(engine.root, list(range(1, 80))), max_tokens=40)
    settled = run(engine, [first])[first].prefix
    more = [5, 6, 7]
    follow = make(engine.extend(settled, more), 3)
    other = new_engine(deterministic=True, step_tokens=13)
    again = make(other.extend(other.root, [*settled.token_ids(), *more]), 3)
    assert run(engine, [follow])[follow].logprobs == run(other, [again])[again].logprobs


def test_tiles_of_one_row_where_places_matter(new_engine, run, make, monkeypatch) -> None:
    """On a machine whose arithmetic depends on the row's place the slow way gives the same
    promise."""
    from sglc.runtime.engine.fixed_forward import FixedForward

    monkeypatch.setattr(FixedForward, "_is_invariant", lambda self: False)
    contexts = shared_contexts(3)[:4]
    together, _ = observed(new_engine, run, contexts, which=range(4), make=make)
    alone, _ = observed(new_engine, run, contexts, which=[2], make=make)
    assert alone[2] == together[2]
