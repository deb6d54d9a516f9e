"""Steps of small models are larger where memory allows it, and KV gets what they leave."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sglc.runtime.engine.device.room import (
    MARGIN,
    STEP_TOKENS,
    kv_room,
    step_bytes,
    step_tokens_for,
)
from sglc.runtime.model.config import ModelConfig, config_from_hf

GIB = 1 << 30
SMALL = config_from_hf(
    {
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49_152,
        "rms_norm_eps": 1e-5,
    }
)
LARGE = replace(
    SMALL, hidden_size=4096, intermediate_size=14336, num_heads=32, num_kv_heads=8, head_size=128
)


@pytest.fixture(params=[80, 16])
def free(request, monkeypatch) -> int:
    num_bytes = request.param * GIB
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (num_bytes, num_bytes))
    return num_bytes


@pytest.mark.parametrize(("config", "on_80"), [(SMALL, 2 * STEP_TOKENS), (LARGE, STEP_TOKENS)])
def test_steps_of_small_models_are_larger_where_there_is_room(
    config: ModelConfig, on_80: int, free: int
) -> None:
    wanted = on_80 if free == 80 * GIB else STEP_TOKENS
    assert step_tokens_for(config, torch.bfloat16, 1024) == wanted


def test_steps_are_smaller_where_memory_is_short(monkeypatch) -> None:
    for free, expected in ((80, 8192), (12, 8192), (10, 4096), (4, 2048), (1, 512)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, free=free: (free * GIB,) * 2)
        tokens = step_tokens_for(LARGE, torch.bfloat16, 256)
        taken = step_bytes(LARGE, torch.bfloat16, tokens, 256) / GIB
        assert (tokens, taken <= free / 2 or tokens == 512) == (expected, True)


def test_kv_gets_what_steps_leave(free: int) -> None:
    taken = step_bytes(SMALL, torch.bfloat16, 4096, 256)
    assert kv_room(SMALL, torch.bfloat16, 4096, 256) == free - taken - MARGIN
    assert kv_room(SMALL, torch.bfloat16, 1 << 20, 256) == 0
