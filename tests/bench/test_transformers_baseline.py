"""The transformers baseline computes what it should: a padded batch is as each call alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sglc.bench.calls import GenCall, ScoreCall
from sglc.bench.transformers_baseline import TransformersBaseline
from sglc.bench.transformers_model import load_transformers
from sglc.runtime.engine.request import Sampling
from sglc.runtime.model.locate import locate

GREEDY = Sampling(temperature=0.0)


@pytest.fixture(scope="module")
def model(tiny_model: Path):
    files = locate(str(tiny_model))
    return load_transformers(files, torch.device("cpu"), torch.float32, "dummy")


def test_scores_of_a_batch_are_the_models(model) -> None:
    texts = [((7, 8, 9, 20, 21), 2), ((30, 31, 32, 33, 34, 35, 36, 37), 3), ((5, 6), 1)]
    with torch.inference_mode():
        found = TransformersBaseline(model)._score(texts)
        for (text, n), mine in zip(texts, found, strict=True):
            logprobs = model(input_ids=torch.tensor([text])).logits[0].log_softmax(-1)
            places = range(len(text) - n, len(text))
            wanted = sum(float(logprobs[p - 1, text[p]]) for p in places) / n
            assert mine == pytest.approx(wanted, abs=1e-5)


def test_each_call_writes_as_many_tokens_as_it_is_told(model, monkeypatch) -> None:
    written: list[tuple[int, int, bool]] = []
    generate = model.generate

    def noting(**options):
        found = generate(**options)
        rows, width = options["input_ids"].shape
        written.append((rows, found.shape[1] - width, options["do_sample"]))
        return found

    monkeypatch.setattr(model, "generate", noting)
    calls = [
        GenCall(0, 0, (7, 8, 9), 4, GREEDY),
        GenCall(1, 0, (7, 8), 2, GREEDY),
        GenCall(2, 0, (9,), 6, GREEDY),
        GenCall(0, 1, (7, 8, 9, 1), 3, Sampling(temperature=0.7)),
        ScoreCall(1, 1, (7, 8, 1), ((4,), (5, 6))),
    ]
    (timing,) = TransformersBaseline(model).time(calls, batches=(2,))
    # by length within a wave; sampling options are not mixed
    assert written == [(2, 4, False), (1, 6, False), (1, 3, True)]
    assert timing.batch == 2 and timing.seconds > 0


def test_batches_beyond_a_wave_are_not_timed_twice(model) -> None:
    calls = [GenCall(row, 0, (7, 8), 1, GREEDY) for row in range(5)]
    timings = TransformersBaseline(model).time(calls, batches=(2, 4, 8, 16))
    assert [timing.batch for timing in timings] == [2, 4, 8]
