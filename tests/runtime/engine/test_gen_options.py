"""Options of a gen through the whole engine: stops, masks, log-probabilities, seeds, batches."""

from __future__ import annotations

import pytest
import torch

from sglc.ir.host import regex
from sglc.runtime.engine.request import RequestError


def test_eos_ends_and_is_dropped(new_engine, run, gen, naive_logits) -> None:
    """With EOS allowed a gen ends where EOS becomes the likeliest token."""
    engine = new_engine()
    contexts = [[1 + n, 2 + n, 3 + n] for n in range(40)]
    requests = [
        gen(engine.extend(engine.root, c), max_tokens=60, ignore_eos=False) for c in contexts
    ]
    results = run(engine, requests)
    stopped = 0
    for context, request in zip(contexts, requests, strict=True):
        result = results[request]
        assert 0 not in result.token_ids
        logits = naive_logits([*context, *result.token_ids])
        logits = logits.index_fill(1, torch.tensor([95]), -torch.inf)
        best = logits.argmax(-1).tolist()[len(context) - 1 :]
        assert best[: len(result.token_ids)] == list(result.token_ids)
        if result.finish_reason == "stop":
            stopped += 1
            assert best[len(result.token_ids)] == 0
            assert result.num_sampled == len(result.token_ids) + 1
    assert 0 < stopped < len(contexts)


def test_a_stop_text_ends_the_gen(new_engine, run, gen, naive_greedy, tokenizer) -> None:
    engine = new_engine()
    context = list(range(1, 30))
    tokens = naive_greedy(context, 20)
    data = b"".join(tokenizer.token_bytes(token) for token in tokens[:14])
    stop = data[-2:].decode("utf-8", "replace")
    prefix = engine.extend(engine.root, context)
    request = gen(prefix, max_tokens=20, stop=(stop,))
    result = run(engine, [request])[request]
    text = data.decode("utf-8", "replace")
    assert result.finish_reason == "stop"
    assert result.text == text[: text.index(stop)]
    assert tokenizer.decode(result.token_ids) + result.rest == result.text
    assert result.prefix.token_ids() == [*context, *result.token_ids]


def test_a_stop_regex_without_end_is_the_error_of_its_gen(
    new_engine, run, gen, naive_greedy, monkeypatch
) -> None:
    monkeypatch.setattr(regex, "SECONDS", 0.1)
    engine = new_engine()
    prefix = engine.extend(engine.root, list(range(1, 30)))
    slow = gen(prefix, max_tokens=60, stop_regex=(r"((.|\n)+)+\x00",))
    other = gen(prefix, max_tokens=60)
    results = run(engine, [slow, other])
    assert isinstance(results[slow], RequestError)
    assert results[slow].code == "timeout"
    assert results[slow].message.startswith("stop_regex: the regex `((.|\\n)+)+")
    assert results[other].token_ids == tuple(naive_greedy(list(range(1, 30)), 60))


def test_temperatures_beyond_fp32(new_engine, run, gen, naive_greedy) -> None:
    """The coldest draw is the greedy one; the hottest still keeps to the masks."""
    engine = new_engine()
    prefix = engine.extend(engine.root, list(range(1, 30)))
    cold = gen(prefix, max_tokens=8, temperature=1e-300)
    hot = [gen(prefix, max_tokens=8, temperature=1e300, seed=seed) for seed in range(20)]
    results = run(engine, [cold, *hot])
    assert results[cold].token_ids == tuple(naive_greedy(list(range(1, 30)), 8))
    drawn = {token for request in hot for token in results[request].token_ids}
    assert len(drawn) > 20
    assert 95 not in drawn  # a control token


def test_stop_ids_and_min_tokens(new_engine, run, gen, naive_greedy) -> None:
    engine = new_engine()
    context = list(range(1, 30))
    tokens = naive_greedy(context, 20)
    prefix = engine.extend(engine.root, context)
    plain = gen(prefix, max_tokens=20, stop_token_ids=(tokens[6],))
    later = gen(prefix, max_tokens=20, stop_token_ids=(tokens[6],), min_tokens=15)
    results = run(engine, [plain, later])
    cut = tokens.index(tokens[6])
    assert results[plain].token_ids == tuple(tokens[:cut])
    assert results[plain].finish_reason == "stop"
    # the stop id is masked until 15 tokens stand
    assert tokens[6] not in results[later].token_ids[:15]
    assert results[later].token_ids[:cut] == tuple(tokens[:cut])
    assert len(results[later].token_ids) >= 15


def test_logprobs_are_the_models_own(new_engine, run, gen, naive_logits) -> None:
    engine = new_engine()
    context = list(range(1, 30))
    options = {"temperature": 2.0, "top_k": 3, "frequency_penalty": 1.0}
    prefix = engine.extend(engine.root, context)
    requests = [gen(prefix, max_tokens=6, logprobs=n, **options) for n in (4, 0, None)]
    results = run(engine, requests)
    result = results[requests[0]]
    expected = naive_logits([*context, *result.token_ids]).log_softmax(-1)[len(context) - 1 :]
    for place, (token, report) in enumerate(zip(result.token_ids, result.logprobs, strict=True)):
        assert report.id == token
        assert report.logprob == pytest.approx(float(expected[place, token]), abs=1e-4)
        best = expected[place].topk(4)
        assert [id for id, _ in report.top] == best.indices.tolist()
        assert [value for _, value in report.top] == pytest.approx(best.values.tolist(), abs=1e-4)
    assert [report.top for report in results[requests[1]].logprobs] == [()] * 6
    assert results[requests[2]].logprobs == ()
    # one seed, one result, whatever is reported
    assert len({results[request].token_ids for request in requests}) == 1


def test_control_tokens_are_never_sampled(new_engine, run, gen) -> None:
    engine = new_engine()
    prefix = engine.extend(engine.root, [1, 2, 3])
    bias = tuple((id, 100.0) for id in (95, 7))
    plain = gen(prefix, max_tokens=4, logit_bias=bias)
    thinks = gen(prefix, max_tokens=4, logit_bias=((95, 100.0),), allows_thinking=True)
    results = run(engine, [plain, thinks])
    assert results[plain].token_ids == (7, 7, 7, 7)
    assert results[thinks].token_ids == (95, 95, 95, 95)
    assert results[thinks].text == ""


def test_draws_do_not_depend_on_the_batch(new_engine, run, gen) -> None:
    contexts = [[n, n + 1, n + 2] for n in range(1, 60)]
    options = {"temperature": 1.3, "top_p": 0.9, "ignore_eos": False}

    def requests(engine, which):
        return [
            gen(engine.extend(engine.root, contexts[n]), max_tokens=12, seed=n, **options)
            for n in which
        ]

    together = new_engine()
    asked = requests(together, range(len(contexts)))
    results = run(together, asked)
    for n in range(0, len(contexts), 7):
        alone = new_engine()
        request = requests(alone, [n])[0]
        assert run(alone, [request])[request].token_ids == results[asked[n]].token_ids


def test_seeds_decide_the_draws(new_engine, run, gen) -> None:
    engine = new_engine()
    prefix = engine.extend(engine.root, [1, 2, 3])
    requests = [gen(prefix, max_tokens=12, seed=n // 2, temperature=1.0) for n in range(40)]
    results = run(engine, requests)
    tokens = [results[request].token_ids for request in requests]
    assert tokens[::2] == tokens[1::2]
    assert len(set(tokens)) == 20


def test_no_tokens_asked_for(new_engine, run, gen) -> None:
    engine = new_engine()
    request = gen(engine.extend(engine.root, [1]), max_tokens=0)
    result = run(engine, [request])[request]
    assert (result.token_ids, result.text, result.finish_reason) == ((), "", "length")
