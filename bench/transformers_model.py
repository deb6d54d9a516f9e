"""The model of a run in the library that people know, with its own reader of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from sglc.runtime.model.locate import Layout, ModelFiles


def load_transformers(
    files: ModelFiles, device: torch.device, dtype: torch.dtype, load_format: str = "auto"
) -> Any:
    """A `PreTrainedModel` for text generation. With `load_format` "dummy" its weights are drawn at
    random (others than sglc's: only times compare)."""
    from transformers import AutoConfig, AutoModelForCausalLM

    if files.layout is Layout.GGUF:
        model: Any = load_llama_gguf(files.path)
    elif load_format == "dummy":
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(str(files.path)))
    else:
        model = AutoModelForCausalLM.from_pretrained(str(files.path))
    return model.to(device=device, dtype=dtype).eval()


def load_llama_gguf(gguf: Path) -> Any:
    """A Llama GGUF by transformers' own reader: what `from_pretrained` does with one, without the
    accelerate package that it asks for."""
    from transformers import AutoConfig, LlamaForCausalLM
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    config = AutoConfig.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    model = LlamaForCausalLM(config)
    checkpoint = load_gguf_checkpoint(str(gguf), return_tensors=True, model_to_load=model)
    model.load_state_dict(checkpoint["tensors"], strict=False)
    model.tie_weights()
    return model
