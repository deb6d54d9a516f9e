"""Greedy tokens of the embedded model equal those of transformers in fp32, batched and alone.

transformers loads the same GGUF by its own reader and runs its own forward pass.
"""

from __future__ import annotations

import random

import pytest
import torch

from sglc.runtime.engine.engine import TreeEngine
from sglc.runtime.engine.request import GenRequest, GenResult, Sampling
from sglc.runtime.model.load import load_model, load_spec
from sglc.runtime.model.locate import locate

pytestmark = [pytest.mark.weights, pytest.mark.slow]

NUM_PROMPTS, NUM_TOKENS = 50, 64
NOUNS = ("river", "clock", "garden", "violin", "harbour", "teacher", "window", "engine", "orchard")
OPENINGS = (
    "The history of the {a} and the {b} begins",
    "Q: Why would a {a} need a {b}?\nA:",
    "def count_{a}s({b}):\n    ",
    "Once upon a time a {a} met a {b}.",
    "{a}, {b}, {a}, {b},",
)


def prompts() -> list[str]:
    rng = random.Random(7)
    return [
        OPENINGS[i % len(OPENINGS)].format(a=rng.choice(NOUNS), b=rng.choice(NOUNS))
        * rng.choice((1, 1, 3))
        for i in range(NUM_PROMPTS)
    ]


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(2)
    files = locate(None)
    spec = load_spec(files)
    return files, spec, load_model(files, device="cpu", dtype="float32")


def generate(model, spec, token_lists: list[list[int]]) -> list[list[int]]:
    engine = TreeEngine(model, spec.tokenizer, kv_memory=None, deterministic=False)
    sampling = Sampling(max_tokens=NUM_TOKENS, temperature=0.0, ignore_eos=True)
    requests = [
        GenRequest(engine.extend(engine.root, ids), sampling, seed=0, order=(i,))
        for i, ids in enumerate(token_lists)
    ]
    for request in requests:
        engine.submit(request)
    found: dict[int, list[int]] = {}
    while not engine.is_idle:
        for result in engine.step():
            assert isinstance(result, GenResult), result
            found[result.request.order[0]] = list(result.token_ids)
    return [found[i] for i in range(len(token_lists))]


def reference(files, spec, token_lists: list[list[int]]) -> list[list[int]]:
    from transformers import AutoModelForCausalLM

    hf = AutoModelForCausalLM.from_pretrained(
        files.path.parent, gguf_file=files.path.name, dtype=torch.float32
    ).eval()
    masked = torch.tensor(sorted(spec.tokenizer.control_ids))
    out = []
    with torch.inference_mode():
        for ids in token_lists:
            tokens, past, new = torch.tensor([ids]), None, []
            for _ in range(NUM_TOKENS):
                step = hf(input_ids=tokens, past_key_values=past, use_cache=True)
                past = step.past_key_values
                logits = step.logits[0, -1]
                logits[masked] = -torch.inf  # rule 2: control tokens are not sampled
                new.append(int(logits.argmax()))
                tokens = torch.tensor([[new[-1]]])
            out.append(new)
    return out


def test_greedy_tokens_equal_transformers_batched_and_alone(model):
    files, spec, transformer = model
    token_lists = [spec.tokenizer.encode(p) for p in prompts()]
    expected = reference(files, spec, token_lists)
    assert generate(transformer, spec, token_lists) == expected
    alone = [generate(transformer, spec, [ids])[0] for ids in token_lists[:10]]
    assert alone == expected[:10]
