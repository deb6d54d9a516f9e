"""Constrained gens on the GPU engine: tables followed by the sampler, grammars by the host, both
with what the reference engine samples."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest

from sglc.codegen.automata.constraint import Constraint
from sglc.codegen.automata.source import ConstraintSource
from sglc.ir import types as t
from sglc.runtime.engine.device.engine import DeviceEngine
from sglc.runtime.engine.engine import TreeEngine
from sglc.runtime.engine.request import GenRequest, GenResult, Sampling

ITEM = t.RecordType("Item", (("name", t.StrType(max_length=5)), ("count", t.IntType(0, 99))))
SOURCES = [
    ConstraintSource("regex", text=r"(ab|c)+;"),
    ConstraintSource("choices", text=json.dumps(["Gryffindor", "Slytherin", "Gryphon"])),
    ConstraintSource("type", type=t.ListType(ITEM, 1, 3)),
]


def told(result: object) -> tuple[object, ...]:
    assert isinstance(result, GenResult), result
    ids = result.prefix.token_ids()
    counts = (result.num_sampled, result.num_forced)
    return (result.text, result.rest, result.token_ids, result.finish_reason, ids, *counts)


@pytest.mark.parametrize("as_grammar", [False, True], ids=["table", "grammar"])
def test_constrained_gens_are_the_reference_engines(
    as_grammar: bool,
    words_engine: Callable[..., TreeEngine],
    words,
    words_model,
    constraint_of,
    run,
) -> None:
    """Among gens without constraints, at budgets from the tightest on."""
    constraints: list[Constraint] = [
        constraint_of(source, as_grammar=as_grammar) for source in SOURCES
    ]
    slot_bytes = words_model.config.kv_elements_per_token * words_model.dtype.itemsize
    found = []
    for engine in (
        words_engine(),
        DeviceEngine(words_model, words, kv_memory=8192 * slot_bytes, max_batch=12),
    ):
        rng = random.Random(1)
        requests = []
        for index in range(24):
            prompt = [rng.randrange(1, 90) for _ in range(rng.randrange(1, 20))]
            prefix = engine.extend(engine.root, prompt)
            constraint = constraints[index % 4] if index % 4 < 3 else None
            most = rng.choice([0, 1, 3, 30]) + (constraint.fewest_tokens if constraint else 5)
            temperature = rng.choice([0.0, 1.0])
            sampling = Sampling(max_tokens=most, temperature=temperature)
            request = GenRequest(prefix, sampling, index, (index,), constraint=constraint)
            requests.append(request)
        results = run(engine, requests)
        found.append([told(results[request]) for request in requests])
        assert engine.stats.forced_tokens > 0
    assert found[1] == found[0]
