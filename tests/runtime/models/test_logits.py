"""Logits of our forward pass against transformers': tiny random models of each architecture."""

import pytest
import torch
import transformers

from sglc.runtime.model.load import load_model
from sglc.runtime.model.locate import locate
from sglc.runtime.models.naive_attend import naive_attend

SIZES = {
    "vocab_size": 97,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}

CASES = {
    "llama": ("Llama", {}),
    "llama-tied": ("Llama", {"tie_word_embeddings": True}),
    "llama-biases": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "llama-head-size": ("Llama", {"head_dim": 16}),
    "llama-linear": ("Llama", {"rope_scaling": {"type": "linear", "factor": 4.0}}),
    "llama-llama3": ("Llama", {"rope_scaling": LLAMA3}),
    "mistral": ("Mistral", {"sliding_window": None}),
    "mistral-window": ("Mistral", {"sliding_window": 40}),
    "qwen2": ("Qwen2", {}),
    "qwen2-yarn": (
        "Qwen2",
        {
            "rope_scaling": {
                "type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 16,
            }
        },
    ),
    "qwen3": ("Qwen3", {"head_dim": 16}),
    "qwen3-biases": ("Qwen3", {"head_dim": 16, "attention_bias": True}),
}


def randomise(model: torch.nn.Module) -> None:
    """Every tensor away from 0 and 1, so that a forgotten bias or norm shows."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            noise = torch.randn(tensor.shape, generator=generator)
            is_vector = name.endswith("bias") or "norm" in name
            tensor.copy_(1 + 0.3 * noise if is_vector else 0.15 * noise)


def reference(case: str) -> transformers.PreTrainedModel:
    family, changes = CASES[case]
    config = getattr(transformers, f"{family}Config")(**{**SIZES, **changes})
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    randomise(model)
    return model


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shard_size", ["10GB", "30KB"], ids=["whole", "sharded"])
def test_logits_equal_transformers(case, shard_size, tmp_path):
    theirs = reference(case)
    theirs.save_pretrained(tmp_path, max_shard_size=shard_size)
    ours = load_model(locate(str(tmp_path)), device="cpu", dtype="float32")
    num_tokens = min(40, ours.config.context_len)
    ids = torch.randint(97, (num_tokens,), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = theirs(ids[None]).logits[0]
    every = torch.arange(num_tokens)
    actual = ours.forward(ids, every, naive_attend, every)
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() < 1e-4
    assert expected.abs().max() > 0.5  # the comparison is of real numbers, not of zeros


def test_only_the_rows_asked_for(tmp_path):
    reference("qwen3").save_pretrained(tmp_path)
    model = load_model(locate(str(tmp_path)), device="cpu", dtype="float32")
    ids, every = torch.arange(20), torch.arange(20)
    rows = torch.tensor([19, 4, 4])
    whole = model.forward(ids, every, naive_attend, every)
    torch.testing.assert_close(
        model.forward(ids, every, naive_attend, rows), whole[rows], rtol=1e-5, atol=1e-5
    )
    assert model.forward(ids, every, naive_attend, rows[:0]).shape == (0, 97)


def test_positions_are_the_callers(tmp_path):
    """Rotation depends on the positions given, not on the place in the list."""
    reference("llama").save_pretrained(tmp_path)
    model = load_model(locate(str(tmp_path)), device="cpu", dtype="float32")
    seen = []

    def keep(layer, q, k, v):
        seen.append((q, k))
        return naive_attend(layer, q, k, v)

    ids = torch.tensor([5, 5])
    model.forward(ids, torch.tensor([3, 9]), keep, torch.tensor([1]))
    q, _ = seen[0]
    assert not torch.allclose(q[0], q[1])
    seen.clear()
    model.forward(ids, torch.tensor([9, 9]), keep, torch.tensor([1]))
    assert torch.allclose(seen[0][0][0], q[1], atol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_types_stay_near(dtype, tmp_path):
    reference("qwen2").save_pretrained(tmp_path)
    files = locate(str(tmp_path))
    exact = load_model(files, device="cpu", dtype="float32")
    half = load_model(files, device="cpu", dtype=dtype)
    ids, every = torch.arange(30), torch.arange(30)
    expected = exact.forward(ids, every, naive_attend, every)
    actual = half.forward(ids, every, naive_attend, every)
    assert actual.dtype == torch.float32
    assert (actual - expected).norm() / expected.norm() < 0.03
