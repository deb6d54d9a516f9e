"""A model's rotary position embedding as a table, scaled as its configuration says."""

from __future__ import annotations

from torch import Tensor

from sglc.kernels.rope import rope_table
from sglc.runtime.model.config import ModelConfig
from sglc.runtime.model.rope_scaling import attention_factor, inverse_frequencies


def position_table(config: ModelConfig) -> Tensor:
    """cos and sin of every position of the context: [2, context_len, D/2] fp32 on the CPU."""
    scaling = config.rope_scaling
    frequencies = inverse_frequencies(config.head_size, config.rope_theta, scaling)
    return rope_table(frequencies, config.context_len, attention_factor(scaling))
