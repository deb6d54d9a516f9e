"""Model folders without weights, for measuring speed: a geometry and the embedded tokenizer.

The tokenizer is SmolLM2's; with `--load-format dummy` (or `load_format="dummy"`) its weights are
drawn at random on the device.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

VOCAB = 49_152

GEOMETRIES: dict[str, dict[str, object]] = {
    "8b": {  # Llama 3.1 8B, but for the vocabulary
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "rope_theta": 500000.0,
        "tie_word_embeddings": False,
    },
    "135m": {  # SmolLM2 135M
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "rope_theta": 100000.0,
        "tie_word_embeddings": True,
    },
    "tiny": {  # to try the programs on a CPU
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
    },
}
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def write_tokenizer(folder: Path) -> None:
    """The embedded model's tokenizer as a folder in Hugging Face layout; needs its GGUF file."""
    from sglc.runtime.model.gguf_file import open_gguf
    from sglc.runtime.model.locate import locate

    metadata = open_gguf(locate(None).path).metadata
    folder.mkdir(parents=True, exist_ok=True)
    tokens = metadata["tokenizer.ggml.tokens"]
    types = metadata["tokenizer.ggml.token_type"]
    added = [
        {"id": id, "content": token, "special": True, "lstrip": False, "rstrip": False,
         "normalized": False, "single_word": False}
        for id, (token, type) in enumerate(zip(tokens, types, strict=True))
        if type == 3  # a control token
    ]  # fmt: skip
    definition = {
        "version": "1.0",
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": True},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                 "use_regex": True},
            ],
        },
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                    "use_regex": True},
        "model": {
            "type": "BPE",
            "vocab": {token: id for id, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in metadata["tokenizer.ggml.merges"]],
        },
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(definition))
    settings = {
        "eos_token": tokens[metadata["tokenizer.ggml.eos_token_id"]],
        "chat_template": metadata["tokenizer.chat_template"],
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def write_model(folder: Path, geometry: str, tokenizer: Path) -> None:
    """A model folder without weights: config.json of `geometry`, the tokenizer of `tokenizer`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        shutil.copyfile(tokenizer / name, folder / name)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": VOCAB,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        **GEOMETRIES[geometry],
    }
    (folder / "config.json").write_text(json.dumps(config))
