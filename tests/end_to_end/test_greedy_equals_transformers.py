"""Greedy tokens of the embedded model equal those of transformers in fp32, batched and alone.

transformers loads the same GGUF by its own reader and runs its own forward pass.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, LlamaForCausalLM
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from sglc.runtime.engine.engine import TreeEngine
from sglc.runtime.engine.request import GenRequest, GenResult, Sampling
from sglc.runtime.model.load import load_model, load_spec
from sglc.runtime.model.locate import locate
from sglc.runtime.model.spec import ModelSpec

pytestmark = [pytest.mark.weights, pytest.mark.slow]

NUM_PROMPTS, NUM_TOKENS = 50, 64
LENGTHS = (5, 8, 13, 40, 90)
BENCHMARKS = Path(__file__).parents[2] / "examples" / "benchmarks"


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.syspath_prepend(BENCHMARKS)
    from agreement_prompts import openings

    return openings(NUM_PROMPTS)


def prompts(texts: list[str], spec: ModelSpec) -> list[list[int]]:
    """Ten prompts of each length, so that transformers can run ten at once without padding."""
    tokens = (spec.tokenizer.encode(text * 12) for text in texts)
    return [ids[: LENGTHS[i % len(LENGTHS)]] for i, ids in enumerate(tokens)]


@pytest.fixture(scope="module")
def model():
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


def transformers_model(gguf: Path) -> LlamaForCausalLM:
    """What from_pretrained does with a GGUF file, without the accelerate package it asks for."""
    config = AutoConfig.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    hf = LlamaForCausalLM(config)
    checkpoint = load_gguf_checkpoint(str(gguf), return_tensors=True, model_to_load=hf)
    missing, unexpected = hf.load_state_dict(checkpoint["tensors"], strict=False)
    assert (missing, unexpected) == (["lm_head.weight"], [])
    hf.tie_weights()
    return hf.float().eval()


@torch.inference_mode()
def reference(files, spec, token_lists: list[list[int]]) -> list[list[int]]:
    hf = transformers_model(files.path)
    masked = torch.tensor(sorted(spec.tokenizer.control_ids))
    out: dict[int, list[int]] = {}
    for length in LENGTHS:
        places = [i for i, ids in enumerate(token_lists) if len(ids) == length]
        tokens, past, new = torch.tensor([token_lists[i] for i in places]), None, []
        for _ in range(NUM_TOKENS):
            step = hf(input_ids=tokens, past_key_values=past, use_cache=True)
            past = step.past_key_values
            logits = step.logits[:, -1]
            logits[:, masked] = -torch.inf  # rule 2: control tokens are not sampled
            tokens = logits.argmax(-1, keepdim=True)
            new.append(tokens)
        out.update(zip(places, torch.cat(new, 1).tolist(), strict=True))
    return [out[i] for i in range(len(token_lists))]


def test_greedy_tokens_equal_transformers_batched_and_alone(model, texts):
    files, spec, transformer = model
    token_lists = prompts(texts, spec)
    expected = reference(files, spec, token_lists)
    assert generate(transformer, spec, token_lists) == expected
    alone = [generate(transformer, spec, [ids])[0] for ids in token_lists[:5]]
    assert alone == expected[:5]
